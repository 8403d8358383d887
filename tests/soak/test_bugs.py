"""`make soak`: every seeded bug, and how many seeds it takes until an invariant speaks."""

import os

import pytest
from sim.bugs import BUGS, HOLES
from sim.catching import SEEDS_MAX, caught_in

pytestmark = pytest.mark.soak


def test_every_seeded_bug_is_caught() -> None:
    most = min(int(os.environ.get("SEEDS", "2000")), SEEDS_MAX)
    missed = []
    for bug in BUGS:
        caught = caught_in(bug, range(most))
        words = "NOT CAUGHT" if caught is None else f"{caught.seeds:5} seeds: {caught.spoken}"
        print(f"{bug.pitfall:7} {bug.name:70} {words}", flush=True)
        if caught is None and bug.name not in HOLES:
            missed.append(bug.name)
    assert missed == []
