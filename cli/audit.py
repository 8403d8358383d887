"""`concordat audit`: proves a whole ledger from its bytes."""

from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from audit.memory import CheckpointMemory, MemoryDamaged, default_folder
from audit.progress import ProgressRefused, leaves_done
from audit.scratch import Scratch
from audit.sources.opening import open_ledger
from audit.sources.scratch_folder import ScratchFolder
from audit.verify import STEPS, Audit, Level, Report, Source, Unreadable
from audit.workers import Cluster, Cores
from cli.client import node_options
from cli.show import Failure, JsonOption, console, emit_json, unreadable
from ledger.errors import LedgerError
from ledger.genesis import GenesisFile, parse_genesis_file
from ledger.signatures import self_test

LEVELS = ("structure", "signatures", "full")


@click.group()
def audit() -> None:
    """Check ledgers and proofs, trusting no node."""


@audit.command()
@click.argument("target")
@click.option(
    "--genesis",
    "genesis_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The genesis file: the only thing that is trusted.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="full",
    show_default=True,
    help="structure: links, tree, certificates; signatures: also authors and attachments.",
)
@click.option("--memory", type=click.Path(path_type=Path, file_okay=False), default=None)
@click.option("--forget", is_flag=True, help="Neither use nor keep the remembered checkpoint.")
@click.option(
    "--dask",
    metavar="ADDRESS",
    default=None,
    help="Judge segments on the Dask cluster whose scheduler is at tcp://HOST:PORT.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder that keeps how far the audit came, so that the same command continues it.",
)
@node_options
@JsonOption
def verify(
    target: str,
    genesis_path: Path,
    level: Level,
    memory: Path | None,
    forget: bool,
    dask: str | None,
    resume: Path | None,
    url: str,
    token: str | None,
    as_json: bool,
) -> None:
    """Prove the ledger in TARGET: a stopped or copied data directory, or a live node's URL.

    Exit 0 only if everything holds. The last checkpoint of each ledger is remembered, and a ledger
    that does not continue it is refused.
    """
    del url
    self_test()
    if resume is not None and level != "full":
        raise Failure("only a full verification can be resumed", "Leave --level or --resume out.")
    try:
        genesis = parse_genesis_file(genesis_path.read_bytes())
    except LedgerError as error:
        raise Failure(f"{genesis_path}: {error}", error.remedy) from None
    kept = CheckpointMemory(memory or default_folder())
    try:
        remembered = None if forget else kept.recall(genesis.ledger_id)
        secret = None if resume is None else kept.secret()
        with ScratchFolder(resume) as scratch:
            first = 0 if secret is None else max(0, leaves_done(scratch, secret) - 1)
            with open_ledger(target, token, first=first) as source:
                report = _run(
                    genesis,
                    source,
                    remembered,
                    level=level,
                    dask=dask,
                    scratch=scratch,
                    secret=secret,
                    quiet=as_json,
                )
    except Unreadable as error:
        raise unreadable(error) from None
    except (MemoryDamaged, ProgressRefused) as error:
        raise Failure(str(error), error.remedy) from None
    if report.holds and report.certified is not None and level == "full" and not forget:
        kept.remember(report.certified)
    if as_json:
        emit_json(_as_json(target, report))
    else:
        _show(target, report)
    if not report.holds:
        raise SystemExit(1)


def verify_source(genesis: GenesisFile, source: Source) -> Report:
    """A full verification without a word, for commands whose answers rest on one."""
    self_test()
    with ScratchFolder() as scratch:
        return _run(genesis, source, None, level="full", scratch=scratch, quiet=True)


def _run(
    genesis: GenesisFile,
    source: Source,
    remembered: Any,
    *,
    level: Level,
    dask: str | None = None,
    scratch: Scratch,
    secret: bytes | None = None,
    quiet: bool,
) -> Report:
    with (
        Cores() if dask is None else Cluster(dask) as judge,
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("reading", total=None)

        def advance(step: str, done: int) -> None:
            progress.update(task, description=f"{step}: {done} leaves")

        return Audit(
            genesis,
            source,
            judge=judge,
            level=level,
            remembered=remembered,
            scratch=scratch,
            secret=secret,
            progress=advance,
        ).run()


def _show(target: str, report: Report) -> None:
    console.print(f"ledger      {report.ledger_id.hex()}", markup=False)
    console.print(f"fingerprint {report.fingerprint}  (compare it by telephone)", markup=False)
    if report.resumed_height:
        console.print(f"resumed     after block {report.resumed_height}", markup=False)
    for number, name in enumerate(STEPS, start=1):
        words = report.steps.get(name)
        state = "ok  " if words is not None and report.holds else "    "
        missing = "not in this source: a data directory has it" if report.holds else "not reached"
        console.print(f"{number}  {name:13} {state}{words or missing}", markup=False)
    for finding in report.findings:
        explained = finding.explanation
        console.print(f"\nFOUND {finding.code} at {finding.place}", markup=False)
        console.print(f"  {finding.detail}\n  {explained.meaning}", markup=False)
        console.print(f"  what to do: {explained.remedy}", markup=False)
    if report.holds and report.certified is not None:
        console.print(
            f"\nholds: height {report.height}, {report.records} records, certified to height "
            f"{report.certified.height} by {', '.join(report.signers)}",
            markup=False,
        )
    else:
        console.print(f"\n{len(report.findings)} findings: {target} does not hold", markup=False)


def _as_json(target: str, report: Report) -> dict[str, Any]:
    certified = report.certified
    return {
        "target": target,
        "holds": report.holds,
        "ledger_id": report.ledger_id.hex(),
        "fingerprint": report.fingerprint,
        "height": report.height,
        "tree_size": report.tree_size,
        "root": report.root.hex(),
        "records": report.records,
        "time_ms": report.time_ms,
        "resumed_height": report.resumed_height,
        "certified_height": None if certified is None else certified.height,
        "signed_by": list(report.signers),
        "steps": report.steps,
        "findings": [
            {
                "code": finding.code,
                "place": finding.place,
                "detail": finding.detail,
                "meaning": finding.explanation.meaning,
                "remedy": finding.explanation.remedy,
            }
            for finding in report.findings
        ],
    }
