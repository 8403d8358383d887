"""`concordat dataset`, `exchange` and `node`: a node's HTTP interface for people."""

import json
from typing import Any

import click

from cli.client import connect, node_options
from cli.show import Failure, JsonOption, console, emit_json, fields, table
from cli.writing import DryOption, Writer, writes


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
@click.argument("offer", type=click.File("rb"))
@writes
def dataset_publish(writer: Writer, offer: Any) -> None:
    """Publish the dataset that the JSON file OFFER describes (- for standard input)."""
    writer.post("/v1/datasets", _json(offer))


@dataset.command("withdraw")
@click.argument("name")
@click.option("--reason", required=True)
@writes
def dataset_withdraw(writer: Writer, name: str, reason: str) -> None:
    """End this department's dataset NAME."""
    writer.post(f"/v1/datasets/{name}/withdraw", {"reason": reason})


@click.group()
def exchange() -> None:
    """Data under a grant."""


@exchange.command("get")
@node_options
@click.argument("grant_id")
@click.option("--purpose", required=True, help="The grant's term.")
@click.option("--case", required=True, help="Case number; only a commitment enters the ledger.")
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
    following = value.get("next")
    while following is not None:
        page = client.get(f"/v1/exchanges/{value['exchange_id']}/rows", start=following)
        value["rows"] += page["rows"]
        following = value["next"] = page["next"]
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
