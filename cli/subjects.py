"""`concordat audit openings` and `subjects`: whom exchanges were about, counted again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from audit.openings import Opening, parse_openings
from audit.proofs.check import moment
from audit.subjects import SUBJECT_FAULTS, Recount, SubjectFault, recount
from cli.client import connect, node_options
from cli.show import Failure, JsonOption, console, emit_json, table
from cli.targets import opened
from ledger.errors import Malformed


@click.command()
@click.option("--grant", "grant_id", help="One grant's exchanges only.")
@click.option(
    "--queries",
    is_flag=True,
    help="Also what was asked, with the identifiers of the people whom the queries name.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, readable by you alone; nothing is overwritten.",
)
@node_options
def openings(
    grant_id: str | None, queries: bool, output: Path, url: str, token: str | None
) -> None:
    """Fetch from a provider's node what its receipts commit to, for `audit subjects`."""
    client = connect(url, token)
    parts = client.stream("/v1/openings", grant_id=grant_id, queries=queries or None)
    count = 0
    try:
        made = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with _removed_unless_whole(output), open(made, "wb") as file:
            for part in parts:
                count += part.count(b"\n")
                file.write(part)
    except OSError as error:
        raise Failure(
            f"cannot write {output}: {error.strerror}",
            "Check the path, and the space that is left.",
        ) from None
    console.print(f"{output}: {count} exchanges", markup=False)


@contextmanager
def _removed_unless_whole(path: Path) -> Iterator[None]:
    """A file that was written half-way is not left behind."""
    try:
        yield
    except BaseException:
        path.unlink()
        raise


@click.command()
@click.argument("target")
@click.argument("shown", type=click.Path(path_type=Path, dir_okay=False))
@node_options
@JsonOption
def subjects(target: str, shown: Path, url: str, token: str | None, as_json: bool) -> None:
    """Count the data subjects of limited grants in TARGET again, from the openings in the file
    SHOWN.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. SHOWN
    is what `audit openings` wrote, or several such files joined. Exit 1 if something does not fit.
    """
    del url
    with _lines(shown) as lines, opened(target, token) as source:
        found = recount(source, _openings(shown, lines))
    if as_json:
        emit_json(_as_json(target, found))
    else:
        _show(found)
    if found.faults:
        raise SystemExit(1)


@contextmanager
def _lines(shown: Path) -> Iterator[BinaryIO]:
    try:
        file = shown.open("rb")
    except OSError as error:
        raise Failure(f"cannot read {shown}: {error.strerror}", "Check the path.") from None
    with file:
        yield file


def _openings(shown: Path, lines: BinaryIO) -> Iterator[Opening]:
    """What the file holds; its faults are the file's, not the ledger's. Raises Failure."""
    try:
        yield from parse_openings(lines)
    except Malformed as error:
        raise Failure(f"{shown}: {error}", "Fetch it again: `audit openings`.") from None


def _show(found: Recount) -> None:
    table(
        "grants that limit data subjects",
        ("grant", "provider", "consumer", "receipts", "shown", "queries", "subjects", "at most"),
        [
            (
                f"{each.grant_id.hex()[:16]}…",
                each.provider,
                each.consumer,
                each.receipts,
                each.opened,
                each.queries,
                each.subjects,
                each.subjects_max or "any",
            )
            for each in found.grants
        ],
    )
    console.print(f"as of height {found.height}, {moment(found.time_ms)}", markup=False)
    for count, what in (
        (found.aside, "openings of other exchanges, or shown before, were passed over"),
        (found.unheld, "records cannot be compared: their items are not held here"),
        (found.undescribed, "queries cannot be read: their dataset's description is not held"),
    ):
        if count:
            console.print(f"{count} {what}", markup=False)
    for fault in found.faults:
        detail = f" ({fault.detail})" if fault.detail else ""
        for line in (
            f"\n{fault.code}: exchange {fault.exchange_id.hex()}{detail}",
            f"  {SUBJECT_FAULTS[fault.code]}",
            f"  {fault.provider} to {fault.consumer}, grant {fault.place.grant_id.hex()}",
            f"  record {fault.place.record_id.hex()}, height {fault.place.height}",
        ):
            console.print(line, markup=False)
    count = len(found.faults)
    console.print(f"\n{count} faults" if count else "\neverything that was shown fits")


def _as_json(target: str, found: Recount) -> dict[str, Any]:
    return {
        "target": target,
        "height": found.height,
        "tree_size": found.tree_size,
        "time_ms": found.time_ms,
        "openings_aside": found.aside,
        "unheld_records": found.unheld,
        "undescribed_queries": found.undescribed,
        "grants": [
            {
                "grant_id": each.grant_id.hex(),
                "provider": each.provider,
                "consumer": each.consumer,
                "receipts": each.receipts,
                "shown": each.opened,
                "queries": each.queries,
                "subjects": each.subjects,
                "subjects_max": each.subjects_max,
            }
            for each in found.grants
        ],
        "faults": [_fault(fault) for fault in found.faults],
    }


def _fault(fault: SubjectFault) -> dict[str, Any]:
    return {
        "code": fault.code,
        "meaning": SUBJECT_FAULTS[fault.code],
        "exchange_id": fault.exchange_id.hex(),
        "grant_id": fault.place.grant_id.hex(),
        "record_id": fault.place.record_id.hex(),
        "height": fault.place.height,
        "provider": fault.provider,
        "consumer": fault.consumer,
        "detail": fault.detail,
    }
