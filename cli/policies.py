"""`concordat policy` and `concordat audit policies`: decisions made without a person."""

from pathlib import Path
from typing import Any

import click

from audit.policies import Automatic, automatic_decisions
from cli.client import connect, node_options
from cli.proofs import ExistingFile, GenesisOption, read_genesis
from cli.show import JsonOption, console, emit_json, table
from cli.targets import opened
from cli.writing import Writer, writes


@click.group()
def policy() -> None:
    """Policies in Cedar, by which a provider decides requests without a person."""


@policy.command("show")
@click.argument("dataset_name", metavar="PUBLISHER/DATASET")
@node_options
def policy_show(dataset_name: str, url: str, token: str | None) -> None:
    """The policy in force for a dataset."""
    answer = connect(url, token).request("GET", f"/v1/policies/{dataset_name}")
    console.print(answer.text, markup=False, end="")


@policy.command("try")
@click.argument("dataset")
@click.argument("file", type=ExistingFile)
@node_options
@JsonOption
def policy_try(dataset: str, file: Path, url: str, token: str | None, as_json: bool) -> None:
    """Say what the policy in FILE would have decided about past requests for DATASET."""
    items = connect(url, token).post(f"/v1/policies/{dataset}/try", _body(file))
    if as_json:
        emit_json(items)
        return
    rows = [
        (
            item["grant_id"][:16],
            item["consumer"],
            item["purpose"],
            item["status"],
            item["verdict"],
            ", ".join(item["policies"]),
        )
        for item in items
    ]
    columns = ("grant", "consumer", "purpose", "status", "policy says", "by")
    table(f"{len(items)} requests", columns, rows)


@policy.command("publish")
@click.argument("dataset")
@click.argument("file", type=ExistingFile)
@writes
def policy_publish(writer: Writer, dataset: str, file: Path) -> None:
    """Decide requests for this department's DATASET by the policy in FILE from now on."""
    writer.post(f"/v1/policies/{dataset}", _body(file))


@policy.command("withdraw")
@click.argument("dataset")
@click.option("--reason", required=True)
@writes
def policy_withdraw(writer: Writer, dataset: str, reason: str) -> None:
    """Let stewards decide requests for DATASET again."""
    writer.post(f"/v1/policies/{dataset}/withdraw", {"reason": reason})


@click.command("policies")
@click.argument("target")
@GenesisOption
@node_options
@JsonOption
def policies_command(
    target: str, genesis_path: Path, url: str, token: str | None, as_json: bool
) -> None:
    """Decide every automatic decision in TARGET again, by the policy that it cites.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. Exit 1
    if a policy does not support a decision.
    """
    del url
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source:
        found = automatic_decisions(source, genesis)
    wrong = [each for each in found if not each.supported]
    if as_json:
        emit_json([_as_json(each) for each in found])
    else:
        console.print(f"{len(found)} automatic decisions, {len(wrong)} without support")
        for each in wrong:
            facts = _as_json(each)
            console.print(
                f"  height {facts['height']}, {facts['department']}: {facts['said']} of grant "
                f"{facts['grant_id']}; its policy says {facts['found']}",
                markup=False,
            )
    if wrong:
        raise SystemExit(1)


def _as_json(each: Automatic) -> dict[str, Any]:
    return {
        "record_id": each.record_id.hex(),
        "height": each.height,
        "grant_id": each.grant_id.hex(),
        "department": each.department,
        "engine": each.engine,
        "said": each.said.verdict,
        "said_by": list(each.said.policies),
        "found": each.found.verdict,
        "found_by": list(each.found.policies),
        "supported": each.supported,
    }


def _body(file: Path) -> dict[str, str]:
    return {"policy": file.read_text(encoding="utf-8")}
