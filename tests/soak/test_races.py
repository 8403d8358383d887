"""`make soak`: a hundred thousand revocations race with exchanges, on all processors.

What was done is kept in `.simulator/soak-races.json`: a run that was cut short goes on from there.
"""

import json
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest
from sim.race import RACES, WINDOW_MS, Raced, run_races
from sim.seeds import FAILURES

pytestmark = pytest.mark.soak

FIRST = 10_000
PORTION = 50
COUNT = 100_000
KEPT = FAILURES / "soak-races.json"


def test_nothing_leaves_that_a_revocation_forbids_in_a_hundred_thousand_races() -> None:
    done = {"seeds": 0, "races": 0, "late_ms": 0, "counts": {}}
    if KEPT.exists():
        done = json.loads(KEPT.read_text())
    counts = Counter(done["counts"])
    FAILURES.mkdir(exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        while done["races"] < COUNT:
            portion = min(PORTION, 1 + (COUNT - done["races"]) // RACES)
            first = FIRST + done["seeds"]
            found: list[Raced] = list(pool.map(run_races, range(first, first + portion)))
            done["seeds"] += portion
            done["races"] += sum(each.races for each in found)
            done["late_ms"] = max(done["late_ms"], *(each.late_ms or 0 for each in found))
            for each in found:
                counts += each.counts
            KEPT.write_text(json.dumps(done | {"counts": counts}))
            print(f"{done['races']} of {COUNT} races", flush=True)
    late_ms = done["late_ms"]
    print(f"last byte at most {late_ms} ms after a revocation's first certificate")
    print("\n".join(f"{count:8} {kind}" for kind, count in sorted(counts.items())))
    assert late_ms <= WINDOW_MS
