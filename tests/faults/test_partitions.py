"""Cut cables between nodes on hosts of their own: silent, one-way, partial, lossy."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from histories.operations import Operation
from histories.registers import broken_registers

from cli.demo.cluster import Cluster, Department
from cli.show import Failure
from faults.load import Load, check_all, offer, wait_for
from faults.network import Network

pytestmark = pytest.mark.faults


def leads(cluster: Cluster, besides: Department) -> bool:
    for department in cluster.departments.values():
        if department is not besides:
            status = department.client("operator").get("/v1/status")
            if status["role"] == "leader":
                return True
    return False


def titled(title: str) -> dict[str, Any]:
    return offer("table") | {"title": title}


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


def noted(op: str, key: str, value: str, ask: Callable[[], Any]) -> Operation:
    """An operation of a history; the value is what was written, or what the answer shows."""
    start_ns = time.monotonic_ns()
    answer = ask()
    end_ns = time.monotonic_ns()
    args = {"key": key} | ({"value": value} if op == "write" else {})
    return Operation(0, op, args, start_ns, end_ns, {"ok": answer if op == "read" else 0})


@pytest.mark.timeout(300)
def test_a_node_that_is_cut_off_answers_no_consistent_read_and_its_plain_one_is_stale(
    network: Network, cluster: Cluster
) -> None:
    leader = cluster.leader()
    alone = next(each for each in cluster.departments.values() if each is not leader)
    steward, reader = leader.client("steward"), alone.client("app")
    path = f"/v1/datasets/{leader.name}/table"
    history = [noted("write", "table", "old", lambda: steward.post("/v1/datasets", titled("old")))]
    seen = noted("read", "table", "", lambda: reader.get(path, consistent=True)["title"])
    assert seen.result == {"ok": "old"}
    network.isolate(alone.name)
    change = "/v1/datasets/table"
    history.append(noted("write", "table", "new", lambda: steward.put(change, titled("new"))))
    with pytest.raises(Failure, match=r"^no-leader:"):
        reader.get(path, consistent=True)
    stale = noted("read", "table", "", lambda: reader.get(path)["title"])
    assert stale.result == {"ok": "old"}
    assert broken_registers([*history, seen]) == []
    assert broken_registers([*history, seen, stale]) == ["table"]
    network.heal()
    wait_for(lambda: reader.get(path)["title"] == "new", "the node to catch up")
    check_all(cluster, [])


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
        for name in [*network.names, *network.names]:
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
