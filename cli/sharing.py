"""`concordat dataset`, `grant`, `exchange` and `node`: a node's HTTP interface for people."""

import json
import sys
import time
from typing import Any

import click

from cli.client import connect, node_options
from cli.show import Failure, JsonOption, console, emit_json, fields, table

DAY_MS = 86_400_000

KeyOption = click.option("--idempotency-key", help="A retry with the same key meets its first try.")
DryOption = click.option("--dry-run", is_flag=True, help="Only say whether it would be accepted.")


@click.group()
def node() -> None:
    """How a node is doing."""


@node.command("status")
@node_options
@JsonOption
def node_status(url: str, token: str | None, as_json: bool) -> None:
    """Role, heights, peers, alarms, and what the node waits for."""
    value = connect(url, token).get("/v1/status")
    if as_json:
        emit_json(value)
        return
    peers = value.pop("peers")
    fields(f"{value['department']} at {url}", value)
    table(
        "peers",
        ("node", "connected", "match index"),
        [(peer["node_id"][:16], peer["connected"], peer["match_index"]) for peer in peers],
    )


@click.group()
def dataset() -> None:
    """The catalogue."""


@dataset.command("list")
@node_options
@click.option("--publisher")
@JsonOption
def dataset_list(url: str, token: str | None, publisher: str | None, as_json: bool) -> None:
    """Every dataset."""
    items = list(connect(url, token).pages("/v1/datasets", publisher=publisher))
    if as_json:
        emit_json(items)
        return
    rows = [
        (
            f"{item['publisher']}/{item['name']}",
            item["title"],
            item["classification"],
            item["sharing"],
            item["status"],
            len(item["fields"]),
        )
        for item in items
    ]
    table("datasets", ("dataset", "title", "classification", "sharing", "status", "fields"), rows)


@dataset.command("show")
@node_options
@click.argument("name")
@JsonOption
def dataset_show(url: str, token: str | None, name: str, as_json: bool) -> None:
    """One dataset, NAME as publisher/name, with its fields."""
    client = connect(url, token)
    value = client.get(f"/v1/datasets/{name}")
    described = client.get(f"/v1/datasets/{name}/description")
    if as_json:
        emit_json(value | {"description": described})
        return
    value.pop("fields")
    fields(name, value)
    rows = [(f["name"], f["type"], f["meaning"]) for f in described["fields"]]
    table("fields", ("field", "type", "meaning"), rows)


@dataset.command("publish")
@node_options
@click.argument("offer", type=click.File("rb"))
@KeyOption
@DryOption
@JsonOption
def dataset_publish(
    url: str,
    token: str | None,
    offer: Any,
    idempotency_key: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish the dataset that the JSON file OFFER describes (- for standard input)."""
    _write(url, token, "/v1/datasets", _json(offer), idempotency_key, dry_run, as_json)


@dataset.command("withdraw")
@node_options
@click.argument("name")
@click.option("--reason", required=True)
@DryOption
@JsonOption
def dataset_withdraw(
    url: str, token: str | None, name: str, reason: str, dry_run: bool, as_json: bool
) -> None:
    """End this department's dataset NAME."""
    _write(url, token, f"/v1/datasets/{name}/withdraw", {"reason": reason}, None, dry_run, as_json)


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
            item["why_not"] or "active",
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
@node_options
@click.argument("dataset_name", metavar="PUBLISHER/DATASET")
@click.option("--field", "names", multiple=True, required=True)
@click.option("--purpose", required=True)
@click.option("--legal-basis", required=True)
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True)
@click.option("--exchanges-max", type=click.IntRange(0), default=0, help="0: no limit.")
@click.option("--rows-max", type=click.IntRange(0), default=0, help="0: no limit.")
@click.option("--onward", is_flag=True, help="Ask for the right to share further.")
@KeyOption
@DryOption
@JsonOption
def grant_request(
    url: str,
    token: str | None,
    dataset_name: str,
    names: tuple[str, ...],
    purpose: str,
    legal_basis: str,
    days: int,
    exchanges_max: int,
    rows_max: int,
    onward: bool,
    idempotency_key: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask for a grant; the answer's record id is the grant's id."""
    provider, _, name = dataset_name.partition("/")
    now_ms = time.time_ns() // 1_000_000
    body = {
        "provider": provider,
        "dataset": name,
        "fields": list(names),
        "purpose": purpose,
        "legal_basis": legal_basis,
        "valid_from_ms": now_ms,
        "valid_until_ms": now_ms + days * DAY_MS,
        "exchanges_max": exchanges_max,
        "rows_max": rows_max,
        "onward": onward,
    }
    _write(url, token, "/v1/grants", body, idempotency_key, dry_run, as_json)


@grant.command("approve")
@node_options
@click.argument("grant_id")
@DryOption
@JsonOption
def grant_approve(url: str, token: str | None, grant_id: str, dry_run: bool, as_json: bool) -> None:
    """Say yes, as the provider."""
    _write(url, token, f"/v1/grants/{grant_id}/approve", None, None, dry_run, as_json)


def _decision(name: str, words: str) -> click.Command:
    @click.command(name, help=words)
    @node_options
    @click.argument("grant_id")
    @click.option("--reason", required=True)
    @DryOption
    @JsonOption
    def decide(
        url: str, token: str | None, grant_id: str, reason: str, dry_run: bool, as_json: bool
    ) -> None:
        path = f"/v1/grants/{grant_id}/{name}"
        _write(url, token, path, {"reason": reason}, None, dry_run, as_json)

    return decide


grant.add_command(_decision("refuse", "Say no, as the provider, with a reason."))
grant.add_command(_decision("revoke", "End a grant, as the provider; nothing more goes out."))
grant.add_command(_decision("withdraw", "Give a grant back, as the consumer."))


@click.group()
def exchange() -> None:
    """Data under a grant."""


@exchange.command("get")
@node_options
@click.argument("grant_id")
@click.option("--purpose", required=True, help="As the grant states it.")
@click.option("--case", default="", help="Case number; only a commitment enters the ledger.")
@click.option("--where", multiple=True, help="field=value; more than one must all hold.")
@click.option("--query", help='JSON instead of --where: {"where": {"age": {">=": 18}}}.')
@click.option("--field", "names", multiple=True, help="Fewer fields than the grant names.")
@DryOption
@JsonOption
def exchange_get(
    url: str,
    token: str | None,
    grant_id: str,
    purpose: str,
    case: str,
    where: tuple[str, ...],
    query: str | None,
    names: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Get data under the grant GRANT_ID, with a certified receipt."""
    body = {
        "grant_id": grant_id,
        "purpose": purpose,
        "case": case,
        "query": _query(where, query),
        "fields": list(names) or None,
    }
    client = connect(url, token)
    value = client.post("/v1/exchanges", body, dry_run=dry_run or None)
    if as_json or dry_run:
        emit_json(value)
        return
    table(f"{len(value['rows'])} rows", value["fields"], value["rows"])
    console.print(f"receipt: record {value['receipt_record']} at height {value['height']}")


def _query(where: tuple[str, ...], query: str | None) -> Any:
    if query is not None:
        try:
            return json.loads(query)
        except ValueError as error:
            raise Failure(f"--query is not JSON: {error}", "Put it into single quotes.") from None
    conditions: dict[str, Any] = {}
    for condition in where:
        name, separator, value = condition.partition("=")
        if not separator:
            raise Failure(f"--where {condition} is not field=value", "Use --query for others.")
        conditions[name] = value
    return {"where": conditions} if conditions else {}


def _json(file: Any) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise Failure(f"{file.name} is not JSON: {error}", "See docs/FORMATS.md.") from None


def _write(
    url: str,
    token: str | None,
    path: str,
    body: Any,
    key: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    client = connect(url, token)
    headers = {} if key is None else {"Idempotency-Key": key}
    value = client.post(path, body, headers=headers, dry_run=dry_run or None)
    if as_json:
        emit_json(value)
    elif dry_run:
        allowed = value["allowed"]
        words = "would be accepted" if allowed else f"{value['code']}: {value['detail']}"
        console.print(words)
        sys.exit(0 if allowed else 1)
    else:
        place = f"height {value['height']}, leaf {value['leaf_index']}"
        state = "certified" if value["certified"] else "committed"
        console.print(f"record {value['record_id']} is {state}: {place}")
