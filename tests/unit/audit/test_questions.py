"""`audit.tables` and `audit.questions`: what auditors ask, answered from the ledger alone."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest
from attacks.world import World, make_world
from branches import write_store
from click.testing import CliRunner
from sharing_network import make_network

from audit import index as indexing
from audit import tables as making
from audit.index import Behind, Index
from audit.proofs.check import check_proof
from audit.questions import ALWAYS, QUESTIONS, Database, Unanswerable
from audit.tables import SCHEMA, Tables, make_tables
from cli.main import main
from contracts.exchanges import Denial, Denials, Line
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.errors import Malformed

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def tables(world: World) -> Tables:
    return make_tables(world.branch, world.branch.genesis)


PERIOD = {"from_ms": ALWAYS[0], "to_ms": ALWAYS[1]}


def answers(tables: Tables, name: str, **parameters: str | int) -> list[dict[str, object]]:
    asked = QUESTIONS[name]
    with Database(tables) as database:
        answer = database.ask(asked.sql, (PERIOD if asked.period else {}) | parameters)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def test_tables_say_what_the_ledger_says(world: World, tables: Tables) -> None:
    assert (tables.height, tables.root) == (
        world.branch.checkpoint.height,
        world.branch.checkpoint.root,
    )
    counts = {name: len(rows) for name, rows in tables.rows.items()}
    assert (counts["grants"], counts["receipts"], counts["datasets"]) == (3, 10, 2)
    assert (counts["departments"], counts["grant_versions"], counts["receipt_lines"]) == (5, 3, 1)
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
    exchanges = answers(tables, "exchanges", grant=world.used.hex())
    assert [(row["sealed"], row["ended"]) for row in exchanges] == [(False, "complete")] * 10
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


def test_rows_that_are_kept_elsewhere_are_the_same(
    world: World, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ROWS_HELD_MAX", 2)
    with Database(path=tmp_path / "tables.duckdb") as stored, Database(tables) as held:
        left = make_tables(world.branch, world.branch.genesis, keep=stored.add)
        assert left.held() == 0 and left.root == tables.root
        for name in SCHEMA:
            everything = f"SELECT * FROM {name} ORDER BY ALL"
            assert stored.ask(everything) == held.ask(everything)
    few = make_tables(world.branch, world.branch.genesis, exchanges=False)
    assert few.rows["receipts"] == [] and few.rows["receipt_lines"] == tables.rows["receipt_lines"]


def test_what_no_table_has_is_said_in_words(tables: Tables) -> None:
    with Database(tables) as database, pytest.raises(Unanswerable, match="nothing"):
        database.ask("SELECT nothing FROM records")


def test_a_ledger_that_does_not_follow_makes_no_tables(world: World) -> None:
    broken = world.branch.copy()
    key = max(key for key in broken.values if key[:1] == b"l")
    broken.values[key] = b"\xc1"
    with pytest.raises(Malformed, match="cannot be read"):
        make_tables(broken, broken.genesis)


def test_a_period_holds_what_happened_in_it_and_nothing_else(tables: Tables) -> None:
    every = answers(tables, "activity", department="health")
    times = [int(str(row["time_ms"])) for row in every]
    middle = times[len(times) // 2]
    before = answers(tables, "activity", department="health", to_ms=middle)
    after = answers(tables, "activity", department="health", from_ms=middle)
    assert before + after == every and before and after
    reading = {"dataset": "health/vaccinations"}
    (reader,) = answers(tables, "readers", **reading)
    at = int(str(reader["first_ms"]))
    assert answers(tables, "readers", **reading, to_ms=at) == []
    assert answers(tables, "readers", **reading, from_ms=at, to_ms=at + 1) == [reader]
    assert [name for name, asked in QUESTIONS.items() if not asked.period] == [
        "unused",
        "over-used",
        "expiring",
    ]


def test_readers_of_a_field_are_those_of_the_version_that_was_in_force() -> None:
    network = make_network()
    tables = make_tables(network.branch, network.branch.genesis)
    found = answers(tables, "field-readers", dataset="civil-affairs/residents", field="name")
    read = {(row["consumer"], row["version"]): row["exchanges"] for row in found}
    assert read == {("housing", 1): 40, ("health", 2): 2}


# A node's tables, which grow.


def asked(index: Index, world: World, name: str, **given: str) -> list[tuple[object, ...]]:
    parameters = (PERIOD if QUESTIONS[name].period else {}) | given
    answer, tip = index.ask(nullcontext(world.branch), QUESTIONS[name].sql, parameters)
    assert tip == world.branch.replay.tip
    return answer.rows


GIVEN = {
    "dataset": "health/vaccinations",
    "field": "name",
    "department": "health",
    "actor": "tester",
    "days": "2",
}


def test_a_growing_index_answers_as_tables_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SLICE_LEAVES", 3)
    world = make_world()
    index = Index()
    for step in range(3):
        given = GIVEN | {"grant": world.used.hex()}
        tables = make_tables(world.branch, world.branch.genesis)
        with Database(tables) as database:
            for name, question in QUESTIONS.items():
                if question.items:
                    continue  # an index has no rows of single exchanges
                wanted = {each: given[each] for each in question.parameters}
                period = PERIOD if question.period else {}
                expected = database.ask(question.sql, period | wanted).rows
                assert asked(index, world, name, **wanted) == expected, name
        deny(world, step)


def deny(world: World, number: int) -> None:
    """Health refuses three requests in another block."""
    denial = Denial(bytes([number]) * 32, "housing", bytes(32), "grant-revoked", 3)
    items = (encode(denial),)
    body = Denials((Line(world.used, 1, items_root(items)),))
    world.branch.block(world.record("health", "exchange.denials", body, items=items))


def test_a_long_ledger_is_read_in_several_questions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEXED_MAX", 8)
    index = Index()
    assert 16 < world.branch.checkpoint.tree_size <= 24
    for read in (8, 16):
        with pytest.raises(Behind, match=f"^{read} of"):
            asked(index, world, "official", actor="tester")
    assert len(asked(index, world, "official", actor="tester")) == 11


def test_a_ledger_without_a_block_is_not_answered_for() -> None:
    with pytest.raises(Behind, match="no block"):
        Index().ask(nullcontext(Empty()), "SELECT 1", {})


def test_a_failure_leaves_no_rows_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index()
    whole = len(asked(index, world, "official", actor="tester"))
    index = Index()
    with monkeypatch.context() as patched:
        patched.setattr(Database, "set_time", failing)
        with pytest.raises(OSError, match="disk"):
            asked(index, world, "official", actor="tester")
    assert len(asked(index, world, "official", actor="tester")) == whole


def failing(*_: object) -> None:
    raise OSError(28, "the disk is full")


class Empty:
    def get(self, key: bytes) -> bytes | None:
        return None

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from ()


# Commands.


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
    done = run(main, [*readers, "--as", "csv"])
    assert done.stdout.startswith("consumer,grant_id,version,")
    assert shown["root"] in done.stderr
    assert run(main, ["audit", "ask", "readers", *of]).exit_code == 2
    query = ["audit", "sql", "SELECT count(*) AS n FROM receipts", *of, "--as", "json"]
    assert json.loads(run(main, query).output)["rows"] == [{"n": 10}]
    assert run(main, ["audit", "sql", "SELECT", *of]).exit_code == 1
    done = run(main, ["audit", "tables", *of, "-o", str(tmp_path / "tables")])
    assert done.exit_code == 0, done.output
    written = tmp_path / "readers.parquet"
    done = run(main, [*readers, "--as", "parquet", "-o", str(written)])
    assert done.exit_code == 0, done.output
    assert duckdb.sql(f"SELECT consumer, rows FROM '{written}'").fetchall() == [("housing", 10)]
    metadata = f"SELECT key, value FROM parquet_kv_metadata('{written}')"
    said = {key.decode(): value.decode() for key, value in duckdb.sql(metadata).fetchall()}
    assert said["root"] == shown["root"] and said["complete"] == shown["complete"]
    assert run(main, [*readers, "--as", "parquet"]).exit_code == 2
    assert run(main, [*readers, "--as", "parquet", "-o", str(written)]).exit_code == 1
    assert (
        json.loads(run(main, [*readers, "--as", "json", "--from", "2090-01-01"]).output)["rows"]
        == []
    )
    for wrong in (["--from", "soon"], ["--to", "12"]):
        assert run(main, [*readers, *wrong]).exit_code == 2
    assert run(main, ["audit", "ask", "unused", *of, "--from", "2026-01-01"]).exit_code == 2
    path = tmp_path / "tables" / "grants.parquet"
    assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(3,)]


def test_a_proof_shows_that_the_answer_is_complete(tmp_path: Path) -> None:
    network = make_network()
    branch = network.branch
    branch.block()  # is executed, and not certified
    folder, genesis = write_store(branch, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(branch.genesis.to_json())
    of = [str(folder), "--genesis", str(genesis), "--as", "json"]
    run = CliRunner().invoke
    proof = tmp_path / "proof"
    readers = ["audit", "ask", "readers", *of, "--dataset", "civil-affairs/residents"]
    done = run(main, [*readers, "--proof", str(proof)])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert answer["height"] == branch.checkpoint.height - 1
    assert "complete by the heads of lists" in answer["complete"]
    kinds: dict[str, list[dict[str, object]]] = {}
    for path in sorted(proof.iterdir()):
        if path.name != "voters.json":
            shown = check_proof(path.read_bytes(), branch.genesis)
            kinds.setdefault(shown.kind, []).append(shown.facts)
    assert len(kinds["receipts"]) == 3 and len(kinds["record"]) == 4
    total = sum(row["exchanges"] for row in answer["rows"])
    assert total == sum(int(str(facts["exchanges"])) for facts in kinds["receipts"]) == 45
    done = run(main, ["audit", "ask", "official", *of, "--actor", "tester", "--proof", str(proof)])
    assert done.exit_code == 1, "the folder is there already"
    other = str(tmp_path / "other")
    done = run(main, ["audit", "ask", "official", *of, "--actor", "tester", "--proof", other])
    complete = json.loads(done.output)["complete"]
    assert complete.startswith("complete by full verification up to height")
    assert (Path(other) / "checkpoint").is_file()


def test_a_damaged_ledger_gets_no_proof(world: World, tmp_path: Path) -> None:
    broken = world.branch.copy()
    key = next(
        key for key, value in broken.values.items() if key[:1] == b"l" and b"a test" in value
    )
    broken.values[key] = broken.values[key].replace(b"a test", b"a jest")
    folder, genesis = write_store(broken, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(broken.genesis.to_json())
    asking = ["audit", "ask", "unused", str(folder), "--genesis", str(genesis)]
    done = CliRunner().invoke(main, [*asking, "--proof", str(tmp_path / "proof")])
    assert done.exit_code == 1 and "does not hold" in done.output


def test_every_table_and_column_is_documented() -> None:
    text = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    for name, columns in SCHEMA.items():
        row = f"| `{name}` | " + ", ".join(f"{column}: {what}" for column, _, what in columns)
        assert row in text, name
    for name, question in QUESTIONS.items():
        assert f"| `{name}` | {question.meaning} |" in text, name
