"""`make soak`: a hundred thousand revocations race with exchanges, on all processors."""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest
from sim.race import RACES, WINDOW_MS, Raced, run_races

pytestmark = pytest.mark.soak

FIRST = 10_000
COUNT = 100_000


def test_nothing_leaves_that_a_revocation_forbids_in_a_hundred_thousand_races() -> None:
    counts: Counter[str] = Counter()
    races = late_ms = seeds = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        while races < COUNT:
            portion = 1 + (COUNT - races) // RACES
            numbers = range(FIRST + seeds, FIRST + seeds + portion)
            found: list[Raced] = list(pool.map(run_races, numbers, chunksize=10))
            seeds += portion
            races += sum(each.races for each in found)
            late_ms = max(late_ms, *(each.late_ms or 0 for each in found))
            for each in found:
                counts += each.counts
    print(f"{races} races, last byte at most {late_ms} ms after a revocation's certificate")
    print("\n".join(f"{count:8} {kind}" for kind, count in sorted(counts.items())))
    assert late_ms <= WINDOW_MS
