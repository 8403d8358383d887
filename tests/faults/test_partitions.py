"""Cut cables between nodes on hosts of their own: silent, one-way, partial, lossy."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo.cluster import Cluster, Department
from cli.show import Failure
from faults.load import Load, check_all, offer, wait_for
from faults.network import Network, made_network, place_on

pytestmark = pytest.mark.faults

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}


@pytest.fixture
def network() -> Iterator[Network]:
    yield from made_network(list(TITLES))


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    place_on(network, made)
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


def refused_write(department: Department) -> Failure:
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
        assert "unknown-outcome" in refused_write(alone).message
        network.heal()
        load.wait_for_more(60)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["deafen", "mute"])
def test_a_leader_with_a_one_way_cable_is_replaced(
    network: Network, cluster: Cluster, fault: str
) -> None:
    half = cluster.leader()
    load = Load(cluster, clients=6)
    try:
        load.begin()
        load.wait_for_more(20)
        getattr(network, fault)(half.name)
        wait_for(lambda: leads(cluster, half), "another leader")
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
            network.between_all(loss=20)
            load.wait_for_more(10)
            network.isolate(name)
            threading.Event().wait(0.8)
            network.heal()
            load.wait_for_more(10)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)
