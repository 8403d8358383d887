"""`concordat grant` and `concordat emergency`: who may read what, and who said so."""

import time
from collections.abc import Callable
from typing import Any

import click

from cli.client import connect, node_options
from cli.show import JsonOption, emit_json, fields, table
from cli.writing import Writer, writes

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

VersionOption = click.option(
    "--version", type=click.IntRange(1), help="The version meant; by default the one that waits."
)


def wanted_options(command: Callable[..., None]) -> Callable[..., None]:
    """What a request for a grant says, as options."""
    unlimited: dict[str, Any] = {
        "type": click.IntRange(0),
        "default": 0,
        "help": "0: no limit.",
    }
    options = (
        click.option("--field", "names", multiple=True, required=True),
        click.option("--purpose", required=True, help="A term: dpv:ServiceProvision, say."),
        click.option("--description", default="", help="The purpose in words."),
        click.option("--legal-basis", required=True, help="A term: dpv:LegalObligation, say."),
        click.option("--legal-reference", default="", help="The law and its section."),
        click.option("--days", type=click.IntRange(0, 3650), default=365, show_default=True),
        click.option("--hours", type=click.IntRange(0, 23), default=0, help="Beside --days."),
        click.option("--exchanges-max", **unlimited),
        click.option("--rows-max", **unlimited),
        click.option("--size-bytes-max", **unlimited),
        click.option("--subjects-max", **unlimited),
        click.option("--subjects-named", is_flag=True, help="Queries have to name their subjects."),
        click.option("--onward", is_flag=True, help="Ask for the right to share further."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def grant() -> None:
    """Who may read what, for which purpose."""


@grant.command("list")
@node_options
@click.option("--consumer")
@click.option("--provider")
@click.option("--status")
@JsonOption
def grant_list(
    url: str,
    token: str | None,
    consumer: str | None,
    provider: str | None,
    status: str | None,
    as_json: bool,
) -> None:
    """Grants that fit."""
    client = connect(url, token)
    items = list(client.pages("/v1/grants", consumer=consumer, provider=provider, status=status))
    if as_json:
        emit_json(items)
        return
    rows = [
        (
            item["grant_id"][:16],
            item["consumer"],
            f"{item['provider']}/{item['dataset']}",
            item["purpose"],
            "overdue" if item["overdue"] else item["why_not"] or "active",
            item["exchanges"],
            item["denied"],
        )
        for item in items
    ]
    columns = ("grant", "consumer", "dataset", "purpose", "standing", "exchanges", "denied")
    table("grants", columns, rows)


@grant.command("show")
@node_options
@click.argument("grant_id")
@JsonOption
def grant_show(url: str, token: str | None, grant_id: str, as_json: bool) -> None:
    """One grant, and whether it lets an exchange through now."""
    value = connect(url, token).get(f"/v1/grants/{grant_id}")
    if as_json:
        emit_json(value)
    else:
        fields(f"grant {grant_id[:16]}…", value)


@grant.command("request")
@click.argument("dataset_name", metavar="PUBLISHER/DATASET")
@wanted_options
@writes
def grant_request(
    writer: Writer,
    dataset_name: str,
    **wanted: Any,
) -> None:
    """Ask for a grant; the answer's record id is the grant's id."""
    body = _wanted(dataset_name, wanted)
    writer.post("/v1/grants", body)


@grant.command("amend")
@click.argument("grant_id")
@click.argument("dataset_name", metavar="PUBLISHER/DATASET")
@wanted_options
@writes
def grant_amend(
    writer: Writer,
    grant_id: str,
    dataset_name: str,
    **wanted: Any,
) -> None:
    """Ask for another version of a grant, as the consumer: an amendment, or a renewal."""
    body = _wanted(dataset_name, wanted)
    path = f"/v1/grants/{grant_id}/amend"
    writer.post(path, body)


@grant.command("history")
@node_options
@click.argument("grant_id")
@JsonOption
def grant_history(url: str, token: str | None, grant_id: str, as_json: bool) -> None:
    """Everything that was done about a grant, and by whom."""
    items = list(connect(url, token).pages(f"/v1/grants/{grant_id}/history"))
    if as_json:
        emit_json(items)
        return
    rows = [
        (item["height"], item["kind"], item["department"], item["actor"], item["record_id"][:16])
        for item in items
    ]
    table(f"grant {grant_id[:16]}…", ("height", "what", "department", "who", "record"), rows)


def _consent(name: str, words: str) -> click.Command:
    @click.command(name, help=words)
    @click.argument("grant_id")
    @VersionOption
    @writes
    def consent(
        writer: Writer,
        grant_id: str,
        version: int | None,
    ) -> None:
        path = f"/v1/grants/{grant_id}/{name}{_of_version(version)}"
        writer.post(path, None)

    return consent


def _reply(name: str, words: str) -> click.Command:
    @click.command(name, help=words)
    @click.argument("grant_id")
    @click.option("--reason", required=True, help="Every member can read it.")
    @VersionOption
    @writes
    def reply(
        writer: Writer,
        grant_id: str,
        reason: str,
        version: int | None,
    ) -> None:
        path = f"/v1/grants/{grant_id}/{name}{_of_version(version)}"
        writer.post(path, {"reason": reason})

    return reply


def _of_version(version: int | None) -> str:
    return "" if version is None else f"?version={version}"


def _decision(name: str, words: str) -> click.Command:
    @click.command(name, help=words)
    @click.argument("grant_id")
    @click.option("--reason", required=True)
    @writes
    def decide(writer: Writer, grant_id: str, reason: str) -> None:
        path = f"/v1/grants/{grant_id}/{name}"
        writer.post(path, {"reason": reason})

    return decide


grant.add_command(_consent("accept", "Take what waits into review, as the provider."))
grant.add_command(_consent("approve", "Say yes, as the provider or a co-approver."))
grant.add_command(_reply("ask", "Ask the consumer for more before deciding."))
grant.add_command(_reply("answer", "Answer what was asked, as the consumer."))
grant.add_command(_reply("refuse", "Say no, as the provider or a co-approver, with a reason."))
grant.add_command(_reply("retract", "Take back what waits, as the consumer."))
grant.add_command(_decision("suspend", "Stop a grant for the time being; nothing goes out."))
grant.add_command(_decision("resume", "Let a grant go on that this department suspended."))
grant.add_command(_decision("revoke", "End a grant, as the provider; nothing more goes out."))
grant.add_command(_decision("withdraw", "Give a grant back, as the consumer."))


@click.group()
def emergency() -> None:
    """Emergency grants: two people start one, and it is reviewed afterwards."""


@emergency.command("declare")
@click.argument("dataset_name", metavar="PUBLISHER/DATASET")
@click.option("--situation", required=True, help="What has happened; every member can read it.")
@wanted_options
@writes
def emergency_declare(
    writer: Writer,
    dataset_name: str,
    situation: str,
    **wanted: Any,
) -> None:
    """Declare an emergency, as the consumer; the record id is the grant's id."""
    wanted["subjects_named"] = True
    body = _wanted(dataset_name, wanted) | {"situation": situation}
    writer.post("/v1/emergencies", body)


@emergency.command("confirm")
@click.argument("grant_id")
@writes
def emergency_confirm(writer: Writer, grant_id: str) -> None:
    """Confirm an emergency, as the provider or a co-approver."""
    writer.post(f"/v1/emergencies/{grant_id}/confirm", None)


@emergency.command("review")
@click.argument("grant_id")
@click.option("--verdict", type=click.Choice(["justified", "unjustified"]), required=True)
@click.option("--findings", required=True, help="Every member can read them.")
@writes
def emergency_review(
    writer: Writer,
    grant_id: str,
    verdict: str,
    findings: str,
) -> None:
    """Say whether an emergency was justified, as the provider or a co-approver."""
    body = {"verdict": verdict, "findings": findings}
    writer.post(f"/v1/emergencies/{grant_id}/review", body)


@emergency.command("list")
@node_options
@JsonOption
def emergency_list(url: str, token: str | None, as_json: bool) -> None:
    """Every emergency grant, and what its review found."""
    items = list(connect(url, token).pages("/v1/emergencies"))
    if as_json:
        emit_json(items)
        return
    rows = [
        (
            item["grant_id"][:16],
            item["consumer"],
            f"{item['provider']}/{item['dataset']}",
            item["emergency"]["situation"],
            item["why_not"] or "active",
            item["emergency"]["verdict"] or "no review",
            item["exchanges"],
        )
        for item in items
    ]
    columns = ("grant", "consumer", "dataset", "situation", "standing", "review", "exchanges")
    table("emergencies", columns, rows)


def _wanted(dataset_name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A request's body from the options of `wanted_options`."""
    provider, _, name = dataset_name.partition("/")
    now_ms = time.time_ns() // 1_000_000
    words = ("purpose", "description", "legal_basis", "legal_reference", "onward")
    limits = ("exchanges_max", "rows_max", "size_bytes_max", "subjects_max", "subjects_named")
    until_ms = now_ms + options["days"] * DAY_MS + options["hours"] * HOUR_MS
    return {
        "provider": provider,
        "dataset": name,
        "fields": list(options["names"]),
        "valid_from_ms": now_ms,
        "valid_until_ms": until_ms,
        "limits": {key: options[key] for key in limits},
        **{key: options[key] for key in words},
    }
