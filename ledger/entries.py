"""What a Raft entry carries: the leader's time, at most one configuration step, and records.

    entry = [time_ms, step or nil, [record bytes …]]

Every committed entry makes exactly one block, also an empty one, so height = Raft index. `step` is
how the consensus' configuration changes ("enter joint", "leave joint") and has an effect only if an
executed block decided it. The records are the bytes as their authors' nodes sent them.
"""

from typing import Annotated, Literal

from msgspec import Meta

from ledger.codec import Decoder, Format
from ledger.records import RECORD_BYTES_MAX
from ledger.types import Natural, NodeId

ENTRY_RECORDS_MAX = 10_000
"""Limit of the records in one entry."""

ENTRY_BYTES_MAX = 8 * 1024 * 1024
"""Limit of one entry, in bytes; greater than the largest record."""

NodeSet = Annotated[tuple[NodeId, ...], Meta(min_length=1, max_length=64)]


class Step(Format, frozen=True):
    """A configuration step: the sets of voters that are in force after it, each sorted.

    incoming: the set that joins while joint; empty when the step leaves the joint configuration.
    """

    action: Literal["enter-joint", "leave-joint"]
    voters: NodeSet
    incoming: Annotated[tuple[NodeId, ...], Meta(max_length=64)]


class Entry(Format, frozen=True):
    """The decoded data of a Raft entry; time_ms is Unix time by the leader's clock."""

    time_ms: Natural
    step: Step | None
    records: Annotated[
        tuple[Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)], ...],
        Meta(max_length=ENTRY_RECORDS_MAX),
    ]


_ENTRY: Decoder[Entry] = Decoder(Entry, what="entry", bytes_max=ENTRY_BYTES_MAX)


def parse_entry(data: bytes) -> Entry:
    """An entry from its bytes; its records are not parsed here. Raises Malformed."""
    return _ENTRY.decode(data)
