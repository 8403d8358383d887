"""`concordat audit ask`, `sql` and `tables`: questions about a ledger."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from audit.proofs.check import moment
from audit.questions import QUESTIONS, Answer, Database, Unanswerable
from audit.sources.opening import open_ledger
from audit.tables import Tables, make_tables
from audit.verify import Unreadable
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis
from cli.show import UNREADABLE, Failure, console, emit_json, table
from ledger.errors import LedgerError

FormOption = click.option(
    "--as",
    "form",
    type=click.Choice(("table", "json", "csv")),
    default="table",
    show_default=True,
    help="How the answer is shown.",
)


def read_tables(target: str, genesis_path: Path, token: str | None) -> Tables:
    """The ledger that a person named, as tables. Raises Failure."""
    genesis = read_genesis(genesis_path)
    try:
        with open_ledger(target, token) as source:
            return make_tables(source, genesis)
    except Unreadable as error:
        raise Failure(str(error), UNREADABLE) from None
    except LedgerError as error:
        raise Failure(
            f"{target}: {error}", "Run `concordat audit verify`; it names what is wrong."
        ) from None


@contextmanager
def _database(
    target: str, genesis_path: Path, token: str | None
) -> Iterator[tuple[Tables, Database]]:
    tables = read_tables(target, genesis_path, token)
    with Database(tables) as database:
        yield tables, database


@click.command()
@click.argument("question", type=click.Choice(tuple(QUESTIONS)))
@click.argument("target")
@click.option("--dataset", help="publisher/name, for readers and field-readers.")
@click.option("--field", help="A field's name, for field-readers.")
@click.option("--grant", help="A grant's id, for timeline.")
@click.option("--department", help="A short name, for activity.")
@click.option("--actor", help="A pseudonymous name, for official.")
@click.option("--days", default="30", show_default=True, help="For expiring.")
@GenesisOption
@FormOption
@node_options
def ask(
    question: str,
    target: str,
    genesis_path: Path,
    form: str,
    url: str,
    token: str | None,
    **given: str | None,
) -> None:
    """Answer one of the QUESTIONs that auditors ask about the ledger in TARGET.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. Every
    answer says the ledger, height and checkpoint that it is of.
    """
    del url
    asked = QUESTIONS[question]
    parameters: dict[str, str] = {}
    for name in asked.parameters:
        value = given[name]
        if value is None:
            raise click.UsageError(f"{question} takes --{name}")
        parameters[name] = value
    with _database(target, genesis_path, token) as (tables, database):
        try:
            answer = database.ask(asked.sql, parameters)
        except Unanswerable as error:
            raise Failure(str(error), "Check the values that were given.") from None
    show_answer(asked.meaning, tables, answer, form)


@click.command()
@click.argument("query")
@click.argument("target")
@GenesisOption
@FormOption
@node_options
def sql(
    query: str, target: str, genesis_path: Path, form: str, url: str, token: str | None
) -> None:
    """Answer any QUERY in SQL (DuckDB) over the tables of the ledger in TARGET.

    TARGET as for `audit ask`. Tables and columns: docs/CLI.md.
    """
    del url
    with _database(target, genesis_path, token) as (tables, database):
        try:
            answer = database.ask(query)
        except Unanswerable as error:
            raise Failure(str(error), "docs/CLI.md lists tables and columns.") from None
    show_answer(query, tables, answer, form)


@click.command(name="tables")
@click.argument("target")
@GenesisOption
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write; it must not be there yet.",
)
@node_options
def tables_command(
    target: str, genesis_path: Path, output: Path, url: str, token: str | None
) -> None:
    """Write the tables of the ledger in TARGET as Parquet files, one each.

    TARGET as for `audit ask`.
    """
    del url
    if output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    with _database(target, genesis_path, token) as (tables, database):
        database.save(output)
        counts = ", ".join(f"{len(rows)} {name}" for name, rows in tables.rows.items())
        console.print(f"{output}: {counts}, as of height {tables.height}", markup=False)


def show_answer(title: str, tables: Tables, answer: Answer, form: str) -> None:
    """An answer, with the ledger, height and checkpoint that it is of. form: of `FormOption`."""
    of: dict[str, Any] = {
        "ledger_id": tables.ledger_id.hex(),
        "height": tables.height,
        "tree_size": tables.tree_size,
        "root": tables.root.hex(),
        "time_ms": tables.time_ms,
    }
    if form == "json":
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        emit_json({"question": title, **of, "rows": rows})
        return
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
        return
    table(title, answer.columns, answer.rows)
    console.print(
        f"{len(answer.rows)} rows; ledger {of['ledger_id']}, height {tables.height}, "
        f"{moment(tables.time_ms)}, {tables.tree_size} leaves, root {of['root']}",
        markup=False,
    )
