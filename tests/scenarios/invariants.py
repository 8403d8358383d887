"""What must hold of a cluster at every moment (Raft figure 3, and what rests on it).

Election safety, one vote a term, log matching, leader completeness, state machine safety; commit
and terms that only rise; no acknowledged copy that is not on disk.
"""

from collections.abc import Iterable

from consensus import Logged, NodeId, Role
from consensus.messages import VoteReply, VoteRequest
from scenarios.driver import Done, Driver


class Broken(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """Remembers what a cluster has ever decided, and compares.

    honest: nodes whose executions must agree; a script may excuse a node that a liar led astray.
    """

    def __init__(self) -> None:
        self.leaders: dict[int, NodeId] = {}
        self.votes: dict[tuple[int, NodeId], NodeId] = {}
        self.decided: dict[int, tuple[bytes, int]] = {}
        self.executed: dict[NodeId, int] = {}
        self.excused: set[NodeId] = set()

    def saw(self, driver: Driver, done: Done) -> None:
        """After each input to a node: what it led to."""
        node, raft = driver.node_id, driver.raft
        for outgoing in done.messages:
            if isinstance(outgoing.message, VoteReply) and outgoing.message.granted:
                self._voted(outgoing.message.term, node, outgoing.to)
            elif isinstance(outgoing.message, VoteRequest):
                self._voted(outgoing.message.term, node, node)
        if raft.role is Role.LEADER and self.leaders.setdefault(raft.term, node) != node:
            raise Broken(f"election safety: two leaders in term {raft.term}")
        if node not in self.excused:
            self._executed(driver, done.executed)

    def _voted(self, term: int, voter: NodeId, candidate: NodeId) -> None:
        if self.votes.setdefault((term, voter), candidate) != candidate:
            raise Broken(f"{voter.decode()} votes twice in term {term}")

    def _executed(self, driver: Driver, entries: Iterable[Logged]) -> None:
        for logged in entries:
            index = logged.entry.index
            expected = self.executed.get(driver.node_id, 0) + 1
            if index > expected:
                raise Broken(f"{driver.node_id.decode()} executes {index}, not {expected}")
            self.executed[driver.node_id] = max(index, expected - 1)
            known = self.decided.setdefault(index, (logged.hash, driver.raft.term))
            if known[0] != logged.hash:
                raise Broken(f"state machine safety: two entries executed at {index}")

    def restarted(self, driver: Driver) -> None:
        """A node begins again from what its disk holds executed, or goes on from a state."""
        self.executed[driver.node_id] = driver.raft.applied_index

    def check(self, drivers: Iterable[Driver]) -> None:
        """Compares every node with every other."""
        alive = [each for each in drivers if each.node_id not in self.excused]
        for number, one in enumerate(alive):
            if one.raft.role is Role.LEADER:
                self._complete(one)
                self._copies(one, alive)
            for other in alive[number + 1 :]:
                log_matching(one, other)

    def _complete(self, leader: Driver) -> None:
        for index, (entry_hash, term) in self.decided.items():
            if term < leader.raft.term and hash_at(leader, index) not in (entry_hash, None):
                raise Broken(f"leader completeness: {leader.node_id.decode()} lacks {index}")
            if term < leader.raft.term and index > leader.raft.last_index:
                raise Broken(f"leader completeness: {leader.node_id.decode()} lacks {index}")

    def _copies(self, leader: Driver, drivers: list[Driver]) -> None:
        """A match index never speaks of what is not on the peer's disk."""
        for peer in drivers:
            progress = leader.raft.progress(peer.node_id)
            if progress is None or peer.disk.hard.term > leader.raft.term:
                continue
            if progress.match > peer.disk.last_index():
                raise Broken(
                    f"{peer.node_id.decode()} holds {peer.disk.last_index()} on disk, "
                    f"and its leader counts {progress.match}"
                )


def hash_at(driver: Driver, index: int) -> bytes | None:
    """The hash at an index; None where the log begins later or ends before."""
    if not driver.raft.compacted_index < index <= driver.raft.last_index:
        return None
    return driver.raft.entry(index).hash


def log_matching(one: Driver, other: Driver) -> None:
    """Equal terms at an index mean equal logs up to it (Raft §5.3)."""
    for index in range(min(one.raft.last_index, other.raft.last_index), 0, -1):
        mine, theirs = hash_at(one, index), hash_at(other, index)
        if mine is None or theirs is None:
            return
        if one.raft.entry(index).entry.term == other.raft.entry(index).entry.term:
            if mine != theirs:
                raise Broken(
                    f"log matching: {one.node_id.decode()} and {other.node_id.decode()} "
                    f"differ at {index}"
                )
            return
