"""What all parts of a test session met together: printed at its end, and judged.

Parts run on several workers; each notes its counts as the property `simulated`, which travels with
its report (`tests/conftest.py` hands the reports on).
"""

import os
from collections import Counter

import pytest

from sim.seeds import kinds_of

SEEDS = int(os.environ.get("SIMULATED_SEEDS", "1000"))
"""Seeds of a test session in which things break; three tenths of as many have liars."""

WHOLE = {"crash": SEEDS, "byzantine": SEEDS // 10 * 3}
"""Seeds of a whole session, by mode; of less, nothing can be said about kinds that are missing."""


class Simulated:
    """The counts of one session, by mode."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {mode: Counter() for mode in WHOLE}

    def add(self, report: pytest.TestReport) -> None:
        """A test ended."""
        for name, value in report.user_properties:
            mode = name.removeprefix("simulated ")
            if mode in self.counts and report.when == "call":
                self.counts[mode].update(value)

    def missing(self) -> list[str]:
        """Kinds of fault that never struck in a whole session."""
        return [
            f"{mode} {kind}"
            for mode, counts in self.counts.items()
            if counts["seed"] >= WHOLE[mode]
            for kind in kinds_of(mode)
            if not counts[kind]
        ]

    def lines(self) -> list[str]:
        """What a person wants to read."""
        counted = [
            f"{mode:10} {kind:28} {count:12}"
            for mode, counts in self.counts.items()
            for kind, count in sorted(counts.items())
        ]
        return counted + [f"NEVER STRUCK: {kind}" for kind in self.missing()]
