"""Cases that a contract refuses: of grants, and of what they rest on."""

from itertools import pairwise

from acts import amendment, co_approved, confirmed, derived, put_forward
from builders import START_MS
from harness import (
    CONSUMER,
    DAY_MS,
    PROVIDER,
    STRANGER,
    Sent,
    Stage,
    description,
    offer,
    token,
    wanted,
)
from refused_by_machine import refused

from contracts.adoption import DocumentPublish
from contracts.calendars import DEFAULT_CALENDAR
from contracts.governance import Propose
from contracts.grants import GrantApprove
from contracts.limits import Hours
from ledger.codec import encode


@refused("not-shared")
def a_request_for_a_closed_dataset(stage: Stage) -> Sent:
    stage.accept(stage.publish("pupils", sharing="closed"))
    return stage.sign(CONSUMER, "grant.request", wanted(dataset="pupils"))


@refused("own-dataset")
def a_request_for_ones_own_dataset(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "grant.request", wanted())


@refused("unknown-field")
def a_request_for_a_field_that_is_not_there(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(fields=("district", "income")))


@refused("unknown-field")
def a_request_for_fields_out_of_order(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(fields=("person", "district")))


@refused("unknown-field")
def a_request_for_one_field_twice(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(fields=("person", "person")))


@refused("invalid-validity")
def a_request_that_ends_before_it_starts(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(valid_from_ms=START_MS + DAY_MS + 1))


@refused("invalid-validity")
def a_request_for_no_time(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(valid_from_ms=START_MS + DAY_MS))


@refused("invalid-validity")
def a_request_for_longer_than_the_setting(stage: Stage) -> Sent:
    beyond = START_MS + 5 * 366 * DAY_MS + 1
    return stage.sign(CONSUMER, "grant.request", wanted(valid_until_ms=beyond))


@refused("invalid-validity")
def a_request_that_is_over_as_the_block_is_made(stage: Stage) -> Sent:
    ends = stage.time_ms + 1_000
    return stage.sign(CONSUMER, "grant.request", wanted(valid_until_ms=ends))


@refused("unknown-grant")
def an_approval_of_no_grant(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "grant.approve", GrantApprove(token("none")))


@refused("unknown-grant")
def a_receipt_under_no_grant(stage: Stage) -> Sent:
    return stage.receipts(grant_id=token("none"))


@refused("unknown-grant")
def an_acknowledgement_under_no_grant(stage: Stage) -> Sent:
    return stage.acknowledgements(grant_id=token("none"))


@refused("unknown-grant")
def a_void_under_no_grant(stage: Stage) -> Sent:
    return stage.voids(grant_id=token("none"))


@refused("not-the-provider")
def an_approval_by_the_consumer_itself(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.approve", GrantApprove(stage.requested()))


@refused("not-the-provider")
def a_revocation_by_a_stranger(stage: Stage) -> Sent:
    return stage.decide(STRANGER, "revoke")


@refused("not-the-provider")
def a_receipt_by_a_stranger(stage: Stage) -> Sent:
    return stage.receipts(department=STRANGER)


@refused("not-the-provider")
def a_void_by_the_consumer(stage: Stage) -> Sent:
    return stage.voids(department=CONSUMER)


@refused("not-the-consumer")
def a_withdrawal_by_the_provider(stage: Stage) -> Sent:
    return stage.decide(PROVIDER, "withdraw")


@refused("not-the-consumer")
def an_acknowledgement_by_the_provider(stage: Stage) -> Sent:
    return stage.acknowledgements(department=PROVIDER)


@refused("already-decided")
def a_second_approval(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "grant.approve", GrantApprove(stage.grant_id))


@refused("already-decided")
def a_refusal_after_the_approval(stage: Stage) -> Sent:
    return stage.reply(PROVIDER, "refuse", stage.grant_id)


@refused("already-decided")
def a_revocation_of_what_was_never_approved(stage: Stage) -> Sent:
    return stage.decide(PROVIDER, "revoke", stage.requested())


@refused("already-decided")
def a_withdrawal_after_the_revocation(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "revoke"))
    return stage.decide(CONSUMER, "withdraw")


@refused("invalid-document")
def a_calendar_that_is_none(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "document.publish", DocumentPublish("calendar"), document=b"2026")


@refused("invalid-document")
def a_vocabulary_that_is_a_calendar(stage: Stage) -> Sent:
    document = encode(DEFAULT_CALENDAR)
    return stage.sign(
        PROVIDER, "document.publish", DocumentPublish("vocabulary"), document=document
    )


@refused("unknown-document")
def a_proposal_to_adopt_what_nobody_put_forward(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "consortium.propose", Propose(put_forward(stage)[1], "as agreed"))


@refused("unknown-document")
def a_proposal_to_adopt_what_was_replaced_since(stage: Stage) -> Sent:
    publication, adoption = put_forward(stage)
    newer = put_forward(stage, holidays=("2026-10-02",))[0]
    stage.accept(publication, newer)
    return stage.sign(PROVIDER, "consortium.propose", Propose(adoption, "as agreed"))


@refused("unknown-department")
def an_offer_whose_co_approver_is_no_member(stage: Stage) -> Sent:
    return stage.publish("pupils", co_approvers=("fisheries",))


@refused("invalid-dataset")
def an_offer_with_co_approvers_out_of_order(stage: Stage) -> Sent:
    return stage.publish("pupils", co_approvers=("transport", "tourism"))


@refused("invalid-dataset")
def an_offer_that_its_publisher_approves_twice(stage: Stage) -> Sent:
    return stage.publish("pupils", co_approvers=(PROVIDER,))


@refused("invalid-dataset")
def an_offer_with_one_origin_twice(stage: Stage) -> Sent:
    origins = (stage.grant_id, stage.grant_id)
    return derived(stage, origins)


@refused("unknown-grant")
def an_offer_derived_under_no_grant(stage: Stage) -> Sent:
    return derived(stage, (token("none"),))


@refused("not-the-consumer")
def an_offer_derived_under_anothers_grant(stage: Stage) -> Sent:
    return derived(stage, (stage.granted(onward=True),), STRANGER)


@refused("not-onward")
def an_offer_derived_under_a_grant_that_allows_no_onward_sharing(stage: Stage) -> Sent:
    return derived(stage, (stage.grant_id,))


@refused("not-onward")
def data_that_has_been_shared_onward_too_often(stage: Stage) -> Sent:
    """From PROVIDER to CONSUMER to STRANGER to transport, which may not offer it again."""
    holders = (CONSUMER, STRANGER, "transport", "civil-affairs")
    grant_id = stage.granted(onward=True)
    for publisher, holder in pairwise(holders):
        record = derived(stage, (grant_id,), publisher)
        if publisher == "transport":
            return record
        stage.accept(record)
        asked = wanted(provider=publisher, dataset="derived", onward=True)
        request = stage.sign(holder, "grant.request", asked)
        stage.accept(request, stage.reply(publisher, "approve", request.record_id))
        grant_id = request.record_id
    raise AssertionError("transport is among the holders")


@refused("grant-revoked")
def an_offer_derived_under_a_grant_that_has_ended(stage: Stage) -> Sent:
    grant_id = stage.granted(onward=True)
    stage.accept(stage.decide(PROVIDER, "revoke", grant_id))
    return derived(stage, (grant_id,))


@refused("incompatible-change")
def a_change_of_the_grants_from_which_a_dataset_is_derived(stage: Stage) -> Sent:
    stage.accept(derived(stage, (stage.granted(onward=True),)))
    return stage.sign(CONSUMER, "dataset.change", offer("derived"), document=description())


@refused("unknown-department")
def a_change_to_a_co_approver_that_is_no_member(stage: Stage) -> Sent:
    body = offer(co_approvers=("fisheries",))
    return stage.sign(PROVIDER, "dataset.change", body, document=description())


@refused("own-approval")
def a_request_by_a_department_that_approves_it(stage: Stage) -> Sent:
    stage.accept(stage.publish("pupils", co_approvers=(CONSUMER,)))
    return stage.sign(CONSUMER, "grant.request", wanted(dataset="pupils"))


@refused("unknown-purpose")
def a_request_for_a_purpose_outside_the_vocabulary(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(purpose="dpv:Curiosity"))


@refused("unknown-legal-basis")
def a_request_on_a_legal_basis_outside_the_vocabulary(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(legal_basis="dpv:Habit"))


@refused("malformed-body")
def a_request_whose_purpose_is_no_term(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(purpose="allocate housing"))


@refused("invalid-limits")
def a_request_for_no_hours_of_the_day(stage: Stage) -> Sent:
    hours = Hours(600, 600, "+00:00")
    return stage.sign(CONSUMER, "grant.request", wanted(hours=hours))


@refused("invalid-limits")
def a_request_with_the_offset_zero_in_a_second_spelling(stage: Stage) -> Sent:
    hours = Hours(600, 700, "-00:00")
    return stage.sign(CONSUMER, "grant.request", wanted(hours=hours))


@refused("invalid-limits")
def a_limit_of_subjects_where_there_are_none(stage: Stage) -> Sent:
    document = description(("district",), subject=None)
    stage.accept(stage.sign(PROVIDER, "dataset.publish", offer("streets"), document=document))
    asked = wanted(dataset="streets", fields=("district",), subjects_max=3)
    return stage.sign(CONSUMER, "grant.request", asked)


@refused("other-version")
def an_approval_of_a_version_that_does_not_wait(stage: Stage) -> Sent:
    return stage.reply(PROVIDER, "approve", stage.requested(), version=2)


@refused("already-decided")
def an_approval_by_the_same_department_twice(stage: Stage) -> Sent:
    grant_id = stage.requested(dataset=co_approved(stage))
    stage.accept(stage.reply(PROVIDER, "approve", grant_id))
    return stage.reply(PROVIDER, "approve", grant_id)


@refused("already-decided")
def an_approval_while_information_is_asked_for(stage: Stage) -> Sent:
    grant_id = stage.requested()
    stage.accept(stage.reply(PROVIDER, "ask", grant_id))
    return stage.reply(PROVIDER, "approve", grant_id)


@refused("already-decided")
def an_answer_to_nothing(stage: Stage) -> Sent:
    return stage.reply(CONSUMER, "answer", stage.requested())


@refused("not-the-consumer")
def an_answer_by_the_provider_itself(stage: Stage) -> Sent:
    grant_id = stage.requested()
    stage.accept(stage.reply(PROVIDER, "ask", grant_id))
    return stage.reply(PROVIDER, "answer", grant_id)


@refused("not-the-provider")
def an_acceptance_by_a_co_approver(stage: Stage) -> Sent:
    grant_id = stage.requested(dataset=co_approved(stage))
    return stage.reply(STRANGER, "accept", grant_id)


@refused("invalid-validity")
def an_approval_of_a_validity_that_is_over(stage: Stage) -> Sent:
    grant_id = stage.requested(valid_until_ms=stage.time_ms + 2_000)
    return stage.reply(PROVIDER, "approve", grant_id)


@refused("grant-suspended")
def an_approval_of_a_version_of_a_suspended_grant(stage: Stage) -> Sent:
    stage.accept(amendment(stage), stage.decide(PROVIDER, "suspend"))
    return stage.reply(PROVIDER, "approve", stage.grant_id, version=2)


@refused("already-pending")
def a_second_amendment_before_the_first_is_decided(stage: Stage) -> Sent:
    stage.accept(amendment(stage))
    return amendment(stage)


@refused("already-decided")
def an_amendment_of_a_grant_that_was_revoked(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "revoke"))
    return amendment(stage)


@refused("already-decided")
def an_amendment_of_an_emergency(stage: Stage) -> Sent:
    return amendment(stage, grant_id=confirmed(stage))


@refused("other-dataset")
def an_amendment_to_another_dataset(stage: Stage) -> Sent:
    stage.accept(stage.publish("pupils"))
    return amendment(stage, dataset="pupils")


@refused("unknown-field")
def an_amendment_to_a_field_that_is_not_there(stage: Stage) -> Sent:
    return amendment(stage, fields=("income",))


@refused("not-the-consumer")
def an_amendment_by_a_stranger(stage: Stage) -> Sent:
    return amendment(stage, department=STRANGER)


@refused("unknown-grant")
def an_amendment_of_no_grant(stage: Stage) -> Sent:
    return amendment(stage, grant_id=token("none"))


@refused("not-the-suspender")
def a_resumption_by_a_department_that_did_not_suspend(stage: Stage) -> Sent:
    grant_id = stage.requested(dataset=co_approved(stage))
    for department in (PROVIDER, STRANGER):
        stage.accept(stage.reply(department, "approve", grant_id))
    stage.accept(stage.decide(STRANGER, "suspend", grant_id))
    return stage.decide(PROVIDER, "resume", grant_id)


@refused("already-decided")
def a_resumption_of_what_goes_on(stage: Stage) -> Sent:
    return stage.decide(PROVIDER, "resume")


@refused("unknown-grant")
def a_suspension_of_no_grant(stage: Stage) -> Sent:
    return stage.decide(PROVIDER, "suspend", token("none"))
