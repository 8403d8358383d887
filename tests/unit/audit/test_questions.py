"""`audit.tables` and `audit.questions`: what auditors ask, answered from the ledger alone."""

import json
from pathlib import Path

import duckdb
import pytest
from attacks.world import World, make_world
from branches import write_store
from click.testing import CliRunner

from audit.questions import QUESTIONS, Database, Unanswerable
from audit.tables import SCHEMA, Tables, make_tables
from cli.main import main
from ledger.errors import Malformed

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def tables(world: World) -> Tables:
    return make_tables(world.branch, world.branch.genesis)


def answers(tables: Tables, name: str, **parameters: str) -> list[dict[str, object]]:
    with Database(tables) as database:
        answer = database.ask(QUESTIONS[name].sql, parameters)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def test_tables_say_what_the_ledger_says(world: World, tables: Tables) -> None:
    assert (tables.height, tables.root) == (
        world.branch.checkpoint.height,
        world.branch.checkpoint.root,
    )
    counts = {name: len(rows) for name, rows in tables.rows.items()}
    assert (counts["grants"], counts["receipts"], counts["datasets"]) == (3, 10, 2)
    assert all(len(row) == len(SCHEMA[name]) for name, rows in tables.rows.items() for row in rows)


def test_each_question_is_answered(world: World, tables: Tables) -> None:
    (reader,) = answers(tables, "readers", dataset="health/vaccinations")
    assert (reader["consumer"], reader["exchanges"], reader["rows"]) == ("housing", 10, 10)
    (reader,) = answers(tables, "field-readers", dataset="health/vaccinations", field="name")
    assert reader["grant_id"] == world.used.hex()
    assert answers(tables, "field-readers", dataset="health/vaccinations", field="nam") == []
    kinds = [row["kind"] for row in answers(tables, "timeline", grant=world.used.hex())]
    assert kinds == [
        "grant.request",
        "grant.approve",
        "exchange.receipts",
        "exchange.acknowledgements",
    ]
    done = answers(tables, "activity", department="housing")
    assert [row["kind"] for row in done] == [
        "dataset.publish",
        "grant.request",
        "exchange.acknowledgements",
    ]
    assert len(answers(tables, "official", actor="tester")) == len(tables.rows["records"])
    assert [row["grant_id"] for row in answers(tables, "unused")] == [world.limited.hex()]
    assert answers(tables, "over-used") == answers(tables, "emergencies") == []
    assert answers(tables, "membership") == answers(tables, "refused") == []
    assert len(answers(tables, "expiring", days="2")) == 2
    assert answers(tables, "expiring", days="0") == []


def test_what_no_table_has_is_said_in_words(tables: Tables) -> None:
    with Database(tables) as database, pytest.raises(Unanswerable, match="nothing"):
        database.ask("SELECT nothing FROM records")


def test_a_ledger_that_does_not_follow_makes_no_tables(world: World) -> None:
    broken = world.branch.copy()
    key = max(key for key in broken.values if key[:1] == b"l")
    broken.values[key] = b"\xc1"
    with pytest.raises(Malformed, match="cannot be read"):
        make_tables(broken, broken.genesis)


def test_the_commands_answer_as_table_json_csv_and_parquet(world: World, tmp_path: Path) -> None:
    folder, genesis = write_store(world.branch, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(world.branch.genesis.to_json())
    of = [str(folder), "--genesis", str(genesis)]
    run = CliRunner().invoke
    readers = ["audit", "ask", "readers", *of, "--dataset", "health/vaccinations"]
    shown = json.loads(run(main, [*readers, "--as", "json"]).output)
    assert shown["rows"][0]["consumer"] == "housing"
    assert shown["root"] == world.branch.checkpoint.root.hex()
    done = run(main, readers)
    assert done.exit_code == 0 and "1 rows" in done.output and shown["root"] in done.output
    assert run(main, [*readers, "--as", "csv"]).output.startswith("consumer,grant_id,")
    assert run(main, ["audit", "ask", "readers", *of]).exit_code == 2
    query = ["audit", "sql", "SELECT count(*) AS n FROM receipts", *of, "--as", "json"]
    assert json.loads(run(main, query).output)["rows"] == [{"n": 10}]
    assert run(main, ["audit", "sql", "SELECT", *of]).exit_code == 1
    done = run(main, ["audit", "tables", *of, "-o", str(tmp_path / "tables")])
    assert done.exit_code == 0, done.output
    path = tmp_path / "tables" / "grants.parquet"
    assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(3,)]


def test_every_table_and_column_is_documented() -> None:
    text = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    for name, columns in SCHEMA.items():
        row = f"| `{name}` | " + ", ".join(f"{column}: {what}" for column, _, what in columns)
        assert row in text, name
    for name, question in QUESTIONS.items():
        assert f"| `{name}` | {question.meaning} |" in text, name
