"""What this node does as leader: the empty entry of its term, then what is queued, on its clock.

The block time is the leader's clock and never goes back: a new leader begins at the time of the
newest entry in its log.
"""

from consensus import ProposalRefused, Raft, Role
from ledger.codec import encode
from ledger.entries import Entry, Step, parse_entry
from node.chain import Chain
from node.intake import Intake
from node.ports import Clock


class Leading:
    """Proposes entries while this node leads; does nothing while it does not.

    records_max, bytes_max: of one entry. in_flight_max: uncommitted entries before records gather.
    """

    def __init__(
        self,
        *,
        raft: Raft,
        chain: Chain,
        intake: Intake,
        clock: Clock,
        records_max: int,
        bytes_max: int,
        in_flight_max: int,
    ) -> None:
        self._raft = raft
        self._chain = chain
        self._intake = intake
        self._clock = clock
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._in_flight_max = in_flight_max
        self._leads_term = 0
        self._last_time_ms = chain.tip.time_ms

    def propose(self) -> bool:
        """Proposes what is due; whether there was something."""
        raft = self._raft
        if raft.role is not Role.LEADER:
            return False
        if self._leads_term != raft.term:
            self._last_time_ms = max(self._last_time_ms, self._newest_time_ms())
            if not self._propose(None, ()):
                return False
            self._leads_term = raft.term
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

    def _propose(self, step: Step | None, records: tuple[bytes, ...]) -> bool:
        self._last_time_ms = max(self._last_time_ms, self._clock.now_ms())
        data = encode(Entry(self._last_time_ms, step, records))
        return not isinstance(self._raft.propose(data), ProposalRefused)

    def _newest_time_ms(self) -> int:
        last = self._raft.last_index
        if last <= self._chain.tip.height:
            return self._chain.tip.time_ms
        return parse_entry(self._raft.entry(last).entry.data).time_ms
