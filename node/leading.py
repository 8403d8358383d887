"""What this node does as leader: the empty entry of its term, then what is queued, on its clock.

The block time is the leader's clock and never goes back: a new leader begins at the time of the
newest entry in its log.

Voters elect nobody whose clock is ahead of theirs, and whoever is behind only if nobody else
comes; so a leader's clock is right by a majority when its term begins. If it leaps later, the
leader steps down before it proposes by it (docs/adr/0008). Leapt ahead: an entry from the future
would be refused by everyone else until time has caught up with it, and whoever holds it can
neither be outvoted by fewer than a majority nor drop it. Leapt back: the ledger's time would
stand still, and whoever has the right time would be from the future.
"""

from consensus import ProposalRefused, Raft, Role
from consensus.types import Tick
from contracts.consortium import next_step
from ledger.codec import encode
from ledger.entries import Entry, Step, parse_entry
from ledger.types import NodeId
from node.chain import Chain
from node.cosigning import Cosigning
from node.intake import Intake
from node.ports import Clock
from node.raft_log import FUTURE_MS_MAX

RECENT_BLOCKS = 100
"""How far behind the tip a checkpoint may be that shows that a node keeps up."""


class Leading:
    """Proposes entries while this node leads; does nothing while it does not.

    records_max, bytes_max: of one entry. in_flight_max: uncommitted entries before records gather.
    patience_ticks: for another voter to take over.
    """

    def __init__(
        self,
        *,
        raft: Raft,
        chain: Chain,
        intake: Intake,
        cosigning: Cosigning,
        clock: Clock,
        records_max: int,
        bytes_max: int,
        in_flight_max: int,
        patience_ticks: Tick,
    ) -> None:
        self._raft = raft
        self._chain = chain
        self._intake = intake
        self._cosigning = cosigning
        self._clock = clock
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._in_flight_max = in_flight_max
        self._patience_ticks = patience_ticks
        self._handing_over_ticks = 0
        self._leads_term = 0
        self._last_time_ms = chain.tip.time_ms
        self._read_ms = clock.now_ms()
        self._leapt_term = -1
        self._next_step: tuple[int, Step | None] = (-1, None)

    def propose(self) -> bool:
        """Proposes what is due; whether there was something."""
        raft = self._raft
        if raft.role is not Role.LEADER:
            return False
        if self._leads_term != raft.term:
            if self._has_leapt():
                return False
            self._last_time_ms = max(self._last_time_ms, self._newest_time_ms())
            if not self._propose(None, ()):
                return False
            self._leads_term = raft.term
            return True
        step = self._due()
        if (step is None and not self._intake.queued) or self._has_leapt():
            return False
        if step is not None and self._propose(step, ()):
            return True
        if not self._intake.queued:
            return False
        if raft.last_index - raft.commit_index >= self._in_flight_max:
            return False
        taken = self._intake.take(records_max=self._records_max, bytes_max=self._bytes_max)
        if self._propose(None, tuple(raw for _, raw in taken)):
            return True
        self._intake.give_back(taken)
        return False

    def tick(self) -> None:
        """One tick has passed; a leader whose clock leapt leads no more."""
        if self._has_leapt():
            self._raft.abdicate()
        if self._handing_over_ticks:
            self._handing_over_ticks += 1
        if self._raft.role is not Role.LEADER:
            self._handing_over_ticks = 0

    def _has_leapt(self) -> bool:
        """Whether the clock leapt within this term: by more than others put up with, since it was
        read last, a tick ago at most. A process that was paused for so long is no better."""
        now_ms = self._clock.now_ms()
        if abs(now_ms - self._read_ms) > FUTURE_MS_MAX:
            self._leapt_term = self._raft.term
        self._read_ms = now_ms
        return self._leapt_term == self._raft.term

    def abdicate(self) -> None:
        """Leads no more from now on; the heir, if it holds the whole log, campaigns at once."""
        heir = self._heir()
        if heir is not None:
            self._raft.transfer(heir)
        self._raft.abdicate()

    def hand_over(self) -> None:
        """Hands over to the heir once it holds the whole log, or steps down if that takes long."""
        if not self._handing_over_ticks:
            heir = self._heir()
            if heir is not None and self._raft.transfer(heir) is None:
                self._handing_over_ticks = 1
        if not 0 < self._handing_over_ticks <= self._patience_ticks:
            self._raft.abdicate()

    def _heir(self) -> NodeId | None:
        """The voter that holds most of the log, among those that were heard from lately."""
        raft = self._raft
        best: tuple[int, NodeId] | None = None
        for node in raft.configuration.voting:
            progress = raft.progress(node)
            if progress is not None and progress.is_active(self._patience_ticks):
                best = max(best or (0, node), (progress.match, node))
        return None if best is None else best[1]

    def _due(self) -> Step | None:
        """The step into or out of a joint configuration that may be proposed now.

        Into: once a majority of the new set has signed a recent checkpoint, so that the ledger does
        not wait for nodes that have it not. Out of: once the block that entered is certified.
        """
        step = self._step_after_tip()
        if step is None:
            return None
        if self._raft.applied_index < self._raft.last_index:
            return None
        if step.action == "leave-joint":
            return step if self._cosigning.uncertified_change() is None else None
        recent = self._chain.tip.height - RECENT_BLOCKS
        ready = sum(self._cosigning.has_signed(node, since=recent) for node in step.incoming)
        return step if 2 * ready > len(step.incoming) else None

    def _step_after_tip(self) -> Step | None:
        """`next_step` as of the tip, worked out once a block."""
        height = self._chain.tip.height
        if self._next_step[0] != height:
            self._next_step = (height, next_step(self._chain.view, self._chain.tip.voters))
        return self._next_step[1]

    def _propose(self, step: Step | None, records: tuple[bytes, ...]) -> bool:
        self._last_time_ms = max(self._last_time_ms, self._clock.now_ms())
        data = encode(Entry(self._last_time_ms, step, records))
        outcome = self._raft.propose(data, changes_configuration=step is not None)
        return not isinstance(outcome, ProposalRefused)

    def _newest_time_ms(self) -> int:
        last = self._raft.last_index
        if last <= self._chain.tip.height:
            return self._chain.tip.time_ms
        return parse_entry(self._raft.entry(last).entry.data).time_ms
