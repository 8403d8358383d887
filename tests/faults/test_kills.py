"""kill -9 of any node at any moment of a write load: what was acknowledged stays."""

import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from founding import found_here

from cli.demo.cluster import Cluster
from faults.load import Load, check_all

pytestmark = pytest.mark.faults

KILLS = 50
DURING_START = 12
"""How many of them hit a node that is starting."""

WRITE_S = 0.1
"""About what a write takes: kills are spread over it."""

START_S = 1.5
"""About what a start takes, until the node has caught up."""

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    try:
        found_here(made)
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(900)
def test_fifty_kills_lose_nothing_that_was_acknowledged(cluster: Cluster) -> None:
    dice = Random(20261123)
    load = Load(cluster, clients=6)
    try:
        load.begin()
        for number in range(KILLS - DURING_START):
            load.wait_for_more(dice.randrange(1, 12))
            by_leader = number % 2 == 0
            victim = cluster.leader() if by_leader else dice.choice([*cluster.departments.values()])
            threading.Event().wait(dice.uniform(0, WRITE_S))
            victim.kill()
            if dice.random() < 0.5:
                load.wait_for_more(1)
            victim.start()
            if number < DURING_START:
                threading.Event().wait(dice.uniform(0, START_S))
                victim.kill()
                victim.start()
            cluster.wait_ready(victim)
        load.end()
    finally:
        load.close()
    assert len(load.acknowledged) > KILLS
    check_all(cluster, load.acknowledged)
    print(f"{KILLS} kills, {len(load.acknowledged)} acknowledged records, none lost")
