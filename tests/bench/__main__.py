"""`python -m bench`: runs workloads and reports; see the package."""

import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from bench import bulk, ledgers, others, records
from bench.machine import Primitives, primitives
from bench.report import Figure, Report
from bench.settings import QUICK, Settings

Workload = Callable[[Path, Settings, Primitives], list[Figure]]

WORKLOADS: dict[str, Workload] = {
    "a": records.latency,
    "b": records.throughput,
    "c": bulk.signed_records,
    "d": bulk.receipts,
    "etcd": others.etcd,
    "h": ledgers.verification,
    "i": ledgers.restarts,
}


@click.command()
@click.option("--quick", is_flag=True, help="Shorter and fewer runs.")
@click.option("--workload", type=click.Choice(sorted(WORKLOADS)), help="Only this one.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write JSON here.")
@click.option("--profile", type=click.Path(path_type=Path), help="Folder for nodes' profiles.")
def main(quick: bool, workload: str | None, json_path: Path | None, profile: Path | None) -> None:
    """Measures, prints a table, and writes JSON if asked to."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    settings = replace(QUICK if quick else Settings(), profile=profile)
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        base = Path(folder)
        report = Report(primitives(base / "primitives"))
        for name in sorted(WORKLOADS) if workload is None else [workload]:
            click.echo(f"workload {name}: {(WORKLOADS[name].__doc__ or '').strip()}")
            report.figures += WORKLOADS[name](base / name, settings, report.primitives)
    report.show()
    if json_path is not None:
        report.write(json_path)


if __name__ == "__main__":
    main()
