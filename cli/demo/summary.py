"""What a department head reads at the end of the demonstration."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cli.show import console, table


@dataclass(slots=True)
class Summary:
    """Figures that the scenes gather. Times in seconds."""

    fingerprint: str = ""
    purposes: dict[str, str] = field(default_factory=dict)
    exchange_s: list[float] = field(default_factory=list)
    exchanges: list[tuple[str, str, str, int]] = field(default_factory=list)
    denials: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    killed: str = ""
    leader_gap_s: float = 0.0
    height: int = 0
    audited: dict[str, Any] = field(default_factory=dict)
    tampered: str = ""

    def served(self, consumer: str, dataset: str, purpose: str, count: int) -> None:
        """Exchanges under one grant, by the ledger's own count."""
        self.exchanges.append((consumer, dataset, purpose, count))

    def denied(self, consumer: str, purpose: str, code: str) -> None:
        """One refused exchange."""
        self.denials[(consumer, purpose, code)] += 1


def say(text: str) -> None:
    """A line of progress."""
    console.print(text, markup=False)


def show(summary: Summary) -> None:
    """The summary."""
    say("")
    table(
        "Exchanges served (by the ledger's own count)",
        ("who read", "what", "for which purpose", "exchanges"),
        [row for row in sorted(summary.exchanges) if row[3]],
    )
    table(
        "Exchanges refused",
        ("who asked", "for which purpose", "why refused", "times"),
        [(*key, count) for key, count in sorted(summary.denials.items())],
    )
    times = sorted(summary.exchange_s)
    report = summary.audited
    say(
        f"time from request to data  median {_quantile(times, 0.5):.0f} ms, "
        f"p99 {_quantile(times, 0.99):.0f} ms ({len(times)} exchanges, each certified first)"
    )
    say(
        f"the leader's death         {summary.killed} was killed; writes paused "
        f"{summary.leader_gap_s:.2f} s; nothing acknowledged was lost"
    )
    say("the auditor                checked five ledgers, nine steps each; all hold and agree")
    say(f"one changed byte           {summary.tampered}")
    say(
        f"the ledger's head          height {report['height']}, {report['records']} records, "
        f"root {report['root'][:16]}…"
    )
    say(f"signed by                  {', '.join(report['signed_by'])}")


def _quantile(times: list[float], part: float) -> float:
    """In milliseconds, of sorted times."""
    return 1000 * times[min(len(times) - 1, int(part * len(times)))] if times else 0.0
