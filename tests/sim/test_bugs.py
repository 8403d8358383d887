"""Each seeded bug is caught by an invariant; `make soak` says after how many seeds."""

import pytest

from sim.bugs import BUGS, HOLES, Bug, seeded
from sim.catching import QUICK, caught_in
from sim.runs import run_seed

SEEDS_MAX = 40


@pytest.mark.parametrize(
    "bug", [bug for bug in BUGS if bug.name in QUICK], ids=lambda bug: bug.name
)
def test_a_broken_line_is_caught_within_a_few_seeds(bug: Bug) -> None:
    assert caught_in(bug, SEEDS_MAX) is not None, bug.name


def test_the_product_is_whole_again_after_a_bug() -> None:
    with seeded(BUGS[0]):
        pass
    run_seed(1, steps=500)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_patch_still_fits_the_product(bug: Bug) -> None:
    with seeded(bug):
        pass
    assert {bug.name for bug in BUGS} >= HOLES
