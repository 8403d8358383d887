"""`make soak SEEDS=n`: the simulator for as long as it is told, on all processors.

What was done is kept in `.simulator/soak-*.json`, with a digest of the code that it was done with.
A run that was cut short, by Ctrl-C too, says what it covered, and the next one goes on from there;
with other code it begins anew. Each portion has processes of its own, so memory stays bounded.
"""

import json
import os
import resource
import time
from hashlib import sha256

import pytest
from sim.modes import MODES
from sim.seeds import FAILURES, Tally, missing_kinds, run_parallel

pytestmark = pytest.mark.soak

FIRST = 1_000_000
PORTION = 200
CODE = ("consensus", "contracts", "ledger", "node", "audit", "tests/sim")


@pytest.mark.parametrize("mode", MODES)
def test_many_seeds_keep_every_promise(mode: str) -> None:
    count = int(os.environ.get("SEEDS", "2000"))
    tally = resumed(mode)
    began, before = time.monotonic(), tally.seeds
    try:
        while tally.seeds < count:
            portion = min(PORTION, count - tally.seeds)
            tally.merge(run_parallel(FIRST + tally.seeds, portion, mode=mode, part=20))
            keep(mode, tally)
            print(progress(mode, tally, count, (time.monotonic() - began) / (tally.seeds - before)))
    finally:
        print("\n".join(["", f"{mode}: seeds from {FIRST}", *tally.lines()]), flush=True)
    assert tally.failures == []
    assert missing_kinds(tally, mode) == []


def progress(mode: str, tally: Tally, count: int, seconds_each: float) -> str:
    """One line: how far, what failed, how long it still takes, and the largest process so far."""
    largest_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    minutes = (count - tally.seeds) * seconds_each / 60
    return (
        f"{mode}: {tally.seeds} of {count} seeds, {len(tally.failures)} failures, "
        f"{minutes:.0f} min to go, at most {largest_mib} MiB a process"
    )


def code_digest() -> str:
    """The code that a seed's run depends on."""
    digest = sha256()
    root = FAILURES.parent
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def resumed(mode: str) -> Tally:
    """What an earlier run of the same code has done already."""
    path = FAILURES / f"soak-{mode}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    same = kept.get("code") == code_digest()
    return Tally.from_values(kept["tally"]) if same else Tally()


def keep(mode: str, tally: Tally) -> None:
    """Notes what is done."""
    FAILURES.mkdir(exist_ok=True)
    kept = {"code": code_digest(), "tally": tally.to_values()}
    (FAILURES / f"soak-{mode}.json").write_text(json.dumps(kept))
