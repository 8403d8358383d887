"""Linearizable reads without writing: ReadIndex (thesis §6.4).

A leader may serve a read as of its commit index if it has committed an entry of its own term (P48)
and a quorum has answered a heartbeat that was sent after the read arrived (P49): then nobody else
has committed anything newer before. There are no lease reads: clocks may pause (P50).

Rounds are numbered within a term and never reused; a read waits for a round that begins after it.
A follower numbers what it asks anew each time, whatever token the driver gives, from a start that
is drawn at random: so a late answer never serves a read that began after it (P49), not even over a
restart.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consensus.messages import ReadReply, ReadRequest
from consensus.quorum import is_quorum
from consensus.ready import ReadState
from consensus.settings import Settings
from consensus.types import Configuration, NodeId, RaftIndex, Term


@dataclass(frozen=True, slots=True)
class Waiting:
    """A read that waits at the leader. asker: None if it is the leader's own.

    number: the driver's token if the read is the leader's own, else the asker's number.
    """

    asker: NodeId | None
    number: int


@dataclass(slots=True)
class _Asked:
    token: int
    ticks_left: int


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


class Reads:
    """One node's reads: those it asked its leader for, and those it confirms as leader.

    send(to, message): a message that rests on nothing undurable.
    first_number: of what this node asks; drawn at random, 0 ≤ first_number < 2**62.
    """

    __slots__ = (
        "_asked",
        "_confirmations",
        "_next_number",
        "_node_id",
        "_ready",
        "_send",
        "_settings",
    )

    def __init__(
        self,
        node_id: NodeId,
        settings: Settings,
        send: Callable[[NodeId, ReadRequest | ReadReply], None],
        *,
        first_number: int,
    ) -> None:
        self._node_id = node_id
        self._settings = settings
        self._send = send
        self._confirmations = Confirmations()
        self._asked: dict[int, _Asked] = {}
        self._next_number = first_number
        self._ready: list[ReadState] = []

    @property
    def round(self) -> int:
        """The newest round, for heartbeats."""
        return self._confirmations.number

    def lead(self) -> None:
        """A new term of leading: rounds are numbered anew."""
        self._confirmations = Confirmations()

    def ask(self, token: int, *, leader: NodeId | None, term: Term) -> None:
        """As a follower: asks the leader, if there is one and there is room."""
        if leader is None or len(self._asked) >= self._settings.reads_max:
            self._ready.append(ReadState(token, None))
        else:
            self._asked[self._next_number] = _Asked(token, self._settings.election_ticks)
            self._send(leader, ReadRequest(term, self._next_number))
            self._next_number += 1

    def accept(self, asker: NodeId | None, number: int, *, leads: bool, term: Term) -> None:
        """A read arrived, from a peer or (None) from this node: kept if this node leads."""
        if leads and len(self._confirmations) < self._settings.reads_max:
            self._confirmations.add(Waiting(asker, number))
        else:
            self._answer(Waiting(asker, number), None, term)

    def begin(self, commit: RaftIndex) -> bool:
        """Starts a round; whether heartbeats must carry it."""
        return self._confirmations.begin(own_id=self._node_id, commit=commit)

    def answered(self, node_id: NodeId, number: int) -> None:
        """A peer answered the heartbeat of a round."""
        self._confirmations.answered(node_id, number)

    def finish(self, configuration: Configuration, *, term: Term) -> bool:
        """Answers the reads of the round, if a quorum has answered; whether it has."""
        finished = self._confirmations.finish(configuration)
        if finished is None:
            return False
        index, reads = finished
        for read in reads:
            self._answer(read, index, term)
        return True

    def replied(self, reply: ReadReply) -> None:
        """The leader's answer; one that nobody waits for any more is ignored (P49)."""
        asked = self._asked.pop(reply.token, None)
        if asked is not None:
            index = None if reply.index is None else RaftIndex(reply.index)
            self._ready.append(ReadState(asked.token, index))

    def tick(self) -> None:
        """Gives up what a leader has not answered in an election timeout."""
        for number, asked in list(self._asked.items()):
            asked.ticks_left -= 1
            if asked.ticks_left == 0:
                del self._asked[number]
                self._ready.append(ReadState(asked.token, None))

    def refuse_all(self, *, term: Term) -> None:
        """Another leader was asked, or this node can no longer confirm."""
        self._ready += [ReadState(asked.token, None) for asked in self._asked.values()]
        self._asked.clear()
        for read in self._confirmations.drain():
            self._answer(read, None, term)

    def take(self) -> tuple[ReadState, ...]:
        """Reads that are decided, each once."""
        if not self._ready:
            return ()
        ready, self._ready = self._ready, []
        return tuple(ready)

    def _answer(self, read: Waiting, index: RaftIndex | None, term: Term) -> None:
        if read.asker is None:
            self._ready.append(ReadState(read.number, index))
        else:
            self._send(read.asker, ReadReply(term, read.number, index))
