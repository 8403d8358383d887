"""Revocations race with exchanges: thousands of interleavings, and gates that miss a rule."""

from collections import Counter

import pytest

from node.exchange.release import Endings, Moment, Release, Stop
from sim.race import WINDOW_MS, run_races

PART = 25


@pytest.mark.parametrize("first", range(0, 3 * PART, PART))
def test_nothing_leaves_that_a_revocation_forbids(first: int) -> None:
    counts: Counter[str] = Counter()
    races = 0
    for seed in range(first, first + PART):
        raced = run_races(seed)
        races += raced.races
        counts += raced.counts
        assert (raced.late_ms or 0) <= WINDOW_MS
    assert races > 30 * PART
    for kind in ("complete", "receipt grant-revoked", "stopped grant-revoked between chunks"):
        assert counts[kind] > 100, kind
    for fault in ("paused", "killed", "cut off"):
        assert counts[f"fault {fault}"] > 0, fault


@pytest.mark.parametrize(
    ("missed", "spoken"),
    [
        ("grant-revoked", "by a node that has"),
        ("release-window-over", "after the window"),
        ("not-certified", "no certificate"),
    ],
)
def test_a_gate_that_misses_a_rule_is_caught(missed: str, spoken: str) -> None:
    class Blind(Release):
        """A gate that does not see one reason."""

        def _stop(self, moment: Moment, endings: Endings) -> Stop | None:
            found = super()._stop(moment, endings)
            return None if found is not None and found.code == missed else found

    with pytest.raises(AssertionError, match=spoken):
        for seed in range(20):
            run_races(seed, release=Blind)
