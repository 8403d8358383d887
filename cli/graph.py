"""`concordat audit graph`: who shares what with whom, and what follows from it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click
import networkx as nx

from audit import graph as graphs
from audit.drawing import draw as draw_picture
from audit.matrix import GRANTS_MAX, draw_matrix
from audit.proofs.check import moment
from audit.questions import Answer
from audit.reach import Holding, Onward, Sharing, Sight, Stopped
from audit.tables import Tables
from cli.client import node_options
from cli.proofs import GenesisOption, write_new
from cli.questions import FormOption, read_tables, show_answer, stated
from cli.show import Failure, console


@click.group()
def graph() -> None:
    """Departments, datasets, grants, exchanges and derived data as a graph."""


@graph.command()
@click.argument("target")
@GenesisOption
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .svg, .graphml or .json; nothing is overwritten.",
)
@click.option("--every-grant", is_flag=True, help="An arrow for each grant, however many.")
@node_options
def draw(
    target: str,
    genesis_path: Path,
    output: Path,
    every_grant: bool,
    url: str,
    token: str | None,
) -> None:
    """Draw the sharing graph of the ledger in TARGET, or write it for other tools.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    sharing = Sharing(tables)
    match output.suffix:
        case ".svg":
            arrows = every_grant or len(sharing.grants) <= GRANTS_MAX
            picture = draw_picture if arrows else draw_matrix
            data = picture(sharing, title="Who shares what with whom", note=_of(tables))
        case ".graphml":
            data = graphs.as_graphml(sharing)
        case ".json":
            linked = nx.node_link_data(graphs.sharing_graph(sharing), edges="edges")
            data = json.dumps(stated(tables) | linked, ensure_ascii=False, indent=1).encode()
        case _:
            raise click.UsageError(f"{output}: write .svg, .graphml or .json")
    write_new(output, data)
    console.print(f"{output}: {_of(tables)}", markup=False)


@graph.command()
@click.argument("dataset")
@click.argument("target")
@click.option("--field", help="One of its fields; without it, any of them.")
@GenesisOption
@FormOption
@node_options
def reach(
    dataset: str,
    target: str,
    field: str | None,
    genesis_path: Path,
    form: str,
    url: str,
    token: str | None,
) -> None:
    """Say who can have seen DATASET (publisher/name), directly or through derived data.

    TARGET as for `audit graph draw`. `may read` and `may derive`: a grant allows it, and nothing
    has gone out under it yet.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    try:
        found = Sharing(tables).reach(dataset, field)
    except KeyError:
        what = dataset if field is None else f"{dataset} with a field {field}"
        raise Failure(
            f"there is no dataset {what}", '`audit sql "SELECT * FROM datasets"` lists all.'
        ) from None
    of = dataset if field is None else f"{field} of {dataset}"
    _show(f"Who can have seen {of}", tables, Sight, found, form)


@graph.command()
@click.argument("grant")
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def revocation(
    grant: str, target: str, genesis_path: Path, form: str, url: str, token: str | None
) -> None:
    """Say what would stop if GRANT were revoked: itself, and all that rests on it.

    TARGET as for `audit graph draw`. What has gone out under it stays where it is: see `reach`.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    try:
        found = Sharing(tables).stopped_by(grant.lower())
    except KeyError:
        raise Failure(
            f"there is no grant {grant}", '`audit sql "SELECT * FROM grants"` lists all.'
        ) from None
    _show(f"What stops if grant {grant[:16]}… is revoked", tables, Stopped, found, form)


@graph.command()
@click.argument("department")
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def leak(
    department: str, target: str, genesis_path: Path, form: str, url: str, token: str | None
) -> None:
    """Say what can come out if DEPARTMENT leaks: all that it publishes or has received.

    TARGET as for `audit graph draw`.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    sharing = Sharing(tables)
    if department not in sharing.departments:
        raise Failure(f"{department} is no department of this ledger", "Check the short name.")
    title = f"What {department} holds, and can lose"
    _show(title, tables, Holding, sharing.holdings(department), form)


@graph.command()
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def cycles(target: str, genesis_path: Path, form: str, url: str, token: str | None) -> None:
    """List departments that share in a circle, and whether a department's own data comes back.

    TARGET as for `audit graph draw`.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    found = graphs.cycles(Sharing(tables))
    _show("Departments that share in a circle", tables, graphs.Cycle, found, form)


@graph.command()
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def providers(target: str, genesis_path: Path, form: str, url: str, token: str | None) -> None:
    """List how much hangs on each department that provides, the one hardest to replace first.

    TARGET as for `audit graph draw`.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    found = graphs.providers(Sharing(tables))
    _show("How much hangs on each provider", tables, graphs.Provider, found, form)


@graph.command()
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def onward(target: str, genesis_path: Path, form: str, url: str, token: str | None) -> None:
    """List data shared further whose right has ended, and what looks shared further unsaid.

    TARGET as for `audit graph draw`. `origin-ended`: nothing goes through any more. `undeclared`: a
    dataset with fields that its publisher had received before, a reason to ask.
    """
    del url
    tables = read_tables(target, genesis_path, token)
    found = Sharing(tables).onward()
    _show("Sharing further, to be looked into", tables, Onward, found, form)


def _show(title: str, tables: Tables, form: type, found: Sequence[Any], shown_as: str) -> None:
    columns = tuple(each.name for each in fields(form))
    rows = [tuple(_plain(value) for value in asdict(each).values()) for each in found]
    show_answer(title, tables, Answer(columns, rows), shown_as)


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value


def _of(tables: Tables) -> str:
    return (
        f"ledger {tables.ledger_id.hex()[:16]}…, height {tables.height}, "
        f"{moment(tables.time_ms)}, root {tables.root.hex()[:16]}…"
    )
