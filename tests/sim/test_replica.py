"""The production replica under faults, on virtual time: a thousand seeds of two thousand steps.

Seeds run without coverage, which makes them four times as slow and adds nothing: the lines that
they take are the unit tests' to count.
"""

from collections.abc import Callable

import pytest

from sim.catching import DOCUMENT
from sim.modes import MODES
from sim.reporting import WHOLE, Simulated
from sim.runs import STEPS, run_seed
from sim.seeds import Tally, kinds_of, missing_kinds, run_range
from sim.struck import BEGIN, END, WHAT

PART = 25

Note = Callable[[str, object], None]


@pytest.mark.parametrize("first", range(0, WHOLE["crash"], PART))
def test_every_seed_keeps_every_promise(first: int, record_property: Note) -> None:
    tally = run_range(range(first, first + PART), mode="crash")
    record_property("simulated crash", tally.noted())
    assert tally.failures == []
    assert tally.steps >= PART * STEPS
    assert tally.counts["delivery"] >= 0.4 * tally.steps
    assert tally.counts["accusation"] == 0


def test_one_seed_is_one_run_to_the_byte() -> None:
    assert run_seed(7, steps=500).digest() == run_seed(7, steps=500).digest()


def test_the_document_says_of_each_kind_of_fault_what_it_is_and_how_often_it_struck() -> None:
    kinds = {kind for mode in MODES for kind in kinds_of(mode)}
    assert kinds == set(WHAT)
    section = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    rows = dict(line.split(" | ", 1) for line in section.splitlines()[2:])
    assert set(rows) == {f"| `{kind}`" for kind in kinds}
    for kind in kinds:
        what, *struck = rows[f"| `{kind}`"].removesuffix(" |").split(" | ")
        assert what == WHAT[kind]
        assert len([int(count.replace(",", "")) for count in struck]) == len(MODES)


def test_a_kind_of_fault_that_never_strikes_is_named_and_fails_the_session() -> None:
    tally = Tally()
    assert "clock-jump" in missing_kinds(tally, "crash")
    tally.counts["clock-jump"] = 1
    assert "clock-jump" not in missing_kinds(tally, "crash")
    session = Simulated()
    session.counts["crash"].update({"seed": WHOLE["crash"], "clock-jump": 1})
    assert "crash loss" in session.missing()
    assert "crash clock-jump" not in session.missing()
