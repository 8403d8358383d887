"""How many seeds it takes until a seeded bug is caught, and what speaks.

    PYTHONPATH=tests .venv/bin/python -m sim.catching [WORD…]

tries ordinary seeds from 0 on, at most ORDINARY_SEEDS_MAX, until each bug (of those whose name or
pitfall holds a word) is caught, and then seeds of the bug's own temper, which is where
`test_bugs.py` begins; `make soak` tries as many ordinary ones as it takes. A bug
that has a situation of its own (`sim.situations`) is tried there alone. Both seeds are kept in
`bugs/found.json`, and the table in `docs/TESTING.md` is written anew.
"""

import json
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.bugs import BUGS, HOLES, Bug, seeded
from sim.runs import run_tape
from sim.situations import run_situation
from sim.tape import Tape

SEED_S_MAX = 30
SEEDS_MAX = 5_000
SITUATION_SEEDS_MAX = 100
ORDINARY_SEEDS_MAX = 60
"""Ordinary seeds that a search tries before it says "more than so many"."""

STEPS = {"crash": 2_000, "byzantine": 1_000}

FOUND = Path(__file__).parent / "bugs" / "found.json"
"""By a bug's name: seeds (how many ordinary ones it took), spoken, and seed (of its temper)."""

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "TESTING.md"
BEGIN, END = "<!-- seeded bugs -->\n", "<!-- end of seeded bugs -->\n"


@dataclass(frozen=True, slots=True)
class Caught:
    """seeds: how many runs it took. seed: the last one. spoken: by what."""

    seeds: int
    seed: int
    spoken: str


def caught_in(bug: Bug, seeds: Iterable[int], *, temper: str = "") -> Caught | None:
    """The first seed that catches the bug, in its situation if it has one; None if none does."""
    with seeded(bug):
        for count, seed in enumerate(seeds, 1):
            spoken = what_speaks(seed, mode=bug.mode, temper=temper, situation=bug.situation)
            if spoken is not None:
                return Caught(count, seed, spoken)
    return None


def what_speaks(seed: int, *, mode: str, temper: str = "", situation: str = "") -> str | None:
    """What a run says against the product; also that it never ends."""

    def too_long(*_: object) -> None:
        raise TimeoutError("the run does not end")

    previous = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, SEED_S_MAX)
    try:
        if situation:
            run_situation(situation, seed)
        else:
            run_tape(Tape(seed=seed), mode=mode, steps=STEPS[mode], temper=temper)
    except Exception as error:  # noqa: BLE001 - whatever speaks is what is looked for
        return f"{type(error).__name__}: {error}".splitlines()[0][:100]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    return None


def known() -> dict[str, Any]:
    """What is kept of earlier searches."""
    return dict(json.loads(FOUND.read_text())) if FOUND.exists() else {}


def search(bug: Bug) -> dict[str, Any] | None:
    """What is to be kept of a bug; None if it is not caught."""
    caught = caught_in(bug, range(SITUATION_SEEDS_MAX if bug.situation else ORDINARY_SEEDS_MAX))
    own = caught_in(bug, range(SEEDS_MAX), temper=bug.temper) if bug.temper else caught
    if own is None:
        return None
    seeds, spoken = (0, own.spoken) if caught is None else (caught.seeds, caught.spoken)
    return {"seeds": seeds, "spoken": spoken, "seed": own.seed}


def table(found: dict[str, Any]) -> str:
    """The document's table."""
    lines = ["| pitfall | what is broken | what speaks | seeds |", "|---|---|---|---|"]
    for bug in sorted(BUGS, key=order):
        kept = found.get(bug.name)
        said = "" if kept is None else kept["spoken"]
        seeds = "not caught" if kept is None else kept["seeds"] or f"more than {ORDINARY_SEEDS_MAX}"
        seeds = f"{seeds} of its situation" if kept is not None and bug.situation else seeds
        words = said.removeprefix("AssertionError: ").replace("|", "/")
        lines.append(f"| {bug.pitfall} | {bug.name} | {words} | {seeds} |")
    return "\n".join(lines) + "\n"


def order(bug: Bug) -> tuple[str, int, str]:
    """Pitfalls by number, ours after those of Raft, those that have none at the end."""
    letter, number = bug.pitfall[0], bug.pitfall[1:]
    if letter in "PA" and number.isdigit():
        return {"P": "1", "A": "2"}[letter], int(number), bug.name
    return "3", 0, bug.pitfall


def write_table(found: dict[str, Any]) -> None:
    """Puts the table where the document has it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table(found) + END + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    """The command."""
    words = sys.argv[1:]
    found = {name: kept for name, kept in known().items() if name in {bug.name for bug in BUGS}}
    for bug in BUGS:
        if words and not any(word in bug.name or word == bug.pitfall for word in words):
            continue
        if not words and bug.name in HOLES:
            continue
        kept = search(bug)
        print(f"{bug.pitfall:7} {bug.name:75} {kept or 'NOT CAUGHT'}", flush=True)
        found.pop(bug.name, None)
        if kept is not None:
            found[bug.name] = kept
        FOUND.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    write_table(found)


if __name__ == "__main__":
    main()
