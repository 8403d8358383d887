"""`concordat exchange import-xroad`: what an existing X-Road did, brought to the ledger."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cli.client import connect, node_options
from cli.show import Failure, JsonOption, console, emit_json
from cli.xroad import REASONS, Imported, Side, imported, records

ExistingFile = click.Path(path_type=Path, dir_okay=False, exists=True)

SECRET_BYTES_MIN = 32

ROUTES = {"producer": "/v1/bulk/receipts", "client": "/v1/bulk/acknowledgements"}


@click.command("import-xroad")
@click.argument("files", type=ExistingFile, nargs=-1, required=True)
@click.option(
    "--side",
    type=click.Choice(["producer", "client"]),
    required=True,
    help="Which half this department was: the producer receipts, the client acknowledges.",
)
@click.option(
    "--grants",
    "grants_file",
    type=ExistingFile,
    required=True,
    help="JSON: a list of {client, service, grant_id}.",
)
@click.option(
    "--secret-file",
    type=ExistingFile,
    required=True,
    help="At least 32 bytes that both departments hold for these imports, and nobody else.",
)
@click.option("--dry-run", is_flag=True, help="Only read and count; nothing is sent.")
@node_options
@JsonOption
def import_xroad(
    files: tuple[Path, ...],
    side: Side,
    grants_file: Path,
    secret_file: Path,
    dry_run: bool,
    url: str,
    token: str | None,
    as_json: bool,
) -> None:
    """Bring X-Road operational-monitoring records in FILES to the ledger, once each.

    Both halves of an exchange are paired by message id; each record is used, or refused for a
    reason. Importing the same files again adds nothing.
    """
    client = connect(url, token)
    secret = secret_file.read_bytes()
    if len(secret) < SECRET_BYTES_MIN:
        raise Failure(f"{secret_file} has {len(secret)} bytes", "Draw 32 random bytes at least.")
    ledger_id = bytes.fromhex(client.get("/v1/consortium")["ledger_id"])
    read = imported(
        _all_records(files),
        side=side,
        grants=_grants(grants_file),
        secret=secret,
        ledger_id=ledger_id,
    )
    answer: dict[str, Any] = {}
    if not dry_run:
        answer = client.request(
            "POST",
            ROUTES[side],
            content=_lines(read.entries),
            headers={"Content-Type": "application/x-ndjson"},
        ).json()
    if as_json:
        emit_json(_summary(read) | {"node": answer or None})
    else:
        _show(read, answer)


def _all_records(files: tuple[Path, ...]) -> Iterator[object]:
    for file in files:
        try:
            yield from records(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Failure(f"{file} is not JSON: {error}", "See docs/CLI.md.") from None


def _grants(file: Path) -> dict[tuple[str, str], str]:
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {(each["client"], each["service"]): each["grant_id"] for each in listed}
    except (ValueError, KeyError, TypeError):
        raise Failure(
            f"{file} is no list of client, service and grant_id", "See docs/CLI.md."
        ) from None


def _lines(entries: list[dict[str, Any]]) -> Iterator[bytes]:
    for entry in entries:
        yield json.dumps(entry).encode() + b"\n"


def _summary(read: Imported) -> dict[str, Any]:
    return {
        "read": read.read,
        "used": read.used,
        "paired": read.paired,
        "refused": dict(sorted(read.refused.items())),
    }


def _show(read: Imported, answer: dict[str, Any]) -> None:
    console.print(f"{read.read} records read, {read.used} used, {read.paired} with both halves")
    for reason, count in sorted(read.refused.items()):
        console.print(f"  {count} refused: {reason}: {REASONS[reason]}", markup=False)
    if answer:
        console.print(
            f"the node took {answer['accepted']}, knew {answer['known']}, "
            f"refused {answer['refused']}"
        )
    for each in answer.get("refusals", ()):
        console.print(f"  entry {each['place']}: {each['code']}: {each['detail']}", markup=False)
