"""The words of Raft, each with a type of its own.

Names are the paper's (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm",
2014) and the thesis' (Ongaro 2014). Terms and indexes are both integers and never interchangeable.
"""

from enum import Enum
from typing import Annotated, NewType, TypeAlias

import msgspec
from msgspec import Meta

Term = NewType("Term", int)
"""A period with at most one leader (Raft §5.1); 0 before the first election."""

RaftIndex = NewType("RaftIndex", int)
"""An entry's place in the log (Raft §5.3); the first entry is 1, 0 is before it."""

Tick = NewType("Tick", int)
"""How many times `tick()` was called."""

NodeId: TypeAlias = bytes
"""Who a node is; opaque here, compared and sorted as bytes."""

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]

NO_HASH = bytes(32)


class Role(Enum):
    """What a node does in its term (Raft §5.1, thesis §9.6 for pre-candidates)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One entry of the log as its leader proposed and signed it.

    term, index: where it stands. data: opaque to consensus. proposer: the leader of `term`.
    signature: the proposer's, judged by the `Proposals` port; it travels with the entry for ever.
    """

    term: Number
    index: Number
    data: bytes
    proposer: bytes
    signature: bytes


class Logged(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An entry and its hash, which also covers the hash of the entry before it."""

    entry: Entry
    hash: Digest


class EntryPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in the log, named so that two logs can compare it."""

    index: Number
    term: Number
    hash: Digest


class HardState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a node must never forget (Raft figure 2): its term, its vote in it, what is committed.

    The commit index is not needed for safety, but entries at or below it are never removed.
    """

    term: Number = 0
    vote: bytes | None = None
    commit: Number = 0


class Configuration(msgspec.Struct, frozen=True):
    """Who takes part. `incoming` is empty unless a change is joint (Raft §6).

    Each tuple is sorted and without repeats, and no learner votes. learners: receive everything
    and count for nothing (thesis §4.2.1); a node that has left the voters is served for as long as
    it is named here, and each driver may name others.
    """

    voters: tuple[NodeId, ...]
    incoming: tuple[NodeId, ...] = ()
    learners: tuple[NodeId, ...] = ()

    @property
    def voting(self) -> tuple[NodeId, ...]:
        """Everyone with a vote in some set, sorted."""
        return tuple(sorted({*self.voters, *self.incoming}))

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Everyone, sorted."""
        return tuple(sorted({*self.voters, *self.incoming, *self.learners}))

    def may_become(self, after: "Configuration") -> bool:
        """Whether `after` is one step from here (Raft §6): enter a joint change, leave it, or
        other learners beside the same voters."""
        if (after.voters, after.incoming) == (self.voters, self.incoming):
            return True
        if self.incoming:
            return (after.voters, after.incoming) == (self.incoming, ())
        return after.voters == self.voters
