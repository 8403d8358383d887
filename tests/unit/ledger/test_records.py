"""Records, what is attached to them, entries and blocks: layouts, limits, second spellings."""

from hashlib import sha256

import msgpack
import pytest
from builders import START_MS, Consortium
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger.attachments import (
    ITEMS_MAX,
    attach_document,
    attach_items,
    attached_fault,
    items_root,
    parse_items,
)
from ledger.blocks import (
    BlockHeader,
    VoterSets,
    block_hash,
    parse_any_leaf,
    parse_block_header,
    reread_leaf,
)
from ledger.codec import encode
from ledger.entries import Entry, Step, parse_entry
from ledger.errors import Malformed
from ledger.records import (
    DOCUMENT_BYTES_MAX,
    RecordLeaf,
    parse_leaf,
    parse_record,
    record_of_leaf,
    reread_record,
)
from ledger.signatures import verify
from ledger.tree import CompactRange, leaf_hash

CITY = Consortium()


def test_a_record_is_what_the_format_page_says_by_an_independent_decoder() -> None:
    record = CITY.record("housing", "test.kind", ["x"], items=(b"one", b"two"))
    leaf, attached = msgpack.unpackb(record.to_bytes())
    tag, header, signature = msgpack.unpackb(leaf)
    assert tag == 1
    fields = msgpack.unpackb(header)
    assert fields[:5] == [1, CITY.ledger_id, "test.kind", "housing", "tester"]
    assert fields[6] == START_MS + 1_000
    assert fields[9] == ["x"]
    assert fields[10] == ["items", items_root([b"one", b"two"]), 2, len(attached)]
    assert msgpack.unpackb(attached) == [b"one", b"two"]
    statement = b"concordat/record/v1\x00" + CITY.ledger_id + header
    assert record.statement() == statement
    assert verify(fields[5], statement, signature)
    assert record.record_id == sha256(header).digest()


def test_a_record_reads_back_with_the_very_bytes_it_came_in() -> None:
    record = CITY.record("housing", "test.kind", [], document=b"words")
    assert parse_record(record.to_bytes()) == record
    alone = parse_leaf(record.leaf_bytes)
    assert alone.record_id == record.record_id
    assert alone.attached is None


def test_a_record_that_is_read_again_says_the_same() -> None:
    record = CITY.record("housing", "test.kind", [], document=b"words")
    leaf = RecordLeaf(record.header_bytes, record.signature)
    again = reread_record(leaf, record.leaf_bytes, record.record_id, record.attached)
    assert again.to_bytes() == record.to_bytes()
    assert again.statement() == record.statement()
    assert structs.asdict(again.header) == structs.asdict(record.header)


def test_bytes_that_the_header_does_not_announce_are_refused() -> None:
    record = CITY.record("housing", "test.kind", [])
    with pytest.raises(Malformed, match="does not announce"):
        parse_record(encode([record.leaf_bytes, b"smuggled"]))


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_record_with_a_byte_changed_is_malformed_or_another_record(place: int, flip: int) -> None:
    record = CITY.record("housing", "test.kind", ["body"], items=(b"one", b"two"))
    data = bytearray(record.to_bytes())
    place %= len(data)
    data[place] ^= flip
    try:
        parsed = parse_record(bytes(data))
    except Malformed:
        return
    assert parsed.to_bytes() == bytes(data)
    signed = verify(parsed.header.key, parsed.statement(), parsed.signature)
    if signed and parsed.header.attached is not None and parsed.attached is not None:
        assert attached_fault(parsed.header.attached, parsed.attached) is not None


@pytest.mark.parametrize(
    ("department", "kind"),
    [("Housing", "a.b"), ("-housing", "a.b"), ("housing", "nodot"), ("housing", "a.b.c")],
)
def test_names_outside_their_pattern_are_malformed(department: str, kind: str) -> None:
    with pytest.raises(Malformed):
        CITY.record(department, kind, [])


def test_a_header_over_its_limit_is_malformed() -> None:
    with pytest.raises(Malformed):
        CITY.record("housing", "test.kind", ["x" * 4_000])


def test_attached_bytes_must_be_what_the_header_says() -> None:
    attached, data = attach_items([b"one", b"two"])
    assert attached_fault(attached, data) is None
    assert "bytes came" in (attached_fault(attached, data + b"!") or "") or "came" in (
        attached_fault(attached, data + b"!") or ""
    )
    other = encode((b"one", b"twu"))
    assert attached_fault(attached, other) == "the items' root differs"
    three, _ = attach_items([b"a", b"b", b"c"])
    shifted = attached.__class__("items", attached.digest, 3, len(data))
    assert "3 items" in (attached_fault(shifted, data) or "")
    assert "attachment" in (attached_fault(attached, bytes(len(data))) or "")
    assert three.count == 3


def test_a_document_is_addressed_by_its_digest_and_bounded() -> None:
    attached, data = attach_document(b"words")
    assert attached_fault(attached, data) is None
    assert attached_fault(attached, b"sword") == "the document's digest differs"
    doubled = attached.__class__("document", attached.digest, 2, 5)
    assert "counts as 1" in (attached_fault(doubled, b"words") or "")
    with pytest.raises(Malformed, match="at most"):
        attach_document(bytes(DOCUMENT_BYTES_MAX + 1))


@pytest.mark.parametrize("items", [[], [b""] * (ITEMS_MAX + 1), [bytes(4_097)]])
def test_attachments_without_items_or_over_their_limits_are_malformed(items: list[bytes]) -> None:
    with pytest.raises(Malformed):
        attach_items(items)


def test_items_are_under_the_rfc_6962_root() -> None:
    items = [b"%d" % number for number in range(9)]
    assert items_root(items) == CompactRange().extend(map(leaf_hash, items)).root()
    assert parse_items(attach_items(items)[1]) == tuple(items)


def header(**changes) -> BlockHeader:
    fields = {
        "version": 1,
        "ledger_id": CITY.ledger_id,
        "height": 1,
        "previous_hash": CITY.ledger_id,
        "term": 1,
        "entry_hash": bytes(32),
        "time_ms": START_MS,
        "tree_size": 0,
        "tree_root": bytes(32),
        "state_root": bytes(32),
        "voters": VoterSets(tuple(sorted(CITY.node_ids))),
        "record_count": 0,
    }
    return BlockHeader(**(fields | changes))


def test_a_block_header_is_a_leaf_of_its_own_kind() -> None:
    data = header().to_bytes()
    assert parse_block_header(data) == header()
    assert isinstance(parse_any_leaf(data), BlockHeader)
    record = CITY.record("housing", "test.kind", [])
    assert isinstance(parse_any_leaf(record.leaf_bytes), RecordLeaf)
    assert msgpack.unpackb(data)[0] == 2
    assert block_hash(data) == sha256(data).digest()
    with pytest.raises(Malformed):
        parse_block_header(record.leaf_bytes)
    with pytest.raises(Malformed):
        parse_leaf(data)


def test_voters_count_in_every_set_that_is_not_empty() -> None:
    one, two = (bytes(32),), (bytes([1] * 32),)
    assert VoterSets(one).sets() == (one,)
    assert VoterSets(one, two).sets() == (one, two)


def test_an_entry_reads_back() -> None:
    step = Step("enter-joint", (bytes(32),), (bytes([1] * 32),))
    for entry in (Entry(START_MS, None, ()), Entry(START_MS, step, (b"raw",))):
        assert parse_entry(encode(entry)) == entry
    with pytest.raises(Malformed):
        parse_entry(encode([START_MS, ["jump", [bytes(32)], []], []]))


def test_what_was_read_before_is_read_again_as_it_was() -> None:
    record = CITY.record("housing", "test.kind", ["x"], items=(b"one",))
    leaf = parse_any_leaf(record.leaf_bytes)
    assert isinstance(leaf, RecordLeaf)
    alone = record_of_leaf(leaf, record.leaf_bytes)
    assert alone == parse_leaf(record.leaf_bytes) and alone.attached is None
    again = reread_leaf(record.leaf_bytes)
    assert again == leaf
    whole = reread_record(leaf, record.leaf_bytes, record.record_id, record.attached)
    for name in record.__struct_fields__:
        if name != "header":
            assert getattr(whole, name) == getattr(record, name), name
    for name in record.header.__struct_fields__:
        assert getattr(whole.header, name) == getattr(record.header, name), name
    assert reread_leaf(header().to_bytes()) == header()


def test_what_is_wrong_with_what_is_attached_is_said() -> None:
    record = CITY.record("housing", "test.kind", [])
    with pytest.raises(Malformed) as caught:
        parse_record(encode([record.leaf_bytes, b"smuggled"]))
    assert str(caught.value) == ("record: bytes are attached that its header does not announce")
    with pytest.raises(Malformed) as caught:
        attach_document(bytes(DOCUMENT_BYTES_MAX + 1))
    assert str(caught.value) == "document: 262145 bytes, at most 262144 allowed"
    largest, data = attach_document(bytes(DOCUMENT_BYTES_MAX))
    assert attached_fault(largest, data) is None
