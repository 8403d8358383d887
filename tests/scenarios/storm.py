"""A cluster of cores in a storm: everything lost, doubled, late, cut and crashed, from one seed."""

from dataclasses import dataclass
from random import Random

from consensus import Configuration, NodeId, ProposalRefused, Role, Settings
from scenarios.cluster import Cluster

KEPT_ENTRIES = 50
"""Executed entries that a node keeps in its log."""


@dataclass(slots=True)
class Weather:
    """How likely what is, in each step. delivered: messages that arrived so far."""

    loss: float = 0.03
    doubles: float = 0.03
    crash: float = 0.000_5
    cut: float = 0.000_5
    heal: float = 0.005
    tick: float = 0.05
    propose: float = 0.05


class Storm:
    """Steps of a cluster: one random thing after another. delivered: messages that arrived."""

    def __init__(self, nodes: int, seed: int, weather: Weather) -> None:
        self.random = Random(seed)
        self.weather = weather
        self.delivered = 0
        self.names = tuple(b"n%d" % number for number in range(1, nodes + 1))
        self.cluster = Cluster(
            Configuration(self.names), Settings(), lambda node, below: self.random.randrange(below)
        )

    def step(self) -> None:
        """Delivers, loses or doubles one message of those under way, and now and then more."""
        cluster, random, weather = self.cluster, self.random, self.weather
        if cluster.mail:
            letter = cluster.mail.popleft()
            luck = random.random()
            if luck < 0.3:
                cluster.mail.append(letter)
            elif luck > weather.loss + 0.3:
                if luck > 1 - weather.doubles:
                    cluster.mail.append(letter)
                self.delivered += letter.to not in cluster.down
                cluster.deliver(letter)
        if not cluster.mail or random.random() < weather.tick:
            for node in self.names:
                if node not in cluster.down:
                    cluster.tick(node)
        if random.random() < weather.propose:
            self._propose()
        if random.random() < weather.crash + weather.cut + weather.heal:
            self._strike()

    def _propose(self) -> None:
        for driver in self.cluster.alive:
            if driver.raft.role is Role.LEADER:
                refused = isinstance(driver.propose(b"x" * 100), ProposalRefused)
                if not refused:
                    self.cluster.turn(driver.node_id)

    def _strike(self) -> None:
        cluster, random = self.cluster, self.random
        node: NodeId = random.choice(self.names)
        luck = random.random() * (self.weather.crash + self.weather.cut + self.weather.heal)
        if luck < self.weather.crash and not cluster.down:
            cluster.crash(node)
        elif luck < self.weather.crash + self.weather.cut:
            cluster.cut |= {(node, random.choice(self.names)), (random.choice(self.names), node)}
        else:
            cluster.cut.clear()
            for each in sorted(cluster.down):
                cluster.restart(each)
            for driver in cluster.alive:
                self._recover(driver.node_id)

    def _recover(self, node: NodeId) -> None:
        """What a driver does now and then: forgets old entries, and fetches a state it lacks."""
        cluster = self.cluster
        driver = cluster.nodes[node]
        wanted = cluster.wanted.pop(node, None)
        if wanted is not None and wanted.leader not in cluster.down:
            cluster.install(node, wanted.leader)
        index = driver.raft.applied_index - KEPT_ENTRIES
        if index > driver.raft.compacted_index:
            driver.raft.compact(index)
            cluster.turn(node)

    def calm(self, rounds_max: int) -> None:
        """The weather is over: everyone is there and heard, until all hold the same log.

        AssertionError if that takes more than rounds_max rounds of a tick and its messages.
        """
        cluster = self.cluster
        cluster.cut.clear()
        for node in sorted(cluster.down):
            cluster.restart(node)
        for _ in range(rounds_max):
            for node in self.names:
                cluster.tick(node)
                self._recover(node)
            cluster.settle()
            ends = {(driver.raft.last_index, driver.raft.commit_index) for driver in cluster.alive}
            leads = any(driver.raft.role is Role.LEADER for driver in cluster.alive)
            if leads and len(ends) == 1:
                cluster.check()
                return
        raise AssertionError(f"no agreement after {rounds_max} calm rounds")
