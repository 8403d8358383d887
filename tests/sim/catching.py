"""How many seeds it takes until a seeded bug is caught, and what speaks."""

import signal
from dataclasses import dataclass

from sim.bugs import Bug, seeded
from sim.runs import run_tape
from sim.tape import Tape

FIRST = 2_000_000
SEED_S_MAX = 30
STEPS = 2_000

QUICK = frozenset(
    {
        "a vote is forgotten by a restart",
        "a vote leaves before it is durable",
        "a vote is cleared by stepping down within the term",
        "a second candidate gets a vote in the same term",
        "a voter elects a candidate with an older log",
        "a candidate leads before its own vote is durable",
        "a refusal lowers what is known to be held",
        "a leader counts its own copy before it is durable",
        "a follower acknowledges before its copy is durable",
        "the hard state is not in the batch of its entries",
        "a client hears of success before it is durable",
        "a certificate is made of a minority",
    }
)
"""Bugs that every test run looks for: they take a few seeds."""


@dataclass(frozen=True, slots=True)
class Caught:
    """seeds: how many runs it took. spoken: by what. tape: of the run that caught it."""

    seeds: int
    spoken: str
    tape: Tape


def caught_in(bug: Bug, most: int) -> Caught | None:
    """The first seed that catches the bug; None if none of so many does."""
    with seeded(bug):
        for count in range(1, most + 1):
            tape = Tape(seed=FIRST + count)
            spoken = what_speaks(tape, bug.mode)
            if spoken is not None:
                return Caught(count, spoken, tape)
    return None


def what_speaks(tape: Tape, mode: str) -> str | None:
    """What a run says against the product; also that it never ends."""

    def too_long(*_: object) -> None:
        raise TimeoutError("the run does not end")

    previous = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, SEED_S_MAX)
    try:
        run_tape(tape, mode=mode, steps=STEPS)
    except Exception as error:  # noqa: BLE001 - whatever speaks is what is looked for
        return f"{type(error).__name__}: {error}".splitlines()[0][:100]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    return None
