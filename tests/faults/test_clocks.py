"""Clocks apart: a node an hour ahead or behind neither stops the others nor dates their blocks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import needs_file

from cli.demo.cluster import Cluster, Department
from cli.show import Failure
from faults.load import Load, check_all, offer, wait_for

pytestmark = pytest.mark.faults

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}
HOUR_S = 3_600

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
"""Of Debian's package faketime: it shows a program another time."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    try:
        made.found()
        yield made
    finally:
        made.close()


def names(department: Department, odd: Department) -> bool:
    """Whether a department's node says that the clock of the odd one, and no other, is apart."""
    odd_id = odd.client("operator").get("/v1/status")["node_id"]
    alarms = department.client("operator").get("/v1/status")["alarms"]
    return [alarm.split()[2] for alarm in alarms if alarm.startswith("clock-apart")] == [odd_id]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("apart_s", [HOUR_S, -HOUR_S], ids=["ahead", "behind"])
def test_a_clock_an_hour_apart_dates_no_block_and_stops_nobody(
    cluster: Cluster, apart_s: int
) -> None:
    needs_file(LIBRARY)
    odd = cluster["tourism"]
    settings = ("FAKETIME_DONT_FAKE_MONOTONIC=1", f"FAKETIME={apart_s:+d}s")
    odd.launcher = ("env", f"LD_PRELOAD={LIBRARY}", *settings)
    cluster.start()
    right = [each for each in cluster.departments.values() if each is not odd]
    load = Load(cluster, clients=2, at=[each.name for each in right])
    try:
        load.begin()
        load.wait_for_more(50)
        load.end()
        status = right[0].client("operator").get("/v1/status")
        height = status["certified_height"]
        wait_for(
            lambda: odd.client("operator").get("/v1/status")["height"] >= height,
            "the node with the odd clock to follow",
        )
        head = right[0].client("auditor").get(f"/v1/blocks/{height}")
        assert abs(head["time_ms"] / 1000 - time.time()) < 60, "a block has the odd clock's time"
        for each in right:
            wait_for(lambda each=each: names(each, odd), "an alarm that names the odd clock")
        if apart_s > 0:
            assert cluster.leader() is not odd
        with pytest.raises(Failure) as refused:
            odd.client("steward").post("/v1/datasets", offer("from-another-hour"))
        assert ("not-yet-valid" if apart_s > 0 else "expired") in str(refused.value)
        assert "set the signer's clock" in refused.value.remedy.lower()
        check_all(cluster, load.acknowledged)
    finally:
        load.close()
