"""Elections: who asks, who answers, who has won (Raft §5.2, §5.4.1; thesis §4.2.3, §9.6).

The rules:

1. A node campaigns when it has heard of no leader for an election timeout, drawn anew each time
   (Raft §5.2), if it votes and has executed everything it knows committed.
2. It first asks whether it would be elected (PreVote, thesis §9.6), which changes nobody's term.
3. A voter refuses, without moving its term, whoever asks while it hears from a live leader
   (thesis §4.2.3), unless that leader itself asks (P8).
4. One vote a term, durable before it leaves; never given back within the term (P2, P3).
5. Only to a candidate whose log is at least as good (Raft §5.4.1) and whose clock is not ahead; to
   one whose clock is behind only after `LATE_WAITS` election timeouts in which nobody else came.
6. A vote counts once a voter and only for the round it was asked in (P4, P5).
"""

from dataclasses import dataclass, field

from consensus import messages as m
from consensus.quorum import is_lost, is_quorum
from consensus.types import Configuration, NodeId, Term

LATE_WAITS = 3
"""Election timeouts without a leader after which even a candidate whose clock is late may lead."""


@dataclass(slots=True)
class Ballot:
    """The answers to one round of asking; a set of names, so that nobody counts twice."""

    granted: set[NodeId] = field(default_factory=set)
    refused: set[NodeId] = field(default_factory=set)

    def record(self, voter: NodeId, *, granted: bool) -> None:
        """An answer; the first one counts."""
        if voter not in self.granted and voter not in self.refused:
            (self.granted if granted else self.refused).add(voter)

    def won(self, configuration: Configuration) -> bool:
        """Whether a quorum granted."""
        return is_quorum(configuration, self.granted)

    def lost(self, configuration: Configuration) -> bool:
        """Whether no quorum can grant any more."""
        return is_lost(configuration, self.refused)


@dataclass(slots=True)
class ElectionTimer:
    """Ticks since a leader was heard from, or since the last campaign began.

    limit: the timeout drawn for this wait, election_ticks ≤ limit < 2 · election_ticks.
    waits: how many waits were over since a leader was heard from.
    """

    limit: int
    elapsed: int = 0
    waits: int = 0

    def restart(self, limit: int) -> None:
        """Begin a new wait."""
        self.limit = limit
        self.elapsed = 0

    def tick(self) -> bool:
        """One tick later; whether the wait is over."""
        self.elapsed += 1
        over = self.elapsed >= self.limit
        self.waits += over
        return over

    def heard(self) -> None:
        """A leader was heard from: the wait begins anew."""
        self.elapsed = self.waits = 0


def stale_answer(term: Term, message: m.AnyMessage) -> m.AnyMessage | None:
    """The answer to a message of an older term: its sender has to learn of ours, or it waits for
    ever (P6). None: its sender needs none."""
    match message:
        case m.Append() | m.Heartbeat() | m.SnapshotOffer():
            return m.HeartbeatReply(term, 0)
        case m.PreVoteRequest():
            return m.PreVoteReply(term, False)
        case m.VoteRequest():
            return m.VoteReply(term, False)
    return None
