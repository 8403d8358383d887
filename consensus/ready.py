"""What the core hands to its driver: the boundary of consensus, beside its methods.

`Ready` can be carried out at once. `Unwritten` must be durable first; the messages that rest on it
stay inside the core until the driver says `persisted()`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from consensus.messages import AnyMessage
from consensus.types import Entry, HardState, Logged, NodeId, RaftIndex, Role, Term


class Verdict(Enum):
    """What a node thinks of an entry that another proposes."""

    ACCEPT = "accept"
    FORGED = "forged"
    EARLY = "early"


class Proposals(Protocol):
    """Signs, hashes and judges entries, and knows the wall clock. Pure but for the clock."""

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
        """This node's signature on the entry it proposes."""

    def entry_hash(self, entry: Entry, previous_hash: bytes) -> bytes:
        """The entry's hash, 32 bytes, which covers `previous_hash`."""

    def check(self, entry: Entry, previous_hash: bytes) -> Verdict:
        """FORGED: not its proposer's signature, or data that is no entry.

        EARLY: its time is too far ahead of this node's clock.
        """

    def now_ms(self) -> int:
        """This node's clock, for vote requests."""

    def is_early(self, time_ms: int) -> bool:
        """Whether a candidate's clock is too far ahead of this node's."""


@dataclass(frozen=True, slots=True)
class ProposalRefused:
    """The data was not proposed, and certainly not by this call.

    why: "not-leader" (leader says who is, if known) or "too-much-uncommitted" (try again later).
    """

    why: str
    leader: NodeId | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to a peer; it may be lost, doubled, late or out of order."""

    to: NodeId
    message: AnyMessage


@dataclass(frozen=True, slots=True)
class ReadState:
    """A read may run once `index` is applied; None: there was no leader to confirm it."""

    token: int
    index: RaftIndex | None


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two entries that one leader signed for one place; both signatures are good."""

    kept: Entry
    refused: Entry
    previous_hash_kept: bytes
    previous_hash_refused: bytes


@dataclass(frozen=True, slots=True)
class CommittedReplaced:
    """An append would have replaced an entry that is committed here: refused, and kept."""

    sender: NodeId
    kept: Entry
    refused: Entry


Evidence = Equivocation | CommittedReplaced


@dataclass(frozen=True, slots=True)
class SoftState:
    """What need not survive: who leads, and what this node does."""

    role: Role
    term: Term
    leader: NodeId | None


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that can be carried out now, in any order.

    committed: entries to execute, in order, each handed out once.
    soft_state: set when it changed.
    """

    messages: tuple[Outgoing, ...]
    committed: tuple[Logged, ...]
    reads: tuple[ReadState, ...]
    evidence: tuple[Evidence, ...]
    soft_state: SoftState | None


@dataclass(frozen=True, slots=True)
class Unwritten:
    """One synced write. Entries replace whatever the store holds at their indexes and above.

    hard_state: None if it did not change. last_index: the log's end after the write; entries that
    the store holds above it must go with the same write.
    """

    hard_state: HardState | None
    entries: tuple[Logged, ...]
    last_index: int
