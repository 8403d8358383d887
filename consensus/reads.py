"""Linearizable reads without writing: ReadIndex (thesis §6.4).

A leader may serve a read as of its commit index if it has committed an entry of its own term (P48)
and a quorum has answered a heartbeat that was sent after the read arrived (P49): then nobody else
has committed anything newer before. There are no lease reads: clocks may pause (P50).

Rounds are numbered within a term and never reused; a read waits for a round that begins after it.
"""

from collections import deque
from dataclasses import dataclass

from consensus.quorum import is_quorum
from consensus.types import Configuration, NodeId, RaftIndex


@dataclass(frozen=True, slots=True)
class Waiting:
    """A read that waits at the leader. asker: None if it is the leader's own."""

    asker: NodeId | None
    token: int


@dataclass(slots=True)
class _Round:
    number: int
    index: RaftIndex
    reads: list[Waiting]
    answered: set[NodeId]


class Confirmations:
    """A leader's reads: those that wait for a round, and the one round under way."""

    __slots__ = ("_round", "_waiting", "number")

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._round: _Round | None = None
        self.number = 0

    def __len__(self) -> int:
        return len(self._waiting) + (0 if self._round is None else len(self._round.reads))

    def add(self, read: Waiting) -> None:
        """A read arrived; it waits for the next round."""
        self._waiting.append(read)

    def begin(self, *, own_id: NodeId, commit: RaftIndex) -> bool:
        """Starts a round for every waiting read; False if there is none, or one is under way."""
        if self._round is not None or not self._waiting:
            return False
        self.number += 1
        self._round = _Round(self.number, commit, list(self._waiting), {own_id})
        self._waiting.clear()
        return True

    def answered(self, node_id: NodeId, number: int) -> None:
        """A peer answered the heartbeat of round `number` in this term."""
        if self._round is not None and number >= self._round.number:
            self._round.answered.add(node_id)

    def finish(self, configuration: Configuration) -> tuple[RaftIndex, list[Waiting]] | None:
        """The reads of the round and their index, if a quorum has answered."""
        if self._round is None or not is_quorum(configuration, self._round.answered):
            return None
        done, self._round = self._round, None
        return done.index, done.reads

    def drain(self) -> list[Waiting]:
        """Every read: this node leads no more."""
        reads = list(self._waiting)
        if self._round is not None:
            reads = self._round.reads + reads
        self._waiting.clear()
        self._round = None
        return reads
