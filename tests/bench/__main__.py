"""`python -m bench`: runs workloads and reports; see the package.

A workload that fails is reported and the others go on; the exit code is 1 then. What was measured
so far is in the JSON file after each workload.
"""

import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from bench import bulk, exchanges, growth, ledgers, others, reading, records
from bench.machine import Primitives, primitives
from bench.report import Figure, Report
from bench.settings import QUICK, Settings

Workload = Callable[[Path, Settings, Primitives], list[Figure]]

WORKLOADS: dict[str, Workload] = {
    "a": records.latency,
    "b": records.throughput,
    "c": bulk.signed_records,
    "d": bulk.receipts,
    "e": exchanges.exchanges,
    "f": exchanges.approvals,
    "g": reading.reads,
    "etcd": others.etcd,
    "h": ledgers.verification,
    "i": ledgers.restarts,
    "j": growth.growth,
    "k": growth.sizes,
}


@click.command()
@click.option("--quick", is_flag=True, help="Shorter and fewer runs.")
@click.option("--workload", type=click.Choice(sorted(WORKLOADS)), help="Only this one.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write JSON here.")
@click.option("--profile", type=click.Path(path_type=Path), help="Folder for nodes' profiles.")
@click.option("--flames", type=click.Path(path_type=Path), help="Folder for flame graphs.")
def main(
    quick: bool,
    workload: str | None,
    json_path: Path | None,
    profile: Path | None,
    flames: Path | None,
) -> None:
    """Measures, prints a table, and writes JSON if asked to."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    settings = replace(QUICK if quick else Settings(), profile=profile, flames=flames)
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        base = Path(folder)
        report = Report(primitives(base / "primitives"))
        for name in sorted(WORKLOADS) if workload is None else [workload]:
            _run(name, base / name, settings, report)
            if json_path is not None:
                report.write(json_path)
    report.show()
    if report.failures:
        sys.exit(1)


def _run(name: str, folder: Path, settings: Settings, report: Report) -> None:
    click.echo(f"workload {name}: {(WORKLOADS[name].__doc__ or '').strip()}")
    began = time.monotonic()
    try:
        report.figures += WORKLOADS[name](folder, settings, report.primitives)
    except Exception as error:  # noqa: BLE001 - the others are worth having all the same
        traceback.print_exc()
        first = error
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        report.failures[name] = f"{type(first).__name__}: {first}"
    shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"workload {name} took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
