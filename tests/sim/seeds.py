"""Many seeds: counts of what happened, and for each that fails the tape and how to repeat it."""

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.council import MOTIONS
from sim.keyring import ROTATIONS
from sim.liars import LIES
from sim.modes import MODES
from sim.options import KINDS, Options
from sim.runs import STEPS, Result, run_tape
from sim.tape import Recording, Tape

FAILURES = Path(__file__).resolve().parent.parent.parent / ".simulator"
"""Where tapes of failing seeds are written."""

PROCESSES = int(os.environ.get("PROCESSES", "0")) or os.cpu_count() or 1
"""How many seeds run at a time, where a test has processes of its own."""

STRIKING = (
    "loss",
    "duplication",
    "reordering",
    "long-delay",
    "late-copy",
    "crash-at-write",
    "write-lost",
    "write-landed",
    "write-torn",
    "watermark-lag",
    "mixed-version",
    "other-version",
    "log-trimmed",
    "caught-up-by-blocks",
    "fetched-outside",
    "shared-turn",
    "busy",
)
"""What happens to single messages, writes, inputs, logs and versions (`sim.world`, `sim.wires`)."""

WHOLE_RUNS = tuple(Options().kinds_of_its_own)
"""What some runs are like from their beginning to their end; counted once a run."""

MEMBERS = (
    *(f"decided-{kind}" for kind in MOTIONS),
    "crash-while-joint",
    "leader-left",
    "node-retired",
    "stranger-started",
)
"""What comes of changes of who takes part (`sim.council`)."""


AMONG_LIARS = (
    "decided-admit",
    "decided-replace",
    "decided-retire",
    "node-retired",
    "key-added",
    "key-revoked",
    "certified-fork",
    "liar-named",
)
"""What comes of liars, and of changes of who takes part among them (A2, A11)."""


@dataclass(slots=True)
class Tally:
    """What so many seeds met. failures: the seed and what spoke."""

    seeds: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """A run that held."""
        world = result.world
        self.seeds += 1
        self.steps += world.safety_steps
        self.counts.update(world.counts)
        self.counts["acknowledged"] += len(world.history.acknowledged)
        self.counts["linearizable-read"] += world.history.reads
        self.counts["terms-with-leader"] += len(world.watch.leaders)
        self.counts["accusation"] += len(world.watch.accusations)
        refusals = (refused.code for refused in world.history.refused.values())
        self.counts["unknown-key-refused"] += sum(code == "unknown-key" for code in refusals)

    def merge(self, other: "Tally") -> None:
        """Another part of the seeds."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.counts.update(other.counts)
        self.failures += other.failures

    def to_values(self) -> dict[str, Any]:
        """The tally as plain values."""
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "counts": dict(self.counts),
            "failures": self.failures,
        }

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Tally":
        """A tally from plain values."""
        failures = [(seed, spoken) for seed, spoken in values["failures"]]
        return cls(values["seeds"], values["steps"], Counter(values["counts"]), failures)

    def noted(self) -> dict[str, int]:
        """The counts as a part of a test session notes them."""
        return dict(self.counts) | {"seed": self.seeds, "step": self.steps}

    def lines(self) -> list[str]:
        """What a person wants to read."""
        lines = [f"{self.seeds} seeds, {self.steps} steps, {len(self.failures)} failures"]
        lines += [f"{kind:28} {count:12}" for kind, count in sorted(self.counts.items())]
        return lines + [f"FAILED seed {seed}: {spoken}" for seed, spoken in self.failures]


def missing_kinds(tally: Tally, mode: str) -> list[str]:
    """Kinds of fault that no seed met: a simulator that does not strike proves nothing."""
    return [kind for kind in kinds_of(mode) if not tally.counts[kind]]


def kinds_of(mode: str) -> tuple[str, ...]:
    """Every kind of fault that a mode has."""
    assert mode in MODES
    return (
        (*KINDS, *STRIKING, *WHOLE_RUNS, *MEMBERS, *ROTATIONS)
        if mode == "crash"
        else (*LIES, *AMONG_LIARS)
    )


def attempt(seed: int, *, mode: str, steps: int = STEPS) -> Result | str:
    """A seed's run, or what spoke against it; then its tape is written and the command printed."""
    tape = Tape(seed=seed)
    try:
        return run_tape(tape, mode=mode, steps=steps)
    except Exception as error:  # noqa: BLE001 - whatever speaks fails the seed
        spoken = f"{type(error).__name__}: {error}".splitlines()[0]
        path = keep(tape, seed, mode=mode, steps=steps, spoken=spoken)
        print(f"{spoken}\nreproduce: PYTHONPATH=tests .venv/bin/python -m sim.reproduce {path}")
        return spoken


def keep(tape: Tape, seed: int, *, mode: str, steps: int, spoken: str) -> str:
    """Writes a failing seed's tape; its path, from the root of the checkout."""
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{mode}-{seed}.tape"
    frames = tuple(map(tuple, tape.frames))
    recording = Recording(mode, "", steps, frames, (f"seed {seed}", spoken))
    path.write_text(recording.to_text(), encoding="ascii")
    return str(path.relative_to(FAILURES.parent))


def run_range(seeds: Iterable[int], *, mode: str, steps: int = STEPS) -> Tally:
    """Every seed of a range, in this process."""
    tally = Tally()
    for seed in seeds:
        result = attempt(seed, mode=mode, steps=steps)
        if isinstance(result, str):
            tally.seeds += 1
            tally.failures.append((seed, result))
        else:
            tally.add(result)
    return tally


def run_parallel(first: int, count: int, *, mode: str, part: int = 50) -> Tally:
    """Seeds from `first` on, in processes of their own."""
    tally = Tally()
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = [
            pool.submit(run_range, range(at, min(at + part, first + count)), mode=mode)
            for at in range(first, first + count, part)
        ]
        for done in as_completed(parts):
            tally.merge(done.result())
    return tally
