"""Cases that a contract refuses: of the catalogue, of grants, of exchanges."""

from builders import START_MS
from harness import (
    CONSUMER,
    DAY_MS,
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

from contracts.exchanges import Receipts
from contracts.grants import GrantApprove

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
    return stage.decide(PROVIDER, "refuse")


@refused("already-decided")
def a_revocation_of_what_was_never_approved(stage: Stage) -> Sent:
    return stage.decide(PROVIDER, "revoke", stage.requested())


@refused("already-decided")
def a_withdrawal_after_the_revocation(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "revoke"))
    return stage.decide(CONSUMER, "withdraw")


# Exchanges


@refused("grant-not-active")
def a_receipt_before_the_approval(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.requested())


@refused("grant-not-active")
def a_receipt_after_the_provider_said_no(stage: Stage) -> Sent:
    grant_id = stage.requested()
    stage.accept(stage.decide(PROVIDER, "refuse", grant_id))
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
