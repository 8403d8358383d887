"""A ledger's leaves in segments (`audit.segments`), judged ahead of their turn.

While one segment is executed, the next `SEGMENTS_AHEAD` are being judged on whatever cores the
caller has; memory is bounded by these segments, each by a number of leaves and by bytes.
"""

from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from audit.forks import Readable
from audit.segments import Judge, Judged, Leaf, Segment, judge_at_once, reread
from ledger import store_keys
from ledger.records import Record
from ledger.types import LeafIndex

SEGMENT_LEAVES = 1_000
"""Limit of a segment's leaves."""

SEGMENT_BYTES_MAX = 4 * 1024 * 1024
"""A segment that holds more bytes takes no further leaf."""

SEGMENTS_AHEAD = 8
"""Limit of the segments that are being judged before their turn."""

_LEAVES_END = bytes([store_keys.LEAF[0] + 1])
_ATTACHED_END = bytes([store_keys.ATTACHED[0] + 1])
_NOTHING = (_ATTACHED_END, b"")


def judged_segments(
    source: Readable,
    judge: Judge,
    *,
    first: int = 0,
    signatures: bool = True,
    attachments: bool = True,
    ahead: int = SEGMENTS_AHEAD,
) -> Iterator[tuple[Segment, Judged]]:
    """All segments from leaf `first` on, in order, with what was found. Raises Unreadable.

    signatures: whether authors' signatures are checked. attachments: whether what is attached is.
    """
    waiting: deque[tuple[Segment, Callable[[], Judged]]] = deque()
    for segment in _segments(source, first, signatures=signatures, attachments=attachments):
        waiting.append((segment, judge(segment)))
        if len(waiting) > ahead:
            done, result = waiting.popleft()
            yield done, result()
    while waiting:
        done, result = waiting.popleft()
        yield done, result()


def read_leaves(source: Readable) -> Iterator[Leaf]:
    """All leaves with what is attached; signatures are not judged. Raises Unreadable."""
    for segment, judged in judged_segments(source, judge_at_once, signatures=False, ahead=0):
        yield from reread(segment, judged)


def _segments(
    source: Readable, first: int, *, signatures: bool, attachments: bool
) -> Iterator[Segment]:
    beside: Iterator[tuple[bytes, bytes]] = iter(())
    if attachments:
        beside = source.scan(store_keys.attached_key(LeafIndex(first)), _ATTACHED_END)
    key_beside, value_beside = next(beside, _NOTHING)
    leaves: list[bytes] = []
    attached: list[bytes | None] = []
    size_bytes = 0
    start = first
    for index, (key, data) in enumerate(
        source.scan(store_keys.leaf_key(LeafIndex(first)), _LEAVES_END), start=first
    ):
        number = index.to_bytes(8, "big")
        if key != store_keys.LEAF + number:
            yield Segment(start, leaves, attached, signatures, gap=True)
            return
        leaves.append(data)
        size_bytes += len(data)
        if attachments:
            wanted = store_keys.ATTACHED + number
            while key_beside < wanted:
                key_beside, value_beside = next(beside, _NOTHING)
            if key_beside == wanted:
                attached.append(value_beside)
                size_bytes += len(value_beside)
            else:
                attached.append(None)
        if len(leaves) >= SEGMENT_LEAVES or size_bytes > SEGMENT_BYTES_MAX:
            yield Segment(start, leaves, attached, signatures)
            start, leaves, attached, size_bytes = index + 1, [], [], 0
    if leaves:
        yield Segment(start, leaves, attached, signatures)


def with_attached(record: Record, attached: bytes) -> Record:
    """The record with what is attached to it."""
    return msgspec.structs.replace(record, attached=attached)
