"""Exchanges: what batches count on their grants, and the formats of items and requests."""

import msgspec
import pytest
from harness import (
    CONSUMER,
    PROVIDER,
    PURPOSE,
    STRANGER,
    Stage,
    description,
    items_of,
    lines_of,
    offer,
    receipt,
    receipt_lines,
    token,
)
from hypothesis import given
from hypothesis import strategies as st

from contracts.exchanges import (
    LINES_MAX,
    Acknowledgement,
    Denial,
    ExchangeRequest,
    Item,
    Receipts,
    SignedRequest,
    Void,
    lines_fault,
    parse_item,
    parse_request,
    parse_signed_request,
)
from ledger.codec import encode
from ledger.errors import Malformed

COUNTER_MAX = 2**63 - 1

ITEMS: tuple[Item, ...] = (
    receipt(1),
    Acknowledgement(token("exchange"), token("record"), token("asked"), token("answered")),
    Void(token("exchange"), token("record"), 17, "the line broke"),
    Denial(token("exchange"), CONSUMER, token("asked"), "grant-revoked", 3),
)


def test_receipts_count_on_each_grant_and_stand_on_its_list(stage: Stage) -> None:
    other = stage.granted()
    record = stage.receipts_for(
        {stage.grant_id: [receipt(1, rows=2), receipt(2, rows=3)], other: [receipt(3, rows=7)]}
    )
    stage.accept(record)
    mine, its = stage.grant(), stage.grant(other)
    assert (mine.exchanges, mine.rows, mine.size_bytes) == (2, 5, 500)
    assert (its.exchanges, its.rows, its.size_bytes) == (1, 7, 700)
    for number, grant_id in enumerate(sorted([stage.grant_id, other])):
        place = record.record_id + number.to_bytes(2, "big")
        assert stage.lists[b"list/receipts/" + grant_id] == [place]


def test_an_answer_without_rows_still_counts_as_an_exchange(stage: Stage) -> None:
    stage.accept(stage.receipts(rows=50), stage.receipts(rows=0))
    assert (stage.grant().exchanges, stage.grant().rows) == (2, 50)


def test_what_is_acknowledged_and_voided_never_exceeds_what_was_exchanged(stage: Stage) -> None:
    stage.accept(stage.receipts(3))
    stage.accept(stage.acknowledgements(2), stage.acknowledgements(), stage.voids(3))
    codes = stage.codes(stage.acknowledgements(), stage.voids())
    assert codes == ["more-than-received", "more-than-received"]
    known = stage.grant()
    assert (known.exchanges, known.acknowledged, known.voided) == (3, 3, 3)


def test_both_halves_are_completed_after_the_grant_has_ended(stage: Stage) -> None:
    stage.accept(stage.receipts(2), stage.decide(PROVIDER, "revoke"))
    stage.accept(stage.acknowledgements(), stage.voids())
    known = stage.grant()
    assert (known.status, known.acknowledged, known.voided) == ("revoked", 1, 1)


def test_a_void_gives_no_exchange_back(stage: Stage) -> None:
    stage.accept(stage.receipts(5), stage.voids(5))
    assert stage.codes(stage.receipts()) == ["exchanges-exhausted"]


def test_denials_count_on_the_providers_own_grant(stage: Stage) -> None:
    stage.accept(stage.denials(3))
    assert stage.grant().denied == 3


@pytest.mark.parametrize("department", [CONSUMER, STRANGER])
def test_denials_of_another_than_the_provider_leave_the_grant_alone(
    stage: Stage, department: str
) -> None:
    assert stage.accept(stage.denials(department=department)).writes == {}


def test_denials_under_a_grant_that_does_not_exist_are_kept_and_change_no_state(
    stage: Stage,
) -> None:
    block = stage.accept(stage.denials(grant_id=token("none")))
    assert len(block.accepted) == 1
    assert block.writes == {}


def test_a_line_counts_at_most_what_fits_an_attachment_and_at_least_one(stage: Stage) -> None:
    [line] = receipt_lines({stage.grant_id: [receipt(1)]})
    for count in (0, 10_001):
        body = Receipts((msgspec.structs.replace(line, count=count),))
        items = items_of({stage.grant_id: [receipt(1)]})
        record = stage.sign(PROVIDER, "exchange.receipts", body, items=items)
        assert stage.codes(record) == ["malformed-body"]


def test_a_batch_has_at_least_one_line(stage: Stage) -> None:
    record = stage.sign(PROVIDER, "exchange.receipts", Receipts(()), items=(b"item",))
    assert stage.codes(record) == ["malformed-body"]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=LINES_MAX), st.data())
def test_lines_fit_their_items_and_no_others(counts: list[int], draw: st.DataObject) -> None:
    batches = {
        token(number): [receipt(100 * number + place) for place in range(count)]
        for number, count in enumerate(counts)
    }
    lines, items = lines_of(batches), list(items_of(batches))
    assert lines_fault(lines, items) is None
    place = draw.draw(st.integers(0, len(items) - 1))
    without = items[:place] + items[place + 1 :]
    changed = [*items[:place], items[place] + b"!", *items[place + 1 :]]
    for others in (without, changed, [*items, b"more"], []):
        assert lines_fault(lines, others) is not None


def test_the_fault_of_lines_says_whether_items_are_over_or_wrong() -> None:
    batches = {token("g"): [receipt(1)]}
    lines, items = lines_of(batches), items_of(batches)
    assert lines_fault(lines, [*items, b"more"]) == "more items are attached than the lines count"
    fault = lines_fault(lines, [b"other"])
    assert fault is not None
    assert fault.endswith("have another root")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_item_reads_back_and_has_one_spelling(item: Item) -> None:
    raw = encode(item)
    assert parse_item(raw) == item
    with pytest.raises(Malformed):
        parse_item(raw + b"\x00")
    with pytest.raises(Malformed):
        parse_item(b"\xdc\x00" + bytes([raw[0] & 0x0F]) + raw[1:])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_a_request_or_malformed(data: bytes) -> None:
    for parse in (parse_item, parse_request, parse_signed_request):
        with pytest.raises(Malformed):
            parse(data)


def test_a_request_and_its_signed_form_read_back() -> None:
    request = ExchangeRequest(
        version=1,
        ledger_id=token("ledger"),
        grant_id=token("grant"),
        exchange_id=token("exchange"),
        consumer=CONSUMER,
        actor="clerk-7",
        grant_version=1,
        purpose=PURPOSE,
        fields=("person",),
        query=b"{}",
        request_blinding=token("blinding"),
        case=token("case"),
        created_ms=1,
    )
    raw = encode(request)
    assert parse_request(raw) == request
    signed = SignedRequest(raw, token("key"), 2 * token("signature"))
    assert parse_signed_request(encode(signed)) == signed


@pytest.mark.parametrize("field", ["rows", "size_bytes"])
def test_no_receipt_makes_its_grant_unreadable(field: str) -> None:
    stage = Stage()
    grant_id = stage.granted(exchanges_max=0, rows_max=0)
    for number in range(3):
        batches = {grant_id: [receipt(number)]}
        [line] = receipt_lines(batches)
        body = Receipts((msgspec.structs.replace(line, **{field: COUNTER_MAX}),))
        stage.execute(stage.sign(PROVIDER, "exchange.receipts", body, items=items_of(batches)))
    assert getattr(stage.grant(grant_id), field) <= COUNTER_MAX
    stage.verify()


def test_the_key_of_sealed_content_follows_its_acknowledgement(stage: Stage) -> None:
    grant_id = stage.sealed()
    stage.accept(stage.receipts(2, grant_id=grant_id, sealed=True))
    stage.accept(stage.acknowledgements(2, grant_id=grant_id))
    stage.accept(stage.keys(1, grant_id=grant_id))
    known = stage.grant(grant_id)
    assert (known.exchanges, known.sealed, known.acknowledged, known.opened) == (2, 2, 2, 1)
    assert stage.codes(stage.keys(2, grant_id=grant_id)) == ["not-acknowledged"]


def test_a_dataset_that_is_closed_later_lets_only_sealed_content_through(stage: Stage) -> None:
    change = offer(sharing="closed")
    stage.accept(stage.sign(PROVIDER, "dataset.change", change, document=description()))
    assert stage.codes(stage.receipts(), stage.receipts(sealed=True)) == ["seal-required"]
    assert stage.grant().sealed == 1


def test_a_sensitive_dataset_that_its_publisher_carries_itself_has_plain_receipts(
    stage: Stage,
) -> None:
    grant_id = stage.sealed(carried="elsewhere")
    stage.accept(stage.receipts(2, grant_id=grant_id))
    stage.accept(stage.acknowledgements(2, grant_id=grant_id))
    known = stage.grant(grant_id)
    assert (known.exchanges, known.sealed, known.acknowledged) == (2, 0, 2)
