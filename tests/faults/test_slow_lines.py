"""Lines between nodes that are narrow, or dead without a word."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cli.demo.cluster import Cluster, Department
from cli.show import Failure
from faults.load import check_all, may_pass, offer, wait_for
from faults.network import Network

pytestmark = pytest.mark.faults

LINE_BYTES_PER_S = 200_000
"""Two megabits: what a large block takes is many times an election timeout."""


def status(department: Department) -> dict[str, Any]:
    answer: dict[str, Any] = department.client("operator").get("/v1/status")
    return answer


def large(name: str) -> dict[str, Any]:
    """A dataset whose description has about 200 kB."""
    fields = [
        {"name": f"field_{number}", "type": "text", "meaning": "x" * 2_000} for number in range(100)
    ]
    return offer(name) | {"fields": fields}


@pytest.mark.timeout(300)
def test_a_leader_stays_leader_while_large_blocks_creep_over_narrow_lines(
    network: Network, cluster: Cluster
) -> None:
    leader = cluster.leader()
    term = status(leader)["term"]
    network.between_all(bytes_per_s=LINE_BYTES_PER_S)
    steward = leader.client("steward")

    def publish(number: int) -> str:
        name = f"large-{number}"
        found: list[str] = []

        def acknowledged() -> bool:
            try:
                written = steward.post(
                    "/v1/datasets", large(name), headers={"Idempotency-Key": name}
                )
            except Failure as failure:
                if not may_pass(failure):
                    raise
                return False
            found.append(written["record_id"])
            return True

        wait_for(acknowledged, f"{name} to be acknowledged")
        return found[0]

    with ThreadPoolExecutor(5) as pool:
        written = list(pool.map(publish, range(5)))
    terms = [status(department)["term"] for department in cluster.departments.values()]
    network.heal()
    assert terms == [term] * 3
    check_all(cluster, written)


def connected(department: Department) -> int:
    return sum(peer["connected"] for peer in status(department)["peers"])


@pytest.mark.timeout(300)
def test_a_cable_pulled_without_a_word_ends_the_connections_and_they_come_back(
    network: Network, cluster: Cluster
) -> None:
    alone = cluster["housing"]
    others = [cluster["tourism"], cluster["transport"]]
    wait_for(lambda: all(connected(each) == 2 for each in [alone, *others]), "everybody to meet")
    network.isolate(alone.name)
    wait_for(lambda: connected(alone) == 0, "the node that is cut off to notice")
    wait_for(lambda: all(connected(each) == 1 for each in others), "the others to notice")
    network.heal()
    wait_for(lambda: all(connected(each) == 2 for each in [alone, *others]), "everybody to meet")
    written = alone.client("steward").post("/v1/datasets", offer("after"))
    check_all(cluster, [written["record_id"]])
