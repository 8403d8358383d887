"""`make soak SEEDS=n`: the simulator for as long as it is told."""

import os

import pytest
from sim.runs import run_seed

pytestmark = pytest.mark.soak

FIRST = 1_000_000


def test_many_seeds_keep_every_promise() -> None:
    count = int(os.environ.get("SEEDS", "2000"))
    records = terms = 0
    for seed in range(FIRST, FIRST + count):
        try:
            world = run_seed(seed)
        except BaseException:
            print(f"reproduce: PYTHONPATH=tests .venv/bin/python -m sim.reproduce {seed}")
            raise
        records += len(world.acknowledged)
        terms += len(world.leaders)
    print(f"{count} seeds: {records} records acknowledged and kept, {terms} terms with a leader")
    assert records > count
