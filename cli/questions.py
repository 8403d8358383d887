"""`concordat audit ask`, `sql` and `tables`: questions about a ledger."""

import csv
import math
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from audit.export import Unexportable, exported
from audit.listed import listed_proofs
from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import moment
from audit.questions import ALWAYS, QUESTIONS, Answer, Database, Question, Unanswerable
from audit.sources.replayed import ReplayedSource
from audit.sources.scratch_folder import ScratchFolder
from audit.tables import SCHEMA, Tables, make_tables
from audit.verify import Source
from cli.audit import verify_source
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis, write_new
from cli.show import Failure, console, emit_json, errors, table
from cli.targets import opened
from ledger.genesis import GenesisFile

FORMS = ("table", "json", "csv", "parquet")

FormOption = click.option(
    "--as",
    "form",
    type=click.Choice(("table", "json", "csv")),
    default="table",
    show_default=True,
    help="How the answer is shown.",
)

FileFormOption = click.option(
    "--as",
    "form",
    type=click.Choice(FORMS),
    default="table",
    show_default=True,
    help="How the answer is shown; parquet needs --output.",
)

OutputOption = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write a Parquet answer to; nothing is overwritten.",
)

LIMITS = {"memory_limit": "1GB"}
"""Of the database; beyond it DuckDB uses the disk."""

DAYS_MAX = 36_500
"""Limit of how far ahead `expiring` looks."""

_CHECK_GIVEN = "Check what was given; docs/CLI.md lists tables and columns."

REEXECUTED = "every leaf up to this height was executed again; signatures were not judged"
"""What an answer without proof rests on."""


class MomentType(click.ParamType[int]):
    """A day or moment in UTC, or milliseconds since 1970."""

    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Milliseconds since 1970."""
        if isinstance(value, int):
            return value
        if value.isdigit() and len(value) > 8:
            return int(value)
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no day or moment: write 2026-11-24 or 2026-11-24T09:00", param)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return round(at.timestamp() * 1_000)


def read_tables(target: str, genesis_path: Path, token: str | None) -> Tables:
    """The ledger that a person named, as tables without each exchange's halves. Raises Failure."""
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source, ScratchFolder() as scratch:
        return make_tables(source, genesis, exchanges=False, scratch=scratch)


@contextmanager
def _opened(source: Source, genesis: GenesisFile, **options: Any) -> Iterator["Found"]:
    """All tables of a ledger in a file of their own, which is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="concordat-audit-") as folder,
        Database(path=Path(folder) / "tables.duckdb", limits=LIMITS) as database,
        ScratchFolder() as scratch,
    ):
        tables = make_tables(source, genesis, scratch=scratch, keep=database.add, **options)
        database.set_time(tables.time_ms)
        yield Found(tables, database)


@click.command()
@click.argument("question", type=click.Choice(tuple(QUESTIONS)))
@click.argument("target")
@click.option("--dataset", help="publisher/name, for readers and field-readers.")
@click.option("--field", help="A field's name, for field-readers.")
@click.option("--grant", help="A grant's id, for timeline and exchanges.")
@click.option("--department", help="A short name, for activity.")
@click.option("--actor", help="A pseudonymous name, for official.")
@click.option(
    "--days",
    type=click.IntRange(min=0, max=DAYS_MAX),
    default=30,
    show_default=True,
    help="For expiring.",
)
@click.option("--from", "from_ms", type=MomentType(), help="First day or moment, in UTC.")
@click.option("--to", "to_ms", type=MomentType(), help="First day or moment after it, in UTC.")
@click.option(
    "--proof",
    type=click.Path(path_type=Path, file_okay=False),
    help="Prove that the answer is complete; folder for the files that do.",
)
@GenesisOption
@FileFormOption
@OutputOption
@node_options
def ask(
    question: str,
    target: str,
    from_ms: int | None,
    to_ms: int | None,
    proof: Path | None,
    genesis_path: Path,
    form: str,
    output: Path | None,
    url: str,
    token: str | None,
    **given: str | int | None,
) -> None:
    """Answer one of the QUESTIONs that auditors ask about the ledger in TARGET.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. Every
    answer says the ledger, height and checkpoint that it is of, and what it rests on.
    """
    del url
    asked = QUESTIONS[question]
    parameters = _parameters(question, asked, given, from_ms, to_ms)
    _check_output(form, output)
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source:
        height = None if proof is None else _verified_height(genesis, source, proof, target)
        with _opened(source, genesis, height_max=height) as found:
            _check_named(found, parameters)
            complete = REEXECUTED
            if proof is not None:
                complete = f"complete by full verification up to height {height}"
                if asked.listed:
                    count = _prove(question, parameters, genesis, source, found, proof)
                    words = f"complete by the heads of lists, {count} files in {proof}"
                    complete = f"{words}; {complete}"
                else:
                    _enclose(genesis, source, proof)
                    complete += f", which is enclosed in {proof}: there is no shorter proof of it"
            _answer(asked.meaning, asked.sql, parameters, found, form, output, complete)


@dataclass(frozen=True, slots=True)
class Found:
    """What tables are of, and the database that holds them."""

    tables: Tables
    database: Database


def _parameters(
    name: str, asked: Question, given: Mapping[str, str | int | None], *period: int | None
) -> dict[str, str | int]:
    parameters: dict[str, str | int] = {}
    for parameter in asked.parameters:
        value = given[parameter]
        if value is None:
            raise click.UsageError(f"{name} takes --{parameter}")
        parameters[parameter] = value
    if asked.period:
        first, after = (
            always if each is None else each for each, always in zip(period, ALWAYS, strict=True)
        )
        parameters |= {"from_ms": first, "to_ms": after}
    elif period != (None, None):
        raise click.UsageError(f"{name} is of what stands now: it takes neither --from nor --to")
    return parameters


def _verified_height(genesis: GenesisFile, source: Source, folder: Path, target: str) -> int:
    """The height of the newest certificate of a ledger that holds. Raises Failure."""
    if folder.exists():
        raise Failure(f"{folder} is there already", "Choose another name; nothing is overwritten.")
    report = verify_source(genesis, source)
    if not report.holds or report.certified is None:
        raise Failure(
            f"{target} does not hold, or nothing is certified: an answer would prove nothing",
            "Run `concordat audit verify` on it; it names what is wrong.",
        )
    return report.certified.height


def _prove(
    question: str,
    parameters: Mapping[str, str | int],
    genesis: GenesisFile,
    source: Source,
    found: Found,
    folder: Path,
) -> int:
    """Writes the proofs of a listed question's answer, and says how many. Raises Failure."""
    ready = source if source.whole else ReplayedSource(genesis, source)

    def told(query: str, given: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
        return found.database.ask(query, given).rows

    try:
        prover = Prover(genesis, ready)
        files = dict(listed_proofs(question, prover, genesis, told, parameters))
    except Unprovable as error:
        raise Failure(str(error), error.remedy) from None
    folder.mkdir(parents=True)
    for name, data in files.items():
        write_new(folder / name, data)
    return len(files)


def _enclose(genesis: GenesisFile, source: Source, folder: Path) -> None:
    """Writes the whole ledger as an export: whoever has it asks again. Raises Failure."""
    try:
        for name, data in exported(source, genesis):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_new(path, data)
    except Unexportable as error:
        raise Failure(str(error), error.remedy) from None


@click.command()
@click.argument("query")
@click.argument("target")
@GenesisOption
@FileFormOption
@OutputOption
@node_options
def sql(
    query: str,
    target: str,
    genesis_path: Path,
    form: str,
    output: Path | None,
    url: str,
    token: str | None,
) -> None:
    """Answer any QUERY in SQL (DuckDB) over the tables of the ledger in TARGET.

    TARGET as for `audit ask`. Tables and columns: docs/CLI.md.
    """
    del url
    _check_output(form, output)
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source, _opened(source, genesis) as found:
        _answer(query, query, {}, found, form, output, REEXECUTED)


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
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source, _opened(source, genesis) as found:
        found.database.save(output)
        counts = ", ".join(
            f"{found.database.ask(f'FROM {name} SELECT count(*)').rows[0][0]} {name}"
            for name in SCHEMA
        )
        console.print(f"{output}: {counts}, as of height {found.tables.height}", markup=False)


def stated(tables: Tables) -> dict[str, Any]:
    """What every answer says of itself: ledger, height and checkpoint."""
    return {
        "ledger_id": tables.ledger_id.hex(),
        "height": tables.height,
        "tree_size": tables.tree_size,
        "root": tables.root.hex(),
        "time_ms": tables.time_ms,
    }


def _check_output(form: str, output: Path | None) -> None:
    if (form == "parquet") != (output is not None):
        raise click.UsageError("--as parquet and --output belong together")
    if output is not None and output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")


def _check_named(found: Found, parameters: Mapping[str, str | int]) -> None:
    try:
        found.database.check_named(parameters)
    except Unanswerable as error:
        raise Failure(str(error), _CHECK_GIVEN) from None


def _answer(
    title: str,
    query: str,
    parameters: Mapping[str, str | int],
    found: Found,
    form: str,
    output: Path | None,
    complete: str,
) -> None:
    tables, database = found.tables, found.database
    database.seal(output)
    try:
        if output is None:
            show_answer(title, tables, database.ask(query, parameters), form, complete)
            return
        said = {"question": title, "complete": complete, **stated(tables)}
        database.save_answer(
            query,
            output,
            parameters=parameters,
            stated={name: str(value) for name, value in said.items()},
        )
    except Unanswerable as error:
        raise Failure(str(error), _CHECK_GIVEN) from None
    console.print(f"{output}: as of height {tables.height}; {complete}", markup=False)


def show_answer(
    title: str, tables: Tables, answer: Answer, form: str, complete: str = REEXECUTED
) -> None:
    """An answer, with the ledger, height and checkpoint that it is of. form: of `FormOption`.

    complete: what its being complete rests on. A CSV answer says so beside it, as an error stream.
    """
    of = stated(tables)
    if form == "json":
        rows = [
            {
                column: _for_programs(value)
                for column, value in zip(answer.columns, row, strict=True)
            }
            for row in answer.rows
        ]
        emit_json({"question": title, **of, "complete": complete, "rows": rows})
        return
    words = (
        f"{len(answer.rows)} rows; ledger {of['ledger_id']}, height {tables.height}, "
        f"{moment(tables.time_ms)}, {tables.tree_size} leaves, root {of['root']}\n{complete}"
    )
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
        errors.print(words, markup=False)
        return
    table(
        title,
        [column.removesuffix("_ms") for column in answer.columns],
        [
            [_for_people(*cell) for cell in zip(answer.columns, row, strict=True)]
            for row in answer.rows
        ],
    )
    console.print(words, markup=False)


def _for_programs(value: Any) -> Any:
    """Whatever SQL can answer, as JSON has it; what JSON lacks is written out as text."""
    if isinstance(value, dict):
        return {str(key): _for_programs(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_for_programs(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value


def _for_people(column: str, value: Any) -> Any:
    """Times in UTC, ids by their beginning; programs get them whole, as JSON, CSV or Parquet."""
    if column.endswith("_ms") and isinstance(value, int):
        return moment(value).removesuffix(" UTC")
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return f"{value[:16]}…"
    return value
