"""Prints, at the end of a session, what the simulator met: each kind of fault and how often."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sums what the parts noted, from whichever worker they ran on."""
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "simulated" and report.when == "call":
                    counts.update(value)
    if counts:
        terminalreporter.section("simulated")
        for kind, count in sorted(counts.items()):
            terminalreporter.write_line(f"{kind:28} {count:12}")
