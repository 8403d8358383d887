"""How long and how often the bench measures."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """runs: counted runs of each setting. seconds, warm_up_s: of each. nodes: in a cluster.

    ledger_records: in the ledgers of workloads h and i; ten times as many bulk receipts.
    sizes: of the ledger of workload j, in signed records. receipts: that are added to it then.
    profile: a folder for a profile of each node, which makes them several times slower.
    flames: a folder for flame graphs, a folder in it for each workload (`bench.flames`).
    """

    runs: int = 5
    seconds: float = 10.0
    warm_up_s: float = 3.0
    nodes: int = 3
    ledger_records: int = 100_000
    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    receipts: tuple[int, ...] = (10_000_000,)
    profile: Path | None = None
    flames: Path | None = None

    @property
    def cores(self) -> int:
        """Processors that this process may use."""
        return len(os.sched_getaffinity(0))


QUICK = Settings(
    runs=3,
    seconds=4.0,
    warm_up_s=1.5,
    ledger_records=5_000,
    sizes=(10_000, 50_000),
    receipts=(500_000,),
)
