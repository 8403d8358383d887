"""Each seeded bug is caught by an invariant of the simulator, and only because of the bug.

A bug is run with the seed that is known to catch it; where the product has changed since, with the
first of a few others. `make soak` says after how many ordinary seeds each is caught.
"""

import pytest

from sim.bugs import BUGS, HOLES, Bug, seeded
from sim.catching import BEGIN, DOCUMENT, caught_in, known, table, what_speaks
from sim.runs import run_seed

SEEDS_MAX = 100
KNOWN = known()
CAUGHT = [bug for bug in BUGS if bug.name not in HOLES]
RUNS = sorted({(bug.mode, bug.temper, bug.situation, KNOWN[bug.name]["seed"]) for bug in CAUGHT})


@pytest.mark.parametrize("bug", CAUGHT, ids=lambda bug: bug.name)
def test_a_seeded_bug_is_caught(bug: Bug) -> None:
    seeds = (KNOWN[bug.name]["seed"], *range(SEEDS_MAX))
    assert caught_in(bug, seeds, temper=bug.temper) is not None, bug.name


@pytest.mark.parametrize(("mode", "temper", "situation", "seed"), RUNS)
def test_the_same_seed_holds_without_the_bug(
    mode: str, temper: str, situation: str, seed: int
) -> None:
    assert what_speaks(seed, mode=mode, temper=temper, situation=situation) is None


def test_the_product_is_whole_again_after_a_bug() -> None:
    with seeded(BUGS[0]):
        pass
    run_seed(1, steps=500)


def test_the_table_in_the_document_is_what_was_found() -> None:
    assert BEGIN + table(KNOWN) in DOCUMENT.read_text(encoding="utf-8")
    assert {bug.name for bug in BUGS} >= HOLES
