"""Cases that a contract refuses: of the catalogue, of grants, of exchanges."""

from hashlib import sha256
from itertools import pairwise

from builders import START_MS
from harness import (
    CONSUMER,
    DAY_MS,
    PEOPLE,
    PROVIDER,
    STRANGER,
    Sent,
    Stage,
    description,
    items_of,
    offer,
    receipt,
    receipt_lines,
    token,
    wanted,
)
from refused_by_machine import CASES, refused, withdrawal

from contracts.adoption import DocumentPublish
from contracts.calendars import DEFAULT_CALENDAR, Calendar
from contracts.emergencies import EmergencyConfirm, EmergencyReview, EmergencyStart
from contracts.exchanges import Receipts
from contracts.governance import Propose
from contracts.grants import GrantAmend, GrantApprove
from contracts.limits import Hours, Rate
from contracts.membership import AdoptDocument
from contracts.policies import (
    Citation,
    GrantForbid,
    GrantPermit,
    PolicyPublish,
    PolicyWithdraw,
)
from ledger.codec import encode
from ledger.records import Record

HOUR_MS = 3_600_000

__all__ = ("CASES", "refused")


def with_dataset_withdrawn(stage: Stage) -> Stage:
    """The stage after PROVIDER has ended its dataset."""
    stage.accept(withdrawal(stage))
    return stage


# The catalogue


@refused("dataset-exists")
def a_second_publication_under_one_name(stage: Stage) -> Sent:
    return stage.publish()


@refused("dataset-exists")
def a_publication_under_a_withdrawn_name(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).publish()


@refused("unknown-dataset")
def a_change_of_what_nobody_published(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.change", offer("pupils"), document=description())


@refused("unknown-dataset")
def a_change_of_another_departments_dataset(stage: Stage) -> Sent:
    return stage.sign(STRANGER, "dataset.change", offer(), document=description())


@refused("unknown-dataset")
def a_withdrawal_of_another_departments_dataset(stage: Stage) -> Sent:
    return withdrawal(stage, department=STRANGER)


@refused("unknown-dataset")
def a_request_for_a_dataset_nobody_published(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(dataset="pupils"))


@refused("dataset-withdrawn")
def a_change_of_a_withdrawn_dataset(stage: Stage) -> Sent:
    with_dataset_withdrawn(stage)
    return stage.sign(PROVIDER, "dataset.change", offer(), document=description())


@refused("dataset-withdrawn")
def a_second_withdrawal(stage: Stage) -> Sent:
    return withdrawal(with_dataset_withdrawn(stage))


@refused("dataset-withdrawn")
def a_request_for_a_withdrawn_dataset(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).sign(CONSUMER, "grant.request", wanted())


@refused("dataset-withdrawn")
def a_receipt_of_a_withdrawn_dataset(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).receipts()


@refused("invalid-dataset")
def a_document_that_is_no_description(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=b"words")


@refused("invalid-dataset")
def a_description_with_one_field_twice(stage: Stage) -> Sent:
    document = description(("person", "person"))
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=document)


@refused("invalid-dataset")
def a_description_whose_subject_is_no_field(stage: Stage) -> Sent:
    document = description(("district",))
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=document)


@refused("invalid-dataset")
def a_change_to_a_description_of_no_fields(stage: Stage) -> Sent:
    document = description((), subject=None)
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_that_takes_a_field_away(stage: Stage) -> Sent:
    document = description(("district", "person"))
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_of_a_fields_type(stage: Stage) -> Sent:
    document = description(insured="boolean")
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_of_the_field_that_names_the_subject(stage: Stage) -> Sent:
    document = description(subject="insured")
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


# Grants


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


# Policies


@refused("unknown-dataset")
def a_policy_for_no_dataset(stage: Stage) -> Sent:
    return policy_of(stage, name="pupils")


@refused("unknown-dataset")
def a_policy_for_another_departments_dataset(stage: Stage) -> Sent:
    return policy_of(stage, department=STRANGER)


@refused("dataset-withdrawn")
def a_policy_for_a_withdrawn_dataset(stage: Stage) -> Sent:
    return policy_of(with_dataset_withdrawn(stage))


@refused("invalid-document")
def a_policy_that_is_too_long(stage: Stage) -> Sent:
    return policy_of(stage, document=b" " * (64 * 1024 + 1))


@refused("invalid-document")
def a_policy_that_is_no_text(stage: Stage) -> Sent:
    return policy_of(stage, document=b"\xff")


@refused("other-policy")
def a_withdrawal_of_no_policy(stage: Stage) -> Sent:
    body = PolicyWithdraw(PEOPLE, "stewards decide")
    return stage.sign(PROVIDER, "policy.withdraw", body)


@refused("other-policy")
def a_decision_that_cites_a_policy_where_there_is_none(stage: Stage) -> Sent:
    return permitted(stage, stage.requested())


@refused("other-policy")
def a_decision_that_cites_a_policy_that_was_replaced(stage: Stage) -> Sent:
    stage.accept(
        policy_of(stage), policy_of(stage, document=b"permit(principal, action, resource);")
    )
    return permitted(stage, stage.requested())


@refused("other-policy")
def a_decision_that_cites_policies_out_of_order(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, stage.requested(), policies=("b", "a"))


@refused("not-the-provider")
def a_decision_by_a_co_approvers_policy(stage: Stage) -> Sent:
    grant_id = stage.requested(dataset=co_approved(stage))
    return permitted(stage, grant_id, department=STRANGER)


@refused("unknown-grant")
def a_decision_about_no_grant(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, token("none"))


@refused("already-decided")
def a_decision_after_a_steward_was_faster(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, stage.grant_id)


# Emergencies


@refused("emergency-too-wide")
def an_emergency_for_more_fields_than_the_setting(stage: Stage) -> Sent:
    names = tuple(f"f{number}" for number in range(9))
    return emergency(stage, fields=names)


@refused("emergency-too-wide")
def an_emergency_without_a_limit_of_exchanges(stage: Stage) -> Sent:
    return emergency(stage, exchanges_max=0)


@refused("emergency-too-wide")
def an_emergency_for_longer_than_the_setting(stage: Stage) -> Sent:
    return emergency(stage, valid_until_ms=stage.time_ms + 3 * DAY_MS + 2_000)


@refused("emergency-too-wide")
def an_emergency_that_need_not_name_its_subjects(stage: Stage) -> Sent:
    return emergency(stage, subjects_named=False)


@refused("emergency-too-wide")
def an_emergency_whose_data_may_be_shared_onward(stage: Stage) -> Sent:
    return emergency(stage, onward=True)


@refused("not-shared")
def an_emergency_on_a_closed_dataset(stage: Stage) -> Sent:
    stage.accept(stage.publish("pupils", sharing="closed"))
    return emergency(stage, dataset="pupils")


@refused("unknown-grant")
def a_confirmation_of_no_grant(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(token("none")))


@refused("unknown-grant")
def a_review_of_no_grant(stage: Stage) -> Sent:
    return review(stage, token("none"))


@refused("no-emergency")
def a_confirmation_of_an_ordinary_grant(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(stage.requested()))


@refused("no-emergency")
def a_review_of_an_ordinary_grant(stage: Stage) -> Sent:
    return review(stage, stage.grant_id)


@refused("not-the-provider")
def an_emergency_that_its_own_department_confirms(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return stage.sign(CONSUMER, "emergency.confirm", EmergencyConfirm(started.record_id))


@refused("not-the-provider")
def a_review_by_the_department_that_used_the_emergency(stage: Stage) -> Sent:
    return review(stage, confirmed(stage), CONSUMER)


@refused("already-decided")
def a_second_confirmation(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(grant_id))


@refused("already-decided")
def an_ordinary_approval_of_an_emergency(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return stage.reply(PROVIDER, "approve", started.record_id)


@refused("already-decided")
def a_review_before_the_confirmation(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return review(stage, started.record_id)


@refused("already-decided")
def a_second_review(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    stage.accept(review(stage, grant_id))
    return review(stage, grant_id)


@refused("emergency-lapsed")
def a_confirmation_after_the_hour(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    stage.execute(time_ms=stage.time_ms + HOUR_MS - 1_000)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(started.record_id))


@refused("review-missing")
def a_receipt_under_an_emergency_whose_review_is_missing(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    stage.execute(time_ms=stage.time_ms + DAY_MS - 1_000)
    return stage.receipts(grant_id=grant_id)


@refused("review-missing")
def another_emergency_while_a_review_is_missing(stage: Stage) -> Sent:
    confirmed(stage)
    stage.execute(time_ms=stage.time_ms + DAY_MS)
    return emergency(stage)


@refused("review-missing")
def a_seventeenth_emergency_while_none_is_reviewed(stage: Stage) -> Sent:
    for _ in range(16):
        confirmed(stage)
    started = emergency(stage)
    stage.accept(started)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(started.record_id))


# Exchanges


@refused("grant-not-active")
def a_receipt_before_the_approval(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.requested())


@refused("grant-not-active")
def a_receipt_after_the_provider_said_no(stage: Stage) -> Sent:
    grant_id = stage.requested()
    stage.accept(stage.reply(PROVIDER, "refuse", grant_id))
    return stage.receipts(grant_id=grant_id)


@refused("grant-revoked")
def a_receipt_after_the_revocation(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "revoke"))
    return stage.receipts()


@refused("grant-withdrawn")
def a_receipt_after_the_consumer_withdrew(stage: Stage) -> Sent:
    stage.accept(stage.decide(CONSUMER, "withdraw"))
    return stage.receipts()


@refused("grant-not-started")
def a_receipt_before_the_validity(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.granted(valid_from_ms=START_MS + HOUR_MS))


@refused("grant-expired")
def a_receipt_as_the_validity_ends(stage: Stage) -> Sent:
    ends = stage.time_ms + 3_000
    return stage.receipts(grant_id=stage.granted(valid_until_ms=ends))


@refused("exchanges-exhausted")
def one_exchange_more_than_the_limit(stage: Stage) -> Sent:
    stage.accept(stage.receipts(5))
    return stage.receipts()


@refused("exchanges-exhausted")
def a_batch_that_passes_the_limit_of_exchanges(stage: Stage) -> Sent:
    return stage.receipts(6)


@refused("rows-exhausted")
def one_row_more_than_the_limit(stage: Stage) -> Sent:
    stage.accept(stage.receipts(rows=50))
    return stage.receipts()


@refused("invalid-lines")
def two_lines_for_one_grant(stage: Stage) -> Sent:
    line = receipt_lines({stage.grant_id: [receipt(1)]})[0]
    items = 2 * items_of({stage.grant_id: [receipt(1)]})
    return stage.sign(PROVIDER, "exchange.receipts", Receipts((line, line)), items=items)


@refused("invalid-lines")
def lines_out_of_order(stage: Stage) -> Sent:
    first, second = sorted([stage.grant_id, stage.granted()])
    lines = receipt_lines({first: [receipt(1)], second: [receipt(2)]})
    items = tuple(reversed(items_of({first: [receipt(1)], second: [receipt(2)]})))
    body = Receipts((lines[1], lines[0]))
    return stage.sign(PROVIDER, "exchange.receipts", body, items=items)


@refused("more-than-received")
def an_acknowledgement_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.acknowledgements(2)


@refused("more-than-received")
def a_void_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.voids(2)


# Exchanges: under another right than the grant gives, at the wrong hour, beyond a limit


@refused("other-version")
def a_receipt_under_a_version_that_was_replaced(stage: Stage) -> Sent:
    stage.accept(amendment(stage))
    stage.accept(stage.reply(PROVIDER, "approve", stage.grant_id, version=2))
    return stage.receipts(version=1)


@refused("other-version")
def a_receipt_under_a_version_that_only_waits(stage: Stage) -> Sent:
    stage.accept(amendment(stage))
    return stage.receipts(version=2)


@refused("purpose-mismatch")
def a_receipt_for_another_purpose(stage: Stage) -> Sent:
    return stage.receipts(purpose="dpv:ScientificResearch")


@refused("legal-basis-mismatch")
def a_receipt_on_another_legal_basis(stage: Stage) -> Sent:
    return stage.receipts(legal_basis="dpv:Consent")


@refused("grant-suspended")
def a_receipt_while_the_grant_is_suspended(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "suspend"))
    return stage.receipts()


@refused("outside-hours")
def a_receipt_outside_the_hours_of_the_grant(stage: Stage) -> Sent:
    minute = (stage.time_ms // 60_000) % 1_440
    hours = Hours((minute + 10) % 1_440, (minute + 20) % 1_440 or 1_440, "+00:00")
    return stage.receipts(grant_id=stage.granted(hours=hours))


@refused("origin-ended")
def a_receipt_of_what_was_derived_under_a_revoked_grant(stage: Stage) -> Sent:
    origin, grant_id = shared_onward(stage)
    stage.accept(stage.decide(PROVIDER, "revoke", origin))
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("origin-ended")
def a_receipt_of_what_was_derived_from_a_withdrawn_dataset(stage: Stage) -> Sent:
    _, grant_id = shared_onward(stage)
    with_dataset_withdrawn(stage)
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("origin-ended")
def a_receipt_after_an_amendment_ended_onward_sharing(stage: Stage) -> Sent:
    origin, grant_id = shared_onward(stage)
    stage.accept(amendment(stage, grant_id=origin))
    stage.accept(stage.reply(PROVIDER, "approve", origin, version=2))
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("bytes-exhausted")
def a_receipt_of_more_bytes_than_the_grant_allows(stage: Stage) -> Sent:
    return stage.receipts(rows=3, grant_id=stage.granted(size_bytes_max=299))


@refused("rate-exceeded")
def one_exchange_more_than_the_rate(stage: Stage) -> Sent:
    grant_id = stage.granted(rate=Rate(2, DAY_MS))
    stage.accept(stage.receipts(2, grant_id=grant_id))
    return stage.receipts(grant_id=grant_id)


def put_forward(
    stage: Stage, holidays: tuple[str, ...] = ("2026-10-01",)
) -> tuple[Record, AdoptDocument]:
    """PROVIDER's calendar for all, and what would put it in force."""
    document = encode(Calendar("2026", "+08:00", (6, 7), holidays, ()))
    body = DocumentPublish("calendar")
    record = stage.sign(PROVIDER, "document.publish", body, document=document)
    return record, AdoptDocument("calendar", PROVIDER, sha256(document).digest())


POLICY = b"permit(principal, action, resource) when { context.rows_max > 0 };"


def policy_of(
    stage: Stage, *, name: str = PEOPLE, department: str = PROVIDER, document: bytes = POLICY
) -> Record:
    """The department's policy for a dataset."""
    body = PolicyPublish(name)
    return stage.sign(department, "policy.publish", body, document=document)


def permitted(
    stage: Stage,
    grant_id: bytes,
    *,
    department: str = PROVIDER,
    policies: tuple[str, ...] = ("policy0",),
    kind: str = "grant.permit",
) -> Record:
    """What the department's node decides by POLICY."""
    citation = Citation(sha256(POLICY).digest(), "cedarpy/4.12", policies)
    body: GrantPermit | GrantForbid = GrantPermit(grant_id, 1, citation)
    if kind == "grant.forbid":
        body = GrantForbid(grant_id, 1, citation, "forbidden by policy")
    return stage.sign(department, kind, body)


def derived(stage: Stage, origins: tuple[bytes, ...], department: str = CONSUMER) -> Record:
    """What the department makes of data that it got, offered to others."""
    body = offer("derived", derived_from=origins)
    return stage.sign(department, "dataset.publish", body, document=description())


def shared_onward(stage: Stage) -> tuple[bytes, bytes]:
    """A grant that allows onward sharing, and one of STRANGER on what CONSUMER derived."""
    origin = stage.granted(onward=True)
    stage.accept(derived(stage, (origin,)))
    asked = stage.sign(STRANGER, "grant.request", wanted(provider=CONSUMER, dataset="derived"))
    stage.accept(asked, stage.reply(CONSUMER, "approve", asked.record_id))
    return origin, asked.record_id


def co_approved(stage: Stage) -> str:
    """PROVIDER publishes a dataset whose grants STRANGER has to approve too; its name."""
    stage.accept(stage.publish("births", co_approvers=(STRANGER,)))
    return "births"


def amendment(
    stage: Stage, *, grant_id: bytes | None = None, department: str = CONSUMER, **changes: object
) -> Record:
    """CONSUMER asks for another version of its grant."""
    body = GrantAmend(grant_id or stage.grant_id, wanted(**changes))
    return stage.sign(department, "grant.amend", body)


def emergency(stage: Stage, **changes: object) -> Record:
    """CONSUMER declares an emergency, as narrow as it has to be."""
    narrow = {"subjects_named": True, "valid_until_ms": stage.time_ms + 2 * DAY_MS} | changes
    body = EmergencyStart(wanted(**narrow), "a flood")
    return stage.sign(CONSUMER, "emergency.start", body)


def confirmed(stage: Stage) -> bytes:
    """Appends an emergency and PROVIDER's confirmation; the grant's id."""
    started = emergency(stage)
    confirmation = EmergencyConfirm(started.record_id)
    stage.accept(started, stage.sign(PROVIDER, "emergency.confirm", confirmation))
    return started.record_id


def review(
    stage: Stage, grant_id: bytes, department: str = PROVIDER, verdict: str = "justified"
) -> Record:
    """What the department finds about an emergency."""
    body = EmergencyReview(grant_id, verdict, "the flood was real")
    return stage.sign(department, "emergency.review", body)
