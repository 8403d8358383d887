"""Clusters in which some nodes lie: a certified fork has a name on it, and never an honest one."""

from collections.abc import Callable

import pytest

from sim.reporting import WHOLE
from sim.runs import run_seed
from sim.seeds import run_range

PART = 25
STEPS = 1_000

Note = Callable[[str, object], None]


@pytest.mark.parametrize("first", range(0, WHOLE["byzantine"], PART))
def test_a_fork_names_a_liar_and_nobody_else(first: int, record_property: Note) -> None:
    tally = run_range(range(first, first + PART), mode="byzantine", steps=STEPS)
    record_property("simulated byzantine", tally.noted())
    assert tally.failures == []
    assert tally.counts["liar-named"] >= tally.counts["certified-fork"]


def test_one_seed_with_liars_is_one_run_to_the_byte() -> None:
    runs = [run_seed(7, mode="byzantine", steps=300) for _ in range(2)]
    assert runs[0].digest() == runs[1].digest()
