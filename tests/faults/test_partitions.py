"""Cut cables between nodes in network namespaces of their own: silent, one-way, lossy."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from conftest import needs_tool

from cli.demo.cluster import Cluster, Department
from cli.show import Failure
from faults.load import Load, check_all, offer, wait_for
from faults.test_power_loss import needs_root

pytestmark = pytest.mark.faults

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}
NETWORK = "10.213.77"
SWITCH = "concordat-sw"


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Network:
    """Three hosts on one switch, which can drop what it should carry."""

    def __init__(self, names: Sequence[str]) -> None:
        self.spaces = {name: f"concordat-{name}" for name in names}
        self.ports = {name: f"port{number}" for number, name in enumerate(names)}
        self.addresses = {name: f"{NETWORK}.{number + 1}" for number, name in enumerate(names)}

    def make(self) -> None:
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "br0", "up")
        for name, space in self.spaces.items():
            ip("netns", "add", space)
            port = self.ports[name]
            ip("-n", SWITCH, "link", "add", port, "type", "veth", "peer", "eth0", "netns", space)
            ip("-n", SWITCH, "link", "set", port, "master", "br0", "up")
            ip("-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        own = str(os.getpid())
        ip("-n", SWITCH, "link", "add", "uplink", "type", "veth", "peer", "cc-test", "netns", own)
        ip("-n", SWITCH, "link", "set", "uplink", "master", "br0", "up")
        ip("addr", "add", f"{NETWORK}.254/24", "dev", "cc-test")
        ip("link", "set", "cc-test", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", "cc-test"], capture_output=True, check=False)
        for space in (*self.spaces.values(), SWITCH):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def rules(self, *rules: str) -> None:
        """Replaces what the switch drops."""
        lines = "\n".join(rules)
        script = (
            "table bridge cut\ndelete table bridge cut\ntable bridge cut {\n"
            f"chain forward {{ type filter hook forward priority 0;\n{lines}\n}}\n}}\n"
        )
        done = subprocess.run(
            ["ip", "netns", "exec", SWITCH, "nft", "-f", "-"],
            input=script,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def isolate(self, name: str) -> None:
        """No packet between this host and its peers, either way; the test still reaches it."""
        others = ", ".join(port for other, port in self.ports.items() if other != name)
        own = self.ports[name]
        self.rules(
            f"iifname {own} oifname {{ {others} }} drop",
            f"iifname {{ {others} }} oifname {own} drop",
        )

    def deafen(self, name: str) -> None:
        """The host sends and hears nothing from its peers."""
        others = ", ".join(port for other, port in self.ports.items() if other != name)
        self.rules(f"iifname {{ {others} }} oifname {self.ports[name]} drop")

    def lose(self, percent: int) -> None:
        """Random loss between hosts."""
        ports = ", ".join(self.ports.values())
        self.rules(
            f"iifname {{ {ports} }} oifname {{ {ports} }} numgen random mod 100 < {percent} drop"
        )

    def heal(self) -> None:
        self.rules()


@pytest.fixture
def network() -> Iterator[Network]:
    needs_root()
    needs_tool("ip", "nft")
    made = Network(list(TITLES))
    made.remove()
    try:
        made.make()
        made.heal()
        yield made
    finally:
        made.remove()


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    for name, department in made.departments.items():
        department.host = network.addresses[name]
        department.launcher = ("ip", "netns", "exec", network.spaces[name])
    try:
        made.found()
        made.start()
        yield made
    finally:
        made.close()


def leads(cluster: Cluster, besides: Department) -> bool:
    for department in cluster.departments.values():
        if department is not besides:
            status = department.client("operator").get("/v1/status")
            if status["role"] == "leader":
                return True
    return False


def cannot_write(department: Department) -> Failure:
    with pytest.raises(Failure) as refused:
        department.client("steward").post("/v1/datasets", offer("written-alone"))
    return refused.value


@pytest.mark.timeout(300)
def test_a_cut_off_leader_acknowledges_nothing_and_the_majority_goes_on(
    network: Network, cluster: Cluster
) -> None:
    alone = cluster.leader()
    load = Load(cluster, clients=6)
    try:
        load.begin()
        load.wait_for_more(20)
        network.isolate(alone.name)
        wait_for(lambda: leads(cluster, alone), "another leader")
        load.wait_for_more(20)
        assert "unknown-outcome" in cannot_write(alone).message
        network.heal()
        load.wait_for_more(60)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)


@pytest.mark.timeout(300)
def test_a_leader_that_hears_nobody_steps_down(network: Network, cluster: Cluster) -> None:
    deaf = cluster.leader()
    load = Load(cluster, clients=6)
    try:
        load.begin()
        load.wait_for_more(20)
        network.deafen(deaf.name)
        wait_for(lambda: leads(cluster, deaf), "another leader")
        load.wait_for_more(20)
        network.heal()
        load.wait_for_more(40)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)


@pytest.mark.timeout(300)
def test_a_lossy_network_and_flapping_cuts_lose_nothing(network: Network, cluster: Cluster) -> None:
    load = Load(cluster, clients=6)
    try:
        load.begin()
        for name in [*TITLES, *TITLES]:
            network.lose(20)
            load.wait_for_more(10)
            network.isolate(name)
            threading.Event().wait(0.8)
            network.heal()
            load.wait_for_more(10)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)
