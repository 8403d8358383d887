"""Every code in the table of refusals has a case here that provokes it.

A case takes a stage, prepares what it needs in blocks of its own, and gives what the next block
refuses: a record, or bytes, or several of which the last is refused. The two codes that only a
provider's gateway gives come from `exchanges.admissible`, on a request instead of a record.
"""

from collections.abc import Callable

import msgpack
import msgspec
import pytest
from builders import START_MS, Consortium, signer
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
    lines_of,
    offer,
    receipt,
    receipt_lines,
    token,
    wanted,
)

from contracts.catalog import DatasetWithdraw
from contracts.context import Context
from contracts.exchanges import ExchangeRequest, Receipts, admissible
from contracts.grants import GrantApprove
from contracts.refusals import REFUSALS, Refusal
from contracts.registry import CONTRACTS, Contract
from ledger.codec import Decoder, encode
from ledger.records import Record, assemble_record
from ledger.statements import record_statement

Case = Callable[[Stage], Sent | tuple[Sent, ...]]

CASES: list[tuple[str, Case]] = []
"""A code and what provokes it; a code may have several."""

PROVIDER_SIDE = ("not-granted-field", "purpose-mismatch")
"""Codes that no contract gives, for a contract sees no query."""

HOUR_MS = 3_600_000

SMALL_BLOCKS = Consortium(settings=(("records-per-block", 2),))


def refused(code: str) -> Callable[[Case], Case]:
    """Enters a case into the table."""

    def enter(case: Case) -> Case:
        CASES.append((code, case))
        return case

    return enter


def resigned(stage: Stage, record: Record, **changes: object) -> Record:
    """The record with other fields in its header, signed again by PROVIDER."""
    header = msgspec.structs.replace(record.header, **changes)
    statement = record_statement(stage.city.ledger_id, encode(header))
    signature = stage.city.record_signer(PROVIDER).sign(statement)
    return assemble_record(header, signature, attached=record.attached)


def withdrawal(stage: Stage, name: str = PEOPLE, department: str = PROVIDER) -> Record:
    """PROVIDER ends a dataset."""
    return stage.sign(department, "dataset.withdraw", DatasetWithdraw(name, "superseded"))


def with_dataset_withdrawn(stage: Stage) -> Stage:
    stage.accept(withdrawal(stage))
    return stage


# What every record has to pass


@refused("malformed-record")
def bytes_that_are_no_record(stage: Stage) -> Sent:
    return b"\xc1"


@refused("malformed-record")
def a_record_in_a_second_spelling(stage: Stage) -> Sent:
    raw = withdrawal(stage).to_bytes()
    assert raw[:1] == b"\x92"
    return b"\xdc\x00\x02" + raw[1:]


@refused("wrong-ledger")
def a_record_of_another_consortium(stage: Stage) -> Sent:
    return Consortium(voter_count=3).record(
        PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, "x"), created_ms=stage.time_ms
    )


@refused("unknown-department")
def a_record_of_a_department_that_is_no_member(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    return stage.sign("fisheries", "dataset.withdraw", body, by=signer("health/records"))


@refused("unknown-key")
def a_record_signed_with_another_departments_key(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    key = stage.city.record_signer(STRANGER)
    return stage.sign(PROVIDER, "dataset.withdraw", body, by=key)


@refused("unknown-key")
def a_record_signed_with_a_nodes_key(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    return stage.sign(PROVIDER, "dataset.withdraw", body, by=stage.city.proposal_signer(PROVIDER))


@refused("unknown-key")
def a_record_signed_with_a_key_nobody_enrolled(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    return stage.sign(PROVIDER, "dataset.withdraw", body, by=signer("nobody"))


@refused("not-yet-valid")
def a_record_created_beyond_the_skew(stage: Stage) -> Sent:
    created = stage.time_ms + 1_000 + 5_000 + 1
    return stage.sign(
        PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, "x"), created_ms=created
    )


@refused("expired")
def a_record_whose_window_ends_as_the_block_is_made(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, "x"), valid_ms=1_000)


@refused("window-too-long")
def a_record_valid_for_more_than_a_day(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    return stage.sign(PROVIDER, "dataset.withdraw", body, valid_ms=DAY_MS + 1)


@refused("window-too-long")
def a_record_valid_for_no_time(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, "x"), valid_ms=0)


@refused("replayed")
def a_record_that_an_earlier_block_accepted(stage: Stage) -> Sent:
    record = stage.receipts()
    stage.accept(record)
    return record


@refused("replayed")
def another_record_with_a_nonce_already_used(stage: Stage) -> Sent:
    first = stage.receipts()
    stage.accept(first)
    return resigned(stage, stage.receipts(), nonce=first.header.nonce)


@refused("bad-signature")
def a_record_with_the_signature_of_another(stage: Stage) -> Sent:
    record = withdrawal(stage)
    return assemble_record(record.header, stage.receipts().signature)


@refused("attachment-mismatch")
def a_document_where_nothing_belongs(stage: Stage) -> Sent:
    body = DatasetWithdraw(PEOPLE, "x")
    return stage.sign(PROVIDER, "dataset.withdraw", body, document=b"words")


@refused("attachment-mismatch")
def no_document_where_one_belongs(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"))


@refused("attachment-mismatch")
def items_where_a_document_belongs(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), items=(description(),))


@refused("attachment-mismatch")
def an_announced_document_that_did_not_come(stage: Stage) -> Sent:
    record = stage.publish("pupils")
    return assemble_record(record.header, record.signature)


@refused("attachment-mismatch")
def announced_items_that_did_not_come(stage: Stage) -> Sent:
    record = stage.receipts()
    return assemble_record(record.header, record.signature)


@refused("attachment-mismatch")
def a_document_of_the_announced_length_with_other_bytes(stage: Stage) -> Sent:
    record = stage.publish("pupils")
    assert record.attached is not None
    other = record.attached[:-1] + b"!"
    return assemble_record(record.header, record.signature, attached=other)


@refused("attachment-mismatch")
def items_in_another_order_than_announced(stage: Stage) -> Sent:
    record = stage.receipts(2)
    assert record.attached is not None
    swapped = encode(list(reversed(msgpack.unpackb(record.attached))))
    return assemble_record(record.header, record.signature, attached=swapped)


@refused("attachment-mismatch")
def items_that_come_without_one_of_theirs(stage: Stage) -> Sent:
    record = stage.receipts(2)
    assert record.attached is not None
    fewer = encode(msgpack.unpackb(record.attached)[:1])
    return assemble_record(record.header, record.signature, attached=fewer)


@refused("attachment-mismatch")
def a_line_with_the_root_of_other_items(stage: Stage) -> Sent:
    body = Receipts(receipt_lines({stage.grant_id: [receipt(1)]}))
    items = items_of({stage.grant_id: [receipt(2)]})
    return stage.sign(PROVIDER, "exchange.receipts", body, items=items)


@refused("attachment-mismatch")
def lines_that_count_fewer_items_than_came(stage: Stage) -> Sent:
    body = Receipts(receipt_lines({stage.grant_id: [receipt(1)]}))
    items = items_of({stage.grant_id: [receipt(1), receipt(2)]})
    return stage.sign(PROVIDER, "exchange.receipts", body, items=items)


@refused("attachment-mismatch")
def lines_that_count_more_items_than_came(stage: Stage) -> Sent:
    body = Receipts(receipt_lines({stage.grant_id: [receipt(1), receipt(2)]}))
    items = items_of({stage.grant_id: [receipt(1)]})
    return stage.sign(PROVIDER, "exchange.receipts", body, items=items)


@refused("unknown-kind")
def a_kind_that_no_contract_knows(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.rename", DatasetWithdraw(PEOPLE, "x"))


@refused("malformed-body")
def the_body_of_another_kind(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.withdraw", GrantApprove(stage.grant_id))


@refused("malformed-body")
def a_body_in_a_second_spelling(stage: Stage) -> Sent:
    record = withdrawal(stage)
    raw = bytes(record.header.body)
    assert raw[:1] == b"\x92"
    return resigned(stage, record, body=msgspec.Raw(b"\xdc\x00\x02" + raw[1:]))


@refused("malformed-body")
def a_body_with_a_field_too_many(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.withdraw", [PEOPLE, "x", "y"])


@refused("malformed-body")
def a_body_with_an_empty_reason(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, ""))


@refused("malformed-body")
def a_body_with_more_than_thirty_two_lines(stage: Stage) -> Sent:
    grants = {token(number): [receipt(number)] for number in range(33)}
    return stage.receipts_for(grants)


@refused("quota-exceeded")
def a_record_beyond_the_departments_share_of_the_block(stage: Stage) -> tuple[Sent, ...]:
    return stage.receipts(), stage.receipts(), stage.receipts()


@refused("internal-error")
def a_record_on_which_its_contract_fails(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "test.fails", DatasetWithdraw(PEOPLE, "x"))


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


@pytest.mark.parametrize("kind", ["acknowledgements", "voids", "denials"])
def test_every_kind_of_batch_wants_its_lines_sorted(stage: Stage, kind: str) -> None:
    line = lines_of({stage.grant_id: [receipt(1)]})[0]
    items = 2 * items_of({stage.grant_id: [receipt(1)]})
    record = stage.sign(PROVIDER, f"exchange.{kind}", [[line, line]], items=items)
    assert stage.codes(record) == ["invalid-lines"]


@refused("more-than-received")
def an_acknowledgement_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.acknowledgements(2)


@refused("more-than-received")
def a_void_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.voids(2)


def _fails(context: Context, body: object) -> Refusal | None:
    context.state.put(b"half", b"done")
    raise ValueError("a mistake in a contract")


@pytest.fixture
def failing_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind whose contract writes and then fails."""
    form = Decoder(DatasetWithdraw, what="test", bytes_max=4096)
    monkeypatch.setitem(CONTRACTS, "test.fails", Contract(form, _fails, None))


@pytest.mark.usefixtures("failing_contract")
@pytest.mark.parametrize(
    ("code", "case"), CASES, ids=[f"{code}: {case.__name__}" for code, case in CASES]
)
def test_a_record_is_refused_for_its_reason_and_changes_nothing(code: str, case: Case) -> None:
    stage = Stage(SMALL_BLOCKS)
    given = case(stage)
    *before, sent = given if isinstance(given, tuple) else (given,)
    after = stage.sign("transport", "dataset.publish", offer("trips"), document=description())
    without = stage.fork().accept(*before, after)
    block = stage.execute(*before, sent, after)
    stage.verify()
    record_id = sent.record_id if isinstance(sent, Record) else None
    assert [(each.record_id, each.refusal.code) for each in block.refused] == [(record_id, code)]
    assert block.accepted == without.accepted == (*before, after)
    assert block.writes == without.writes
    assert block.list_items == without.list_items
    assert block.pages == without.pages
    assert block.header.state_root == without.header.state_root
    assert block.header.entry_hash != without.header.entry_hash


def asked(stage: Stage, **changes: object) -> ExchangeRequest:
    """What the consumer's node sends to the provider's, within its grant."""
    request = ExchangeRequest(
        version=1,
        ledger_id=stage.city.ledger_id,
        grant_id=stage.grant_id,
        exchange_id=token("exchange"),
        consumer=CONSUMER,
        actor="clerk-7",
        purpose="allocate social housing",
        fields=("person",),
        query=b"{}",
        request_blinding=token("blinding"),
        case=token("case"),
        created_ms=stage.time_ms,
    )
    return msgspec.structs.replace(request, **changes)


def admitted(stage: Stage, provider: str = PROVIDER, **changes: object) -> str | None:
    """The code with which the provider has to deny the request; None if it may serve it."""
    refusal = admissible(
        stage.state,
        stage.grant(),
        asked(stage, **changes),
        provider=provider,
        time_ms=stage.time_ms,
    )
    return None if refusal is None else refusal.code


GATEWAY_CASES = {
    "not-the-provider": {"provider": STRANGER},
    "not-the-consumer": {"consumer": STRANGER},
    "purpose-mismatch": {"purpose": "curiosity"},
    "not-granted-field": {"fields": ("insured", "person")},
}


@pytest.mark.parametrize(("code", "changes"), GATEWAY_CASES.items(), ids=list(GATEWAY_CASES))
def test_a_provider_denies_a_request_for_its_reason(
    stage: Stage, code: str, changes: dict[str, object]
) -> None:
    assert admitted(stage) is None
    assert admitted(stage, **changes) == code


def test_a_provider_denies_what_a_receipt_would_be_refused_for(stage: Stage) -> None:
    stage.accept(stage.receipts(5))
    assert admitted(stage) == "exchanges-exhausted"
    stage.accept(stage.decide(PROVIDER, "revoke"))
    assert admitted(stage) == "grant-revoked"


def test_every_code_of_the_table_has_a_test() -> None:
    by_contracts = {code for code, _ in CASES}
    assert by_contracts.isdisjoint(PROVIDER_SIDE)
    assert set(PROVIDER_SIDE) <= set(GATEWAY_CASES)
    assert by_contracts | set(PROVIDER_SIDE) == set(REFUSALS)
    assert tuple(REFUSALS)[-2:] == ("purpose-mismatch", "not-granted-field")


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code, explanation in REFUSALS.items():
        assert code == code.lower() and " " not in code
        assert explanation.meaning.endswith(".") and explanation.remedy.endswith(".")


def test_a_code_outside_the_table_cannot_be_given() -> None:
    with pytest.raises(AssertionError, match="not in the table"):
        Refusal("no-reason", "")
