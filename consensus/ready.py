"""What the core hands to its driver: the boundary of consensus, beside its methods.

`Ready` can be carried out at once. `Unwritten` must be durable first; the messages that rest on it
stay inside the core until the driver says `persisted()`.
"""

from enum import Enum
from typing import Protocol

import msgspec

from consensus.messages import AnyMessage
from consensus.types import Entry, EntryPoint, HardState, Logged, NodeId, RaftIndex, Role, Term


class Verdict(Enum):
    """What a node thinks of an entry that another proposes."""

    ACCEPT = "accept"
    FORGED = "forged"
    EARLY = "early"


class Proposals(Protocol):
    """Signs, hashes and judges entries, and knows the wall clock. Pure but for the clock.

    Signatures of transfers have at most `SIGNATURE_BYTES_MAX` bytes.
    """

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
        """This node's signature on the entry it proposes."""

    def entry_hash(self, entry: Entry, previous_hash: bytes) -> bytes:
        """The entry's hash, 32 bytes, which covers `previous_hash`."""

    def check(self, entry: Entry, previous_hash: bytes) -> Verdict:
        """FORGED: not its proposer's signature, or data that is no entry.

        EARLY: its time is too far ahead of this node's clock.
        """

    def sign_transfer(self, *, term: int, target: NodeId) -> bytes:
        """This node's signature, as leader of `term`, that `target` may campaign at once."""

    def check_transfer(
        self, *, leader: NodeId, term: int, target: NodeId, signature: bytes
    ) -> bool:
        """Whether `signature` is that of `leader`."""

    def now_ms(self) -> int:
        """This node's clock, for vote requests."""

    def is_early(self, time_ms: int) -> bool:
        """Whether a candidate's clock is too far ahead of this node's."""

    def is_late(self, time_ms: int) -> bool:
        """Whether a candidate's clock is so far behind this node's that others should lead."""


class ProposalRefused(msgspec.Struct, frozen=True):
    """The data was not proposed, and certainly not by this call.

    why: "not-leader" (leader says who is, if known), "too-much-uncommitted" (try again later),
    "transferring" (leadership is being handed over), or "change-pending" (a configuration step has
    to wait for the one before, or for the term's first entry to commit).
    """

    why: str
    leader: NodeId | None


class TransferRefused(msgspec.Struct, frozen=True):
    """Leadership is not being handed over.

    why: "not-leader", "itself" (the target leads already), "not-a-voter", "transferring" (to
    somebody else), or "too-old" (the target's version knows no transfer).
    """

    why: str


class Outgoing(msgspec.Struct, frozen=True):
    """A message to a peer; it may be lost, doubled, late or out of order."""

    to: NodeId
    message: AnyMessage


class ReadState(msgspec.Struct, frozen=True):
    """A read may run once `index` is applied; None: there was no leader to confirm it."""

    token: int
    index: RaftIndex | None


class Equivocation(msgspec.Struct, frozen=True):
    """Two entries that one leader signed in one term and that exclude each other.

    They are for one index, and differ or build on different logs; or `kept` is for the index after
    `refused` and does not build on it. Both signatures are good, each over its previous hash.
    """

    kept: Entry
    refused: Entry
    previous_hash_kept: bytes
    previous_hash_refused: bytes


class CommittedReplaced(msgspec.Struct, frozen=True):
    """An append would have replaced an entry that is committed here: refused, and kept."""

    sender: NodeId
    kept: Entry
    refused: Entry
    previous_hash_kept: bytes
    previous_hash_refused: bytes


Evidence = Equivocation | CommittedReplaced


class SoftState(msgspec.Struct, frozen=True):
    """What need not survive: who leads, and what this node does."""

    role: Role
    term: Term
    leader: NodeId | None


class SnapshotWanted(msgspec.Struct, frozen=True):
    """This node is behind where the leader's log begins: it needs the state at `point` or later.

    The driver fetches it, from whomever, and checks it; a leader's word is no proof (P41).
    """

    leader: NodeId
    point: EntryPoint


class Ready(msgspec.Struct, frozen=True):
    """Everything that can be carried out now, in any order.

    committed: entries to execute, in order, each handed out once.
    soft_state: set when it changed.
    snapshot: a state to fetch; it is said again from time to time until it is installed.
    """

    messages: tuple[Outgoing, ...]
    committed: tuple[Logged, ...]
    reads: tuple[ReadState, ...]
    evidence: tuple[Evidence, ...]
    soft_state: SoftState | None
    snapshot: SnapshotWanted | None


NOTHING = Ready((), (), (), (), None, None)
"""What is ready most of the time."""


class Unwritten(msgspec.Struct, frozen=True):
    """One synced write. Entries replace whatever the store holds at their indexes and above.

    hard_state: None if it did not change. log_start: the entry after which the log begins from now
    on, None if that did not change; entries at or below it go with the same write. last_index: the
    log's end after the write; entries that the store holds above it go with the same write.
    """

    hard_state: HardState | None
    log_start: EntryPoint | None
    entries: tuple[Logged, ...]
    last_index: int
