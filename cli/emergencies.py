"""`concordat audit emergencies`: every emergency grant of a ledger, and what its review found."""

from pathlib import Path
from typing import Any

import click

from audit.emergencies import ALARMING, OUTCOMES, Emergencies, emergencies
from audit.proofs.check import moment
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis
from cli.show import JsonOption, console, emit_json
from cli.targets import opened
from contracts.grants import Act, Grant


@click.command("emergencies")
@click.argument("target")
@GenesisOption
@node_options
@JsonOption
def emergencies_command(
    target: str, genesis_path: Path, url: str, token: str | None, as_json: bool
) -> None:
    """List every emergency grant in TARGET: who started it, what was read, what its review found.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. Exit 1
    if a review is missing or found an emergency unjustified.
    """
    del url
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source:
        found = emergencies(source, genesis)
    if as_json:
        emit_json([_as_json(found, value) for value in found.grants])
    else:
        _show(found)
    if any(found.outcome(value) in ALARMING for value in found.grants):
        raise SystemExit(1)


def _show(found: Emergencies) -> None:
    count = len(found.grants)
    console.print(f"{count} emergencies as of height {found.height}, {moment(found.time_ms)}")
    for value in found.grants:
        facts = _as_json(found, value)
        for line in (
            f"\n{facts['outcome']}: grant {facts['grant_id']}",
            f"  {OUTCOMES[facts['outcome']]}",
            f"  {facts['situation']}",
            f"  started by {facts['started_by']}, confirmed by {facts['confirmed_by'] or 'nobody'}",
            f"  {facts['consumer']} read {facts['dataset']}: {facts['exchanges']} exchanges, "
            f"{facts['rows']} rows",
            f"  review: {facts['findings'] or 'none'}",
        ):
            console.print(line, markup=False)


def _as_json(found: Emergencies, value: Grant) -> dict[str, Any]:
    emergency = value.emergency
    assert emergency is not None, "the list holds emergencies"
    review = emergency.review
    return {
        "grant_id": value.grant_id.hex(),
        "outcome": found.outcome(value),
        "situation": emergency.situation,
        "consumer": value.consumer,
        "dataset": f"{value.request.provider}/{value.request.dataset}",
        "fields": list(value.request.fields),
        "started_by": _who(value.requested),
        "confirmed_by": None if emergency.confirmed is None else _who(emergency.confirmed),
        "review_due_ms": emergency.review_due_ms or None,
        "findings": None if review is None else review.findings,
        "reviewed_by": None if review is None else _who(review.act),
        "exchanges": value.exchanges,
        "rows": value.rows,
        "height": value.requested.height,
    }


def _who(act: Act) -> str:
    return f"{act.department} ({act.actor})"
