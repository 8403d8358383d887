"""A ledger's leaves in segments: parsed, with what is attached, and signatures checked meanwhile.

While one segment is executed, the signatures of the next `SEGMENTS_AHEAD` are being checked, on
whatever cores the caller has; memory is bounded by these segments. What is wrong with a leaf comes
with the leaf, so that everything before it is judged first.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from audit.findings import Finding
from audit.forks import Readable
from ledger import store_keys
from ledger.attachments import attached_fault
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.errors import Malformed
from ledger.records import Record, record_of_leaf
from ledger.signatures import verify
from ledger.types import LeafIndex

SEGMENT_LEAVES = 2_000
"""Leaves that are read and whose signatures are checked at a time."""

SEGMENTS_AHEAD = 3
"""Segments whose signatures are being checked before their turn."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """A signature to check."""

    public_key: bytes
    message: bytes
    signature: bytes


Checker = Callable[[Sequence[SignatureCheck]], Callable[[], Sequence[bool]]]
"""Starts checks, and gives what waits for their results, in order."""


def check_in_turn(jobs: Sequence[SignatureCheck]) -> list[bool]:
    """Checks signatures one after the other."""
    return [verify(job.public_key, job.message, job.signature) for job in jobs]


def check_at_once(jobs: Sequence[SignatureCheck]) -> Callable[[], Sequence[bool]]:
    """A Checker that is done before it returns."""
    results = check_in_turn(jobs)
    return lambda: results


def check_none(jobs: Sequence[SignatureCheck]) -> Callable[[], Sequence[bool]]:
    """A Checker that takes every signature for good."""
    return lambda: [True] * len(jobs)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf. parsed: None if nothing can be said of it or of what follows.

    finding: what is wrong with it or with what is attached, but for its signature.
    """

    index: int
    data: bytes
    parsed: Record | BlockHeader | None
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Leaves in order. valid: waits for whether each record's signature holds, in order."""

    leaves: tuple[Leaf, ...]
    valid: Callable[[], Sequence[bool]]


def segments(source: Readable, check: Checker, *, attachments: bool = True) -> Iterator[Segment]:
    """All leaves. attachments: whether what is attached is read, too. Raises Unreadable."""
    read = _leaves(source, attachments=attachments)
    waiting: deque[Segment] = deque()
    while leaves := tuple(islice(read, SEGMENT_LEAVES)):
        records = [leaf.parsed for leaf in leaves if isinstance(leaf.parsed, Record)]
        jobs = [
            SignatureCheck(record.header.key, record.statement(), record.signature)
            for record in records
        ]
        waiting.append(Segment(leaves, check(jobs)))
        if len(waiting) > SEGMENTS_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _leaves(source: Readable, *, attachments: bool) -> Iterator[Leaf]:
    stop = bytes([store_keys.LEAF[0] + 1])
    for expected, (key, data) in enumerate(source.scan(store_keys.LEAF, stop)):
        place = f"leaf {expected}"
        if key != store_keys.leaf_key(LeafIndex(expected)):
            gap = Finding("key-missing", place, "the leaves have a gap")
            yield Leaf(expected, data, None, gap)
            return
        try:
            parsed = parse_any_leaf(data)
            if isinstance(parsed, BlockHeader):
                yield Leaf(expected, data, parsed)
                continue
            record = record_of_leaf(parsed, data)
        except Malformed as error:
            yield Leaf(expected, data, None, Finding("malformed-leaf", place, str(error)))
            return
        attached = source.get(store_keys.attached_key(LeafIndex(expected))) if attachments else None
        if attached is None:
            yield Leaf(expected, data, record)
            continue
        announced = record.header.attached
        fault = (
            "the header announces nothing"
            if announced is None
            else attached_fault(announced, attached)
        )
        if fault is not None:
            finding = Finding("attachment-mismatch", place, fault)
            yield Leaf(expected, data, record, finding)
            continue
        yield Leaf(expected, data, with_attached(record, attached))


def with_attached(record: Record, attached: bytes) -> Record:
    """The record with what is attached to it."""
    return Record(
        header=record.header,
        signature=record.signature,
        leaf_bytes=record.leaf_bytes,
        header_bytes=record.header_bytes,
        record_id=record.record_id,
        attached=attached,
    )
