"""What goes wrong while clients work: cables, processes, disks. One fault at a time, then peace.

Every fault is a context: it is there inside, and undone at the end. Which node it hits is drawn
from a seed; half of the time it is the leader, if one is known.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from random import Random

import httpx2
from faults.injection import injected
from faults.load import wait_for
from faults.network import Network

from cli.demo.cluster import Cluster, Department

HOLD_S = (1.5, 3.5)
"""How long a fault lasts."""

PEACE_S = (0.5, 2.0)
"""How long nothing is wrong between two faults."""


class Trouble:
    """Makes faults, one after another; `log` has each with its name and times."""

    def __init__(self, network: Network, cluster: Cluster, seed: int) -> None:
        self._network = network
        self._cluster = cluster
        self._dice = Random(seed)
        self.log: list[dict[str, object]] = []
        self.kinds: dict[str, Callable[[Department], AbstractContextManager[None]]] = {
            "isolated": lambda node: self._cabling(lambda: network.isolate(node.name)),
            "deaf": lambda node: self._cabling(lambda: network.deafen(node.name)),
            "mute": lambda node: self._cabling(lambda: network.mute(node.name)),
            "minority cut off": lambda node: self._cabling(lambda: network.split(self._with(node))),
            "partly connected": lambda node: self._cabling(lambda: self._keep_a_ring(node)),
            "lossy": lambda _: self._cabling(lambda: network.between_all(loss=15)),
            "delayed": lambda _: self._cabling(
                lambda: network.between_all(delay_ms=20, jitter_ms=60)
            ),
            "narrow": lambda _: self._cabling(lambda: network.between_all(bytes_per_s=250_000)),
            "paused": self._paused,
            "killed": self._killed,
            "all killed": self._all_killed,
            "slow disk": self._slow_disk,
            "failed disk": self._failed_disk,
        }

    def make(self, kind: str) -> None:
        """One fault, and some peace after it."""
        node = self._victim()
        start_ns = time.monotonic_ns()
        with self.kinds[kind](node):
            self._wait(*HOLD_S)
        end_ns = time.monotonic_ns()
        entry = {"fault": kind, "node": node.name, "start_ns": start_ns, "end_ns": end_ns}
        self.log.append(entry)
        self._wait(*PEACE_S)

    def _wait(self, least_s: float, most_s: float) -> None:
        threading.Event().wait(self._dice.uniform(least_s, most_s))

    def _victim(self) -> Department:
        drawn = self._dice.choice(sorted(self._cluster.departments))
        wants_leader = self._dice.random() < 0.5
        leader = find_leader(self._cluster) if wants_leader else None
        return self._cluster[drawn] if leader is None else leader

    def _with(self, node: Department) -> list[str]:
        """The node and another one."""
        others = sorted(set(self._cluster.departments) - {node.name})
        return [node.name, self._dice.choice(others)]

    def _keep_a_ring(self, node: Department) -> None:
        """Of five hosts in a ring each reaches its two neighbours, so a majority, and no other."""
        ring = sorted(self._cluster.departments, key=lambda name: (name != node.name, name))
        self._network.keep_only(zip(ring, [*ring[1:], ring[0]], strict=True))

    @contextmanager
    def _cabling(self, cut: Callable[[], None]) -> Iterator[None]:
        cut()
        try:
            yield
        finally:
            self._network.heal()

    @contextmanager
    def _paused(self, node: Department) -> Iterator[None]:
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.process.send_signal(signal.SIGCONT)

    @contextmanager
    def _killed(self, node: Department) -> Iterator[None]:
        node.kill()
        yield
        self._start([node])

    @contextmanager
    def _all_killed(self, _: Department) -> Iterator[None]:
        nodes = list(self._cluster.departments.values())
        for node in nodes:
            node.kill()
        self._start(nodes)
        yield

    @contextmanager
    def _slow_disk(self, node: Department) -> Iterator[None]:
        """Every sync takes 0.3 s longer."""
        with injected(node, "inject=fdatasync,fsync:delay_enter=300000"):
            yield

    @contextmanager
    def _failed_disk(self, node: Department) -> Iterator[None]:
        """A sync fails, and the node ends itself."""
        process = node.process
        assert process is not None
        with injected(node, "inject=fdatasync,fsync:error=EIO:when=3+"):
            wait_for(lambda: process.poll() is not None, "the node with the failed disk to end")
            yield
        assert process.returncode == 1
        node.process = None
        self._start([node])

    def _start(self, nodes: list[Department]) -> None:
        for node in nodes:
            node.start()
        for node in nodes:
            self._cluster.wait_ready(node)


def find_leader(cluster: Cluster) -> Department | None:
    """Who says that it leads, if anybody does within a second."""
    for node in cluster.departments.values():
        headers = {"Authorization": f"Bearer {node.tokens['operator']}"}
        with suppress(httpx2.HTTPError):
            answer = httpx2.get(
                f"{node.url}/v1/status", headers=headers, timeout=1, trust_env=False
            )
            if answer.is_success and answer.json()["role"] == "leader":
                return node
    return None
