"""A cluster of drivers and the messages between them, each delivered, lost or doubled by choice."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from consensus import Configuration, Entry, NodeId, Settings, SnapshotWanted
from consensus.messages import AnyMessage
from consensus.ready import Evidence, ReadState
from scenarios.driver import Done, Driver
from scenarios.invariants import Invariants

ROUNDS_MAX = 1_000
"""Limit of rounds until a cluster is quiet; one that talks longer talks for ever."""


def digest(entry: Entry, previous_hash: Any) -> bytes:
    """An entry's hash, which covers the one before it."""
    text = b"%b %d %d %b %b" % (previous_hash, entry.term, entry.index, entry.proposer, entry.data)
    return sha256(text).digest()


@dataclass(frozen=True, slots=True)
class Letter:
    """A message under way."""

    sender: NodeId
    to: NodeId
    message: AnyMessage


class Cluster:
    """Nodes, and what is under way between them.

    cut: links (from, to) that lose whatever is sent on them. draw(node, n): the random number, of
    0 ≤ x < n, that a node gets.
    """

    def __init__(
        self,
        configuration: Configuration,
        settings: Settings,
        draw: Callable[[NodeId, int], int],
    ) -> None:
        self.mail: deque[Letter] = deque()
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.down: set[NodeId] = set()
        self.reads: dict[NodeId, list[ReadState]] = {}
        self.wanted: dict[NodeId, SnapshotWanted] = {}
        self.evidence: dict[NodeId, list[Evidence]] = {}
        self.invariants = Invariants()
        self.nodes: dict[NodeId, Driver] = {}
        for node in configuration.members:
            self.nodes[node] = self._made(node, configuration, settings, draw)

    def _made(
        self,
        node: NodeId,
        configuration: Configuration,
        settings: Settings,
        draw: Callable[[NodeId, int], int],
    ) -> Driver:
        return Driver(
            node, configuration, settings, lambda below: draw(node, below), entry_hash=digest
        )

    @property
    def alive(self) -> list[Driver]:
        """The drivers that run, in the order of their names."""
        return [each for node, each in self.nodes.items() if node not in self.down]

    def turn(self, node: NodeId) -> None:
        """After an input to a node: what it does goes where it belongs, and is checked."""
        driver = self.nodes[node]
        done = driver.turn()
        self.invariants.saw(driver, done)
        self.reads.setdefault(node, []).extend(done.reads)
        if done.snapshot is not None:
            self.wanted[node] = done.snapshot
        self.evidence.setdefault(node, []).extend(done.evidence)
        self._post(node, done)

    def _post(self, sender: NodeId, done: Done) -> None:
        for outgoing in done.messages:
            if (sender, outgoing.to) not in self.cut:
                self.mail.append(Letter(sender, outgoing.to, outgoing.message))

    def tick(self, node: NodeId) -> None:
        """One tick at one node."""
        self.nodes[node].raft.tick()
        self.turn(node)

    def hears_nobody(self, node: NodeId) -> None:
        """An election timeout passes in which this node hears of no leader, and no quorum."""
        raft = self.nodes[node].raft
        raft.abdicate()
        raft._timer.elapsed = max(raft._timer.elapsed, self.nodes[node].settings.election_ticks)
        self.turn(node)

    def deliver(self, letter: Letter) -> None:
        """A message arrives; at a node that is down it is lost."""
        if letter.to in self.nodes and letter.to not in self.down:
            self.nodes[letter.to].raft.step(letter.sender, letter.message)
            self.turn(letter.to)

    def settle(self, heard: Callable[[Letter], None] | None = None) -> None:
        """Delivers everything, and what follows from it, until nothing is under way."""
        for _ in range(ROUNDS_MAX):
            for _ in range(len(self.mail)):
                letter = self.mail.popleft()
                if heard is not None:
                    heard(letter)
                self.deliver(letter)
            if not self.mail:
                return
        raise AssertionError(f"messages are still under way after {ROUNDS_MAX} rounds")

    def crash(self, node: NodeId) -> None:
        """The process ends; what had not landed on its disk is lost, and so are its connections."""
        self.down.add(node)
        self.nodes[node].under_way = None

    def restart(self, node: NodeId) -> None:
        """A node begins again from its disk."""
        self.down.discard(node)
        self.nodes[node].start()
        self.invariants.restarted(self.nodes[node])
        self.turn(node)

    def install(self, node: NodeId, source: NodeId) -> bool:
        """A node takes over the state of another, checked by other means; whether it is newer."""
        newer = self.nodes[node].install(self.nodes[source])
        self.invariants.restarted(self.nodes[node])
        self.turn(node)
        return newer

    def check(self) -> None:
        """Every invariant between every two nodes that run."""
        self.invariants.check(self.alive)

    def separate(self, groups: Iterable[Iterable[NodeId]]) -> None:
        """Cuts every link between the groups, both ways."""
        sets = [set(group) for group in groups]
        for one in sets:
            for other in sets:
                if one is not other:
                    self.cut |= {(a, b) for a in one for b in other}
