"""Hosts in network namespaces on one switch that can cut, delay, lose and slow what it carries.

Every name carries this process's id, so two runs on one machine do not meet, and only what this
run made is removed. The test itself has a port on the switch; its own links stay whole, so clients
reach a node that its peers do not.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from conftest import needs_device, needs_root, needs_tool

from cli.demo.cluster import Cluster
from faults.switch import mac_address

Fault = dict[str, Any]
CUT: Fault = {"cut": True}


class Network:
    """Hosts by name. Faults replace each other: each method says all that is wrong from now on."""

    def __init__(self, names: Sequence[str]) -> None:
        own = os.getpid()
        network = f"10.213.{own % 250 + 1}"
        self.names = tuple(names)
        self.spaces = {name: f"concordat-{own}-{name}" for name in names}
        self.addresses = {name: f"{network}.{port + 1}" for port, name in enumerate(names)}
        self._ports = {name: f"cc{own % 1_000_000}p{port}" for port, name in enumerate(names)}
        self._own_port, self._own_address = f"cc{own % 1_000_000}t", f"{network}.254"
        self._switch: subprocess.Popen[str] | None = None

    def make(self) -> None:
        """Switch, namespaces and addresses, also of the link layer: nobody asks for one."""
        program = [sys.executable, str(Path(__file__).with_name("switch.py"))]
        self._switch = subprocess.Popen(
            [*program, *self._ports.values(), self._own_port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._hear("ready")
        for port, name in enumerate(self.names):
            space = self.spaces[name]
            _ip("netns", "add", space)
            _ip("link", "set", self._ports[name], "netns", space)
            self._bring_up(port, self._ports[name], self.addresses[name], space)
            _ip("-n", space, "link", "set", "lo", "up")
        self._bring_up(len(self.names), self._own_port, self._own_address, None)

    def remove(self) -> None:
        """Everything that `make` made."""
        if self._switch is not None:
            assert self._switch.stdin is not None and self._switch.stdout is not None
            self._switch.stdin.close()
            self._switch.wait(10)
            self._switch.stdout.close()
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def heal(self) -> None:
        """Every link is perfect."""
        self._tell([])

    def between_all(self, **fault: Any) -> None:
        """The same fault on every link between hosts."""
        self._tell([(source, target, fault) for source, target in permutations(self.names, 2)])

    def on(self, links: Iterable[tuple[str, str]], **fault: Any) -> None:
        """The same fault on these links, each one way."""
        self._tell([(source, target, fault) for source, target in links])

    def isolate(self, name: str) -> None:
        """Nothing between this host and the others, either way."""
        self.split([name])

    def deafen(self, name: str) -> None:
        """The host hears nothing; what it sends arrives."""
        self.on(((other, name) for other in self._others(name)), **CUT)

    def mute(self, name: str) -> None:
        """Nothing that the host sends arrives; it hears the others."""
        self.on(((name, other) for other in self._others(name)), **CUT)

    def split(self, side: Sequence[str]) -> None:
        """Nothing between these hosts and the rest."""
        self.on(
            ((a, b) for a, b in permutations(self.names, 2) if (a in side) != (b in side)), **CUT
        )

    def keep_only(self, links: Iterable[tuple[str, str]]) -> None:
        """Of all pairs only these reach each other: no two hosts see the same network."""
        kept = {frozenset(pair) for pair in links}
        self.on(
            (pair for pair in permutations(self.names, 2) if frozenset(pair) not in kept), **CUT
        )

    def _others(self, name: str) -> list[str]:
        return [other for other in self.names if other != name]

    def _tell(self, links: Sequence[tuple[str, str, Fault]]) -> None:
        assert self._switch is not None and self._switch.stdin is not None
        named = [
            (self._ports[source], self._ports[target], fault) for source, target, fault in links
        ]
        self._switch.stdin.write(json.dumps(named) + "\n")
        self._switch.stdin.flush()
        self._hear("ok")

    def _hear(self, word: str) -> None:
        assert self._switch is not None and self._switch.stdout is not None
        assert self._switch.stdout.readline().strip() == word, "the switch has ended"

    def _bring_up(self, port: int, device: str, address: str, space: str | None) -> None:
        inside = ("-n", space) if space else ()
        mac = mac_address(port).hex(":")
        _ip(*inside, "link", "set", device, "address", mac, "up")
        _ip(*inside, "addr", "add", f"{address}/24", "dev", device)
        everybody = [*self.addresses.values(), self._own_address]
        for other, known in enumerate(everybody):
            if known != address:
                mac = mac_address(other).hex(":")
                _ip(*inside, "neigh", "replace", known, "lladdr", mac, "dev", device)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def made_network(names: Sequence[str]) -> Iterator[Network]:
    """For a fixture: a network, removed at the end. Skips where this machine cannot make one."""
    needs_root()
    needs_tool("ip")
    needs_device("/dev/net/tun")
    made = Network(names)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def place_on(network: Network, cluster: Cluster) -> None:
    """Every department's node runs on the host of its name."""
    for name, department in cluster.departments.items():
        department.host = network.addresses[name]
        department.launcher = ("ip", "netns", "exec", network.spaces[name])
