"""What can be said of a part of the ledger by itself: one function, wherever it runs.

A segment is leaves in order, with what is attached to them. `judge_segment` checks everything that
needs nothing from before: canonical bytes, authors' signatures, attachments against headers and
lines, and hashes leaves and records. It knows no state, so segments are judged on all cores of this
machine, or of others, while what needs the state, the contracts, follows in order.

What comes back is small and says nothing of records that are right but their hashes; whoever has
the leaves reads them again (`reread`) without a second look at their spelling.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from audit.findings import Finding
from contracts.exchanges import lines_fault
from contracts.registry import CONTRACTS
from ledger.attachments import attached_fault, parse_items
from ledger.blocks import BlockHeader, parse_any_leaf, reread_leaf
from ledger.errors import Malformed
from ledger.records import Record, record_of_leaf, reread_record
from ledger.signatures import verify
from ledger.types import HASH_BYTES


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """Some leaves. attached: what is held of each, in the same order; empty if none is looked at.

    first: index of the first leaf. signatures: whether authors' signatures are to be checked.
    gap: whether the next leaf is missing although later ones are there.
    """

    first: int
    leaves: list[bytes]
    attached: list[bytes | None]
    signatures: bool
    gap: bool = False


class Judged(msgspec.Struct, frozen=True, array_like=True):
    """What a segment amounts to. Places count from its first leaf.

    leaf_hashes, record_ids: 32 bytes for each leaf up to the first that cannot be read; a block
    header's record id is zero. unsigned: places of records whose signature does not hold.
    findings: (place, code, detail); the last one's place may be the unreadable leaf's.
    """

    leaf_hashes: bytes
    record_ids: bytes
    unsigned: list[int]
    findings: list[tuple[int, str, str]]


Judge = Callable[[Segment], Callable[[], Judged]]
"""Starts to judge a segment, and gives what waits for the result."""


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """One leaf. parsed: None if nothing can be said of it or of what follows.

    leaf_hash: its hash. signed: whether its author's signature holds, as far as that was checked.
    finding: what is wrong with it or with what is attached, but for its signature.
    """

    index: int
    data: bytes
    parsed: Record | BlockHeader | None
    leaf_hash: bytes = b""
    signed: bool = True
    finding: Finding | None = None


_NO_RECORD = bytes(HASH_BYTES)
_ENCODER = msgspec.msgpack.Encoder()
_SEGMENT = msgspec.msgpack.Decoder(Segment)
_JUDGED = msgspec.msgpack.Decoder(Judged)


def judge_segment(segment: Segment) -> Judged:
    """Everything that the segment itself can show."""
    hashes: list[bytes] = []
    record_ids: list[bytes] = []
    unsigned: list[int] = []
    findings: list[tuple[int, str, str]] = []
    for place, data in enumerate(segment.leaves):
        try:
            parsed = parse_any_leaf(data)
            if isinstance(parsed, BlockHeader):
                record_ids.append(_NO_RECORD)
            else:
                record = record_of_leaf(parsed, data)
                record_ids.append(record.record_id)
                if segment.signatures and not verify(
                    record.header.key, record.statement(), record.signature
                ):
                    unsigned.append(place)
                attached = segment.attached[place] if segment.attached else None
                fault = None if attached is None else _attached_fault(record, attached)
                if fault is not None:
                    findings.append((place, "attachment-mismatch", fault))
        except Malformed as error:
            findings.append((place, "malformed-leaf", str(error)))
            break
        hashes.append(sha256(b"\x00" + data).digest())
    return Judged(b"".join(hashes), b"".join(record_ids[: len(hashes)]), unsigned, findings)


def judge_at_once(segment: Segment) -> Callable[[], Judged]:
    """A Judge that is done before it returns."""
    judged = judge_segment(segment)
    return lambda: judged


def judge_bytes(data: bytes) -> bytes:
    """`judge_segment` for another process: from `segment_bytes` to what `parse_judged` reads."""
    return _ENCODER.encode(judge_segment(_SEGMENT.decode(data)))


def segment_bytes(segment: Segment) -> bytes:
    """A segment as it travels to another process."""
    return _ENCODER.encode(segment)


def parse_judged(data: bytes) -> Judged:
    """What another process says of a segment."""
    return _JUDGED.decode(data)


def reread(segment: Segment, judged: Judged) -> Iterator[Leaf]:
    """The segment's leaves with what was found; the last one has `parsed` None if it is unreadable
    or missing."""
    hashes, record_ids = judged.leaf_hashes, judged.record_ids
    found = {place: (code, detail) for place, code, detail in judged.findings}
    unsigned = frozenset(judged.unsigned)
    readable = len(hashes) // HASH_BYTES
    for place in range(readable):
        index, data = segment.first + place, segment.leaves[place]
        at = place * HASH_BYTES
        digest = hashes[at : at + HASH_BYTES]
        leaf = reread_leaf(data)
        if isinstance(leaf, BlockHeader):
            yield Leaf(index, data, leaf, digest)
            continue
        finding = None if place not in found else _finding(index, *found[place])
        attached = segment.attached[place] if segment.attached and finding is None else None
        record = reread_record(leaf, data, record_ids[at : at + HASH_BYTES], attached)
        yield Leaf(index, data, record, digest, place not in unsigned, finding)
    index = segment.first + readable
    if readable < len(segment.leaves):
        yield Leaf(index, segment.leaves[readable], None, finding=_finding(index, *found[readable]))
    elif segment.gap:
        gap = _finding(index, "key-missing", "the leaves have a gap")
        yield Leaf(index, b"", None, finding=gap)


def _finding(index: int, code: str, detail: str) -> Finding:
    return Finding(code, f"leaf {index}", detail)


def _attached_fault(record: Record, attached: bytes) -> str | None:
    """What differs between what is attached and the record's header and lines."""
    announced = record.header.attached
    if announced is None:
        return "the header announces nothing"
    fault = attached_fault(announced, attached)
    if fault is not None or announced.form == "document" or announced.count == 1:
        return fault
    contract = CONTRACTS.get(record.header.kind)
    if contract is None or contract.attaches != "items":
        return None  # which the contracts refuse
    try:
        body: Any = contract.body.decode(bytes(record.header.body))
    except Malformed:
        return None  # likewise
    return lines_fault(body.lines, parse_items(attached)) if len(body.lines) > 1 else None
