"""Figures of a workload: medians of several runs with their spread, as a table and as JSON."""

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.drive import Run
from bench.machine import Primitives


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: a workload at one setting, measured several times.

    rates: operations a second of each run. p50_ms … max_ms: medians over the runs.
    cpu_s_per_1000: of all node processes, for 1,000 operations. limit_rate: what the primitives
    alone would allow on this machine's cores, None where that is not defined.
    """

    workload: str
    setting: str
    rates: list[float]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_s_per_1000: float | None = None
    rss_max_mb: float | None = None
    syncs_per_s: float | None = None
    disk_bytes_per_operation: float | None = None
    wire_bytes_per_operation: float | None = None
    limit_rate: float | None = None
    notes: str = ""

    @property
    def rate(self) -> float:
        """The median rate."""
        return statistics.median(self.rates)


@dataclass(slots=True)
class Report:
    """All rows of a run of the bench, and the machine's primitives.

    failures: by workload, why it has no figures.
    """

    primitives: Primitives
    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def show(self) -> None:
        """Prints the table."""
        table = Table(title="medians over the runs, the spread of rates in brackets")
        for name in ("workload", "setting", "op/s", "p50 ms", "p99 ms", "max ms"):
            table.add_column(name, justify="left" if name in ("workload", "setting") else "right")
        for name in ("CPU s/1000", "RSS MB", "syncs/s", "B/op disk", "B/op wire", "of limit"):
            table.add_column(name, justify="right")
        for each in self.figures:
            spread = f"{each.rate:,.0f} ({min(each.rates):,.0f}–{max(each.rates):,.0f})"
            limit = None if each.limit_rate is None else each.rate / each.limit_rate
            table.add_row(
                each.workload,
                each.setting,
                spread,
                f"{each.p50_ms:.1f}",
                f"{each.p99_ms:.1f}",
                f"{each.max_ms:.0f}",
                _cell(each.cpu_s_per_1000, ".2f"),
                _cell(each.rss_max_mb, ".0f"),
                _cell(each.syncs_per_s, ".0f"),
                _cell(each.disk_bytes_per_operation, ",.0f"),
                _cell(each.wire_bytes_per_operation, ",.0f"),
                _cell(limit, ".0%"),
            )
        console = Console(width=160)
        console.print(table)
        for each in self.figures:
            if each.notes:
                console.print(f"{each.workload}, {each.setting}: {each.notes}")
        for name, why in self.failures.items():
            console.print(f"FAILED: workload {name}: {why}", markup=False)
        basis = self.primitives
        console.print(
            f"signature check {basis.check_us:.0f} µs, signature {basis.sign_us:.0f} µs, "
            f"synced write of 4 KiB {basis.sync_us:.0f} µs on this machine in this run"
        )

    def write(self, path: Path) -> None:
        """Writes everything as JSON."""
        content: dict[str, Any] = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"python": platform.python_version(), "system": platform.platform()},
            "primitives": asdict(self.primitives),
            "figures": [asdict(each) for each in self.figures],
            "failures": self.failures,
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Rates and times of several runs, as arguments of a `Figure`."""

    def middle(share: float) -> float:
        return statistics.median(run.percentile_ms(share) for run in runs)

    return {
        "rates": [run.rate for run in runs],
        "p50_ms": middle(0.5),
        "p90_ms": middle(0.9),
        "p99_ms": middle(0.99),
        "max_ms": max(run.times_ms[-1] for run in runs),
    }


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
