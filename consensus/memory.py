"""A store in memory and proposals without signatures: for tests, comparisons and first drivers.

`MemoryStorage.write` is also the shortest account of what any store has to do with a write.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from consensus.ready import Unwritten, Verdict
from consensus.types import NO_HASH, Entry, EntryPoint, HardState, Logged, NodeId


@dataclass(slots=True)
class MemoryStorage:
    """A `LogStorage` that keeps what was written, and forgets it with the process."""

    hard: HardState = HardState()
    start: EntryPoint = EntryPoint(0, 0, NO_HASH)
    entries: dict[int, Logged] = field(default_factory=dict)
    last: int = 0

    def write(self, unwritten: Unwritten) -> None:
        """All of it or nothing; on a disk, synced."""
        if unwritten.hard_state is not None:
            self.hard = unwritten.hard_state
        if unwritten.log_start is not None:
            self.start = unwritten.log_start
        self.entries |= {logged.entry.index: logged for logged in unwritten.entries}
        self.last = unwritten.last_index
        for index in [at for at in self.entries if not self.start.index < at <= self.last]:
            del self.entries[index]

    def hard_state(self) -> HardState:
        """The newest hard state that was written."""
        return self.hard

    def compacted(self) -> EntryPoint:
        """Where the log begins."""
        return self.start

    def last_index(self) -> int:
        """Where the log ends."""
        return self.last

    def entry(self, index: int) -> Logged | None:
        """The entry at `index`."""
        return self.entries.get(index)


class UnsignedProposals:
    """`Proposals` among nodes that trust each other and run on one clock."""

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
        """No signature."""
        return b""

    def entry_hash(self, entry: Entry, previous_hash: bytes) -> bytes:
        """SHA-256 over the previous hash, term, index and data."""
        place = entry.term.to_bytes(8, "big") + entry.index.to_bytes(8, "big")
        return sha256(previous_hash + place + entry.data).digest()

    def check(self, entry: Entry, previous_hash: bytes) -> Verdict:
        """Every entry is good."""
        return Verdict.ACCEPT

    def sign_transfer(self, *, term: int, target: NodeId) -> bytes:
        """No signature."""
        return b""

    def check_transfer(
        self, *, leader: NodeId, term: int, target: NodeId, signature: bytes
    ) -> bool:
        """Every transfer is good."""
        return True

    def now_ms(self) -> int:
        """Always the same moment."""
        return 0

    def is_early(self, time_ms: int) -> bool:
        """Nobody is early."""
        return False

    def is_late(self, time_ms: int) -> bool:
        """Nobody is late."""
        return False
