"""`concordat audit gaps`: both halves of every exchange, laid side by side."""

from typing import Any

import click

from audit.gaps import GAPS, Gap, Reconciliation, reconcile
from audit.proofs.check import moment
from cli.client import node_options
from cli.show import JsonOption, console, emit_json
from cli.targets import opened


@click.command()
@click.argument("target")
@click.option(
    "--grace-minutes",
    default=60,
    show_default=True,
    type=click.IntRange(min=0),
    help="How long a receipt may wait for its acknowledgement, by the ledger's time.",
)
@node_options
@JsonOption
def gaps(target: str, grace_minutes: int, url: str, token: str | None, as_json: bool) -> None:
    """Compare receipts with acknowledgements in TARGET, and name every exchange that does not fit.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. A gap
    is a reason to ask both sides. Exit 1 if there is one.
    """
    del url
    with opened(target, token) as source:
        found = reconcile(source, grace_ms=60_000 * grace_minutes)
    if as_json:
        emit_json(_as_json(target, found))
    else:
        _show(found)
    if found.gaps:
        raise SystemExit(1)


def _show(found: Reconciliation) -> None:
    console.print(
        f"as of height {found.height}, {moment(found.time_ms)}: {found.receipts} receipts, "
        f"{found.acknowledgements} acknowledgements, {found.voids} voids, {found.open} open",
        markup=False,
    )
    if found.unheld:
        console.print(f"{found.unheld} records cannot be compared: their items are not held here")
    for gap in found.gaps:
        detail = f" ({gap.detail})" if gap.detail else ""
        what = f"exchange {gap.exchange_id.hex()}" if gap.exchange_id else "a line of receipts"
        for line in (
            f"\n{gap.code}: {what}{detail}",
            f"  {GAPS[gap.code]}",
            f"  {gap.provider} to {gap.consumer}, grant {gap.grant_id.hex()}",
            f"  record {gap.record_id.hex()}, height {gap.height}",
        ):
            console.print(line, markup=False)
    beside = " among what is held here" if found.unheld else ""
    console.print(f"\n{len(found.gaps) or 'no'} gaps{beside}")


def _as_json(target: str, found: Reconciliation) -> dict[str, Any]:
    return {
        "target": target,
        "height": found.height,
        "tree_size": found.tree_size,
        "time_ms": found.time_ms,
        "receipts": found.receipts,
        "acknowledgements": found.acknowledgements,
        "voids": found.voids,
        "open": found.open,
        "unheld_records": found.unheld,
        "gaps": [_gap(gap) for gap in found.gaps],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "code": gap.code,
        "meaning": GAPS[gap.code],
        "exchange_id": gap.exchange_id.hex() or None,
        "grant_id": gap.grant_id.hex(),
        "record_id": gap.record_id.hex(),
        "height": gap.height,
        "provider": gap.provider,
        "consumer": gap.consumer,
        "detail": gap.detail,
    }
