"""`make soak SEEDS=n`: the simulator for as long as it is told, on all processors.

What was done is kept in `.simulator/soak.json`: a run that was cut short goes on where it was.
"""

import json
import os

import pytest
from sim.modes import MODES
from sim.seeds import FAILURES, Tally, missing_kinds, run_parallel

pytestmark = pytest.mark.soak

FIRST = 1_000_000
PORTION = 1_000


@pytest.mark.parametrize("mode", MODES)
def test_many_seeds_keep_every_promise(mode: str) -> None:
    count = int(os.environ.get("SEEDS", "2000"))
    tally = resumed(mode)
    while tally.seeds < count:
        portion = min(PORTION, count - tally.seeds)
        tally.merge(run_parallel(FIRST + tally.seeds, portion, mode=mode))
        keep(mode, tally)
        print(f"{mode}: {tally.seeds} of {count} seeds, {len(tally.failures)} failures", flush=True)
    print("\n".join(tally.lines()))
    assert tally.failures == []
    assert missing_kinds(tally, mode) == []


def resumed(mode: str) -> Tally:
    """What an earlier run has done already."""
    path = FAILURES / f"soak-{mode}.json"
    return Tally.from_values(json.loads(path.read_text())) if path.exists() else Tally()


def keep(mode: str, tally: Tally) -> None:
    """Notes what is done."""
    FAILURES.mkdir(exist_ok=True)
    (FAILURES / f"soak-{mode}.json").write_text(json.dumps(tally.to_values()))
