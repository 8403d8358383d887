"""Each seeded bug is caught by an invariant; `make soak` says after how many seeds."""

import os
import signal

import pytest

from sim.bugs import BUGS, HOLES, Bug, seeded
from sim.runs import run_seed

QUICK = 40
SEED_S_MAX = 20
FIRST = 2_000_000

QUICKLY_FOUND = {
    "a vote is forgotten by a restart",
    "a follower acknowledges before its copy is durable",
    "a second candidate gets a vote in the same term",
    "a grant of the pre-vote counts as a vote",
    "a leader counts its own copy before it is durable",
    "a refusal lowers what is known to be held",
}


def seeds_until_caught(bug: Bug, most: int) -> tuple[int, str] | None:
    """How many seeds until something speaks, and what it says; None if nothing does."""
    with seeded(bug):
        for count in range(1, most + 1):
            spoken = what_speaks(FIRST + count)
            if spoken is not None:
                return count, spoken
    return None


def what_speaks(seed: int) -> str | None:
    """What a seed's run says against the product; also that it never ends."""

    def too_long(*_: object) -> None:
        raise TimeoutError("the run does not end")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SEED_S_MAX)
    try:
        run_seed(seed)
    except Exception as error:  # noqa: BLE001 - whatever speaks is what is looked for
        return f"{type(error).__name__}: {error}".splitlines()[0][:100]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return None


@pytest.mark.parametrize(
    "bug", [bug for bug in BUGS if bug.name in QUICKLY_FOUND], ids=lambda bug: bug.name
)
def test_a_broken_line_is_caught_within_a_few_seeds(bug: Bug) -> None:
    assert seeds_until_caught(bug, QUICK) is not None, bug.name


def test_the_product_is_whole_again_after_a_bug() -> None:
    with seeded(BUGS[0]):
        pass
    run_seed(FIRST)


@pytest.mark.soak
def test_every_seeded_bug_is_caught() -> None:
    most = min(int(os.environ.get("SEEDS", "2000")), 200)
    missed = []
    for bug in BUGS:
        caught = seeds_until_caught(bug, most)
        words = "NOT CAUGHT" if caught is None else f"{caught[0]:5} seeds: {caught[1]}"
        print(f"{bug.pitfall:7} {bug.name:70} {words}")
        if caught is None and bug.name not in HOLES:
            missed.append(bug.name)
    assert missed == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_patch_still_fits_the_product(bug: Bug) -> None:
    with seeded(bug):
        pass
    assert {bug.name for bug in BUGS} >= HOLES
