"""Cases that every record's checks refuse, and the table into which cases are entered.

A case takes a stage, prepares what it needs in blocks of its own, and gives what the next block
refuses: a record, or bytes, or several of which the last is refused. `test_refusals` runs them.
"""

from collections.abc import Callable

import msgpack
import msgspec
from builders import Consortium, signer
from harness import (
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
)

from contracts.catalog import DatasetWithdraw
from contracts.exchanges import Receipts
from contracts.grants import GrantApprove
from ledger.codec import encode
from ledger.records import Record, assemble_record
from ledger.statements import record_statement

Case = Callable[[Stage], Sent | tuple[Sent, ...]]

CASES: list[tuple[str, Case]] = []
"""A code and what provokes it; a code may have several."""


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
def a_body_with_more_than_sixteen_lines(stage: Stage) -> Sent:
    grants = {token(number): [receipt(number)] for number in range(17)}
    return stage.receipts_for(grants)


@refused("quota-exceeded")
def a_record_beyond_the_departments_share_of_the_block(stage: Stage) -> tuple[Sent, ...]:
    return stage.receipts(), stage.receipts(), stage.receipts()


@refused("internal-error")
def a_record_on_which_its_contract_fails(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "test.fails", DatasetWithdraw(PEOPLE, "x"))
