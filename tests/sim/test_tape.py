"""Tapes: told, kept, replayed to the byte, and cut down."""

from pathlib import Path

import pytest

from sim.bugs import BUGS, seeded_by_name
from sim.runs import read_recording, run_recording, run_seed, run_tape
from sim.shrink import failure_of, shrink
from sim.tape import Recording, Tape, parse_recording

TAPES = sorted((Path(__file__).parent / "tapes").glob("*.tape"))


def recorded(tape: Tape, *, bug: str = "", steps: int = 400) -> Recording:
    return Recording("crash", bug, steps, tuple(map(tuple, tape.frames)), ("made by a test",))


def test_a_tape_repeats_the_run_of_its_seed_to_the_byte() -> None:
    drawn = run_seed(3, steps=400)
    replayed = run_recording(parse_recording(recorded(drawn.tape).to_text()))
    assert replayed.digest() == drawn.digest()
    assert replayed.world.history.acknowledged == drawn.world.history.acknowledged


def test_whatever_is_cut_from_a_tape_it_stays_a_run() -> None:
    frames = run_seed(5, steps=400).tape.frames
    for share in (2, 3, 5):
        cut = [frame if at % share else [] for at, frame in enumerate(frames)]
        run_recording(recorded(Tape(recorded=cut)))
        tape = Recording("crash", "", 400, tuple(map(tuple, cut[: len(cut) // share])))
        assert run_recording(tape).world.history.acknowledged is not None


def test_the_harmless_choice_is_zero_and_comes_when_a_tape_has_ended() -> None:
    tape = Tape(recorded=[[7], []])
    assert [tape.below(5), tape.below(5)] == [2, 0]
    assert not tape.ended
    for _ in range(2):
        tape.begin()
    assert tape.ended
    assert not tape.chance(0.99)
    assert tape.between(3, 9) == 3
    assert tape.choice("abc") == "a"
    assert len({tape.fair(10) for _ in range(20)}) > 5


def test_a_failing_tape_is_cut_down_and_still_fails_alike() -> None:
    bug = next(bug for bug in BUGS if bug.name == "a vote is forgotten by a restart")
    with seeded_by_name(bug.name):
        tape = Tape(seed=1)
        with pytest.raises(AssertionError):
            run_tape(tape, mode="crash", steps=2_000)
        whole = recorded(tape, bug=bug.name, steps=2_000)
        small = shrink(whole, tries_max=60)
        assert failure_of(small) == failure_of(whole) is not None
    assert len(small.frames) <= len(whole.frames)
    assert sum(map(len, small.frames)) < sum(map(len, whole.frames)) / 2


@pytest.mark.parametrize("path", TAPES, ids=lambda path: path.stem)
def test_a_bug_that_was_found_once_stays_mended(path: Path) -> None:
    recording = read_recording(path)
    assert recording.cause, "a tape says what its cause was"
    run_recording(recording)
