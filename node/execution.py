"""Executing what is committed: entries of the Raft log, or blocks that a certificate proves.

Both ways lead to the same block. After an entry the core hears that it is applied; after proved
blocks it installs the place of the last one. What changes who takes part is adopted at once.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from consensus import Entry, EntryPoint, Logged, Raft
from contracts.consortium import step_between
from ledger import entries
from ledger.certificates import Certificate
from ledger.errors import Malformed
from node import ports
from node.catching_up import CatchingUp, ProvedBlock
from node.chain import Appended, Chain
from node.cosigning import Cosigning
from node.errors import LedgerDiverged
from node.intake import Intake
from node.membership import Membership
from node.write_buffer import WriteBuffer

SIGN_BACKLOG_MAX = 64
"""Committed entries still to execute above which this node, catching up, signs no checkpoint."""

AHEAD_RECORDS_MAX = 2_000
"""Records of committed entries that are parsed and checked ahead of execution, and the rest of the
last entry. Threads are busy with them, and memory holds no more."""

NEAR_ENTRIES = 8
"""Entries above the tip whose records are parsed and checked as soon as they arrive."""

TURN_RECORDS_MAX = 500
"""Records that one turn executes before others have their say; the block under way is finished.

What is left goes on in the next turn, while this turn's batch is written. Thousands at a stretch
would take longer than peers wait for a heartbeat.
"""


class Execution:
    """Executes in order, as long as the next batch has room.

    backlog: committed entries still to execute, in order; of the first of them, as many as `_ahead`
    has counts of records, these are being checked, `_ahead_records` in all. announce(effect): once
    it is durable.
    certified(certificate): the newest one came with blocks; to be told of once it is durable.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        raft: Raft,
        intake: Intake,
        cosigning: Cosigning,
        membership: Membership,
        catching_up: CatchingUp,
        buffer: WriteBuffer,
        gathered_bytes_max: int,
        announce: Callable[[ports.Effect], None],
        certified: Callable[[Certificate], None],
    ) -> None:
        self._chain = chain
        self._raft = raft
        self._intake = intake
        self._cosigning = cosigning
        self._membership = membership
        self._catching_up = catching_up
        self._buffer = buffer
        self._gathered_bytes_max = gathered_bytes_max
        self._announce = announce
        self._certified = certified
        self._turn_records = 0
        self._stopped_short = False
        self.backlog: deque[Logged] = deque()
        self._ahead: deque[int] = deque()
        self._ahead_records = 0
        self._to_install: EntryPoint | None = None

    @property
    def has_room(self) -> bool:
        """Whether this turn may execute more, and more may gather for the next batch."""
        return (
            self._turn_records < TURN_RECORDS_MAX
            and self._buffer.gathered_bytes < self._gathered_bytes_max
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be executed or is asked for."""
        return not self.backlog and self._catching_up.is_idle

    @property
    def has_more(self) -> bool:
        """Whether this turn left what another could execute at once, if there is room for it."""
        return self._stopped_short and self._buffer.gathered_bytes < self._gathered_bytes_max

    def begin_turn(self) -> None:
        """A turn begins."""
        self._turn_records = 0
        self._stopped_short = False

    @property
    def wants_entries(self) -> bool:
        """Whether the core may hand out more committed entries."""
        return len(self.backlog) < SIGN_BACKLOG_MAX and self.has_room

    def arrived(self, appended: Iterable[Entry]) -> None:
        """Entries came from the leader; those that are soon executed are checked from now on.

        One that is executed already came again: nobody would forget what was parsed for it.
        """
        tip = self._chain.tip.height
        for entry in appended:
            if tip < entry.index <= tip + NEAR_ENTRIES:
                # One that is no entry is refused by consensus, with the same parser.
                with suppress(Malformed):
                    self._intake.prepare(entries.parse_entry(entry.data).records)

    def take(self, committed: Iterable[Logged]) -> None:
        """Entries are committed; the signatures of the first are checked now at the latest."""
        self.backlog.extend(committed)
        self._prepare()

    def _prepare(self) -> None:
        while len(self._ahead) < len(self.backlog) and self._ahead_records < AHEAD_RECORDS_MAX:
            records = content(self.backlog[len(self._ahead)]).records
            self._intake.prepare(records)
            self._ahead.append(len(records))
            self._ahead_records += len(records)

    def _next_in_backlog(self) -> Logged:
        """Takes the first entry of the backlog."""
        if self._ahead:
            self._ahead_records -= self._ahead.popleft()
        logged = self.backlog.popleft()
        self._prepare()
        return logged

    def execute(self, *, sign: bool) -> bool:
        """Executes what is ready; whether there was something. sign: as `Cosigning.executed`."""
        if self.is_idle:
            return False
        worked = False
        while self.has_room and (self._execute_entry(sign=sign) or self._execute_proved()):
            worked = True
        self._stopped_short = self._turn_records >= TURN_RECORDS_MAX
        self._install()
        return worked

    def _execute_entry(self, *, sign: bool) -> bool:
        while self.backlog and self.backlog[0].entry.index <= self._chain.tip.height:
            self._next_in_backlog()
        if not self.backlog or self.backlog[0].entry.index != self._chain.tip.height + 1:
            return False
        entry = content(self.backlog[0])
        candidates = self._intake.candidates(entry.records)
        if candidates is None:
            return False
        self._install()
        logged = self._next_in_backlog()
        appended = self._chain.execute(
            term=logged.entry.term, entry_hash=logged.hash, entry=entry, candidates=candidates
        )
        self._turn_records += len(entry.records)
        self._raft.applied_to(logged.entry.index)
        self._intake.executed(appended, entry.records, candidates)
        gather = len(self.backlog) < SIGN_BACKLOG_MAX
        self._cosigning.executed(appended, gather=gather, sign=sign)
        if self._membership.executed(appended):
            self._raft.adopt(self._membership.configuration())
            self._announce(ports.MembersChanged())
        self._catching_up.executed()
        return True

    def _execute_proved(self) -> bool:
        self._catching_up.executed()
        if not self._catching_up.waiting:
            return False
        block = self._catching_up.waiting[0]
        if block.header.previous_hash != self._chain.tip.block_hash or self._is_other(block):
            self._catching_up.start_over()
            return False
        candidates = self._intake.candidates(block.records)
        if candidates is None:
            return False
        header = block.header
        step = step_between(self._chain.tip.voters, header.voters)
        appended = self._chain.execute(
            term=header.term,
            entry_hash=header.entry_hash,
            entry=entries.Entry(header.time_ms, step, block.records),
            candidates=candidates,
        )
        if appended.block.header_bytes != block.header_bytes:
            raise LedgerDiverged(f"block {header.height} executes to another one here")
        self._turn_records += len(block.records)
        self._intake.executed(appended, block.records, candidates)
        self._proved(block, appended)
        return True

    def _is_other(self, block: ProvedBlock) -> bool:
        """Whether another entry is known as committed for this block's place.

        Some leader lied. The entry is executed, and then a certificate contradicts this ledger.
        """
        height = block.header.height
        if not self._raft.compacted_index < height <= self._raft.commit_index:
            return False
        return self._raft.entry(height).hash != block.header.entry_hash

    def _proved(self, block: ProvedBlock, appended: Appended) -> None:
        header = block.header
        self._cosigning.executed(appended, gather=False, sign=False)
        if block.certificate is not None and self._cosigning.adopt(block.certificate):
            self._certified(block.certificate)
        if self._membership.executed(appended):
            self._announce(ports.MembersChanged())
        self._to_install = EntryPoint(header.height, header.term, header.entry_hash)
        self._catching_up.executed()

    def _install(self) -> None:
        """Tells the core where the executed blocks end; the same batch holds both (P40)."""
        point, self._to_install = self._to_install, None
        if point is not None:
            self._raft.install(point, self._membership.configuration())


def content(logged: Logged) -> entries.Entry:
    """An entry's content; consensus let it in by the same parser."""
    return entries.parse_entry(logged.entry.data)
