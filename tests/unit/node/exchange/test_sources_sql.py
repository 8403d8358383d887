"""Real SQLite files and a real PostgreSQL as sources."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.queries import Field, QueryRefused, parse_query
from node.exchange.sources.port import SourceMisbehaved, SourceUnavailable
from node.exchange.sources.sql import SqlSource

NAME, AGE = Field("name", "text"), Field("age", "integer")
AMOUNT, DAY = Field("amount", "decimal"), Field("day", "date")
FIELDS = [NAME, AGE, AMOUNT, DAY]


def read(source: SqlSource, fields: list[Field], content: object, rows_max: int = 100) -> Any:
    return source.read(
        fields=fields,
        query=parse_query(json.dumps(content).encode(), FIELDS),
        rows_max=rows_max,
        bytes_max=1_000_000,
        timeout_s=30,
    ).rows


def fill(path: Path, rows: list[tuple[object, ...]], form: str = "name TEXT") -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE residents ({form}, age INTEGER, amount, day)")
        connection.executemany("INSERT INTO residents VALUES (?, ?, ?, ?)", rows)
        connection.commit()


@pytest.fixture
def sqlite_source(tmp_path: Path) -> Iterator[SqlSource]:
    source = SqlSource("residents", url=f"sqlite:///{tmp_path / 'r.db'}", table="residents")
    yield source
    source.close()


def test_only_the_asked_columns_come_in_their_order(
    tmp_path: Path, sqlite_source: SqlSource
) -> None:
    fill(tmp_path / "r.db", [("Zoe", 1, None, None), ("Anna", 2, None, None)])
    assert read(sqlite_source, [AGE, NAME], {}) == ((1, "Zoe"), (2, "Anna"))
    assert read(sqlite_source, [NAME], {"where": {"age": {"in": [2, 3]}}}) == (("Anna",),)


def test_injected_text_is_only_a_value(tmp_path: Path, sqlite_source: SqlSource) -> None:
    attack = "x'; DROP TABLE residents; --"
    fill(tmp_path / "r.db", [("Anna", 1, None, None), (attack, 2, None, None)])
    assert read(sqlite_source, [AGE], {"where": {"name": attack}}) == ((2,),)
    assert len(read(sqlite_source, [AGE], {})) == 2


def test_each_query_of_one_form_has_its_own_values(
    tmp_path: Path, sqlite_source: SqlSource
) -> None:
    fill(tmp_path / "r.db", [("Anna", 1, None, None), ("Zoe", 2, None, None)])
    for name, age in (("Anna", 1), ("Zoe", 2)):
        assert read(sqlite_source, [AGE], {"where": {"name": name}}) == ((age,),)
    for ages in ([1], [1, 2], [2, 3, 4]):
        found = read(sqlite_source, [AGE], {"where": {"age": {"in": ages}}})
        assert found == tuple((age,) for age in ages if age < 3)


def test_more_rows_than_allowed_are_refused_whole(tmp_path: Path, sqlite_source: SqlSource) -> None:
    fill(tmp_path / "r.db", [("x", age, None, None) for age in range(3)])
    with pytest.raises(QueryRefused, match="more than 2 rows"):
        read(sqlite_source, [AGE], {}, rows_max=2)


def test_a_missing_file_is_unavailable_and_is_not_made(
    tmp_path: Path, sqlite_source: SqlSource
) -> None:
    with pytest.raises(SourceUnavailable):
        read(sqlite_source, [AGE], {})
    assert not (tmp_path / "r.db").exists()


def test_a_missing_column_and_a_wrong_type_are_misbehaviour(
    tmp_path: Path, sqlite_source: SqlSource
) -> None:
    fill(tmp_path / "r.db", [("x", "old", None, None)])
    with pytest.raises(SourceMisbehaved):
        read(sqlite_source, [AGE], {})
    with pytest.raises(SourceMisbehaved):
        read(sqlite_source, [Field("other", "text")], {})


def test_a_text_that_is_no_date_is_misbehaviour(tmp_path: Path, sqlite_source: SqlSource) -> None:
    fill(tmp_path / "r.db", [("x", 1, None, "rubbish")])
    with pytest.raises(SourceMisbehaved):
        read(sqlite_source, [DAY], {})


def test_text_that_is_not_utf8_is_misbehaviour(tmp_path: Path, sqlite_source: SqlSource) -> None:
    fill(tmp_path / "r.db", [("x", 1, None, None)])
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        connection.execute("UPDATE residents SET name = CAST(x'ff' AS TEXT)")
        connection.commit()
    with pytest.raises(SourceMisbehaved):
        read(sqlite_source, [NAME], {})


def test_an_equality_is_exact_under_any_collation(tmp_path: Path, sqlite_source: SqlSource) -> None:
    fill(tmp_path / "r.db", [("Anna", 1, None, None)], form="name TEXT COLLATE NOCASE")
    assert read(sqlite_source, [AGE], {"where": {"name": "ANNA"}}) == ()


def test_sqlite_compares_decimals_by_value(tmp_path: Path, sqlite_source: SqlSource) -> None:
    fill(tmp_path / "r.db", [("x", 1, 9.5, None), ("x", 2, 100, None)])
    assert read(sqlite_source, [AGE], {"where": {"amount": {"<": "10"}}}) == ((1,),)


@given(
    rows=st.lists(
        st.tuples(st.text("abAB'%_ä", max_size=3), st.integers(-9, 9)), max_size=10, unique=True
    ),
    least=st.integers(-9, 9),
    name=st.text("abAB'%_ä", max_size=3),
)
def test_a_filter_keeps_what_a_plain_filter_keeps(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], least: int, name: str
) -> None:
    path = tmp_path_factory.mktemp("sqlite") / "r.db"
    fill(path, [(*row, None, None) for row in rows])
    source = SqlSource("residents", url=f"sqlite:///{path}", table="residents")
    found = read(source, [NAME, AGE], {"where": {"age": {">=": least}, "name": {"<=": name}}})
    source.close()
    assert sorted(found) == sorted(row for row in rows if row[1] >= least and row[0] <= name)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL of our own; skips where it is not installed."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not homes or shutil.which("setpriv") is None or os.geteuid() != 0:
        reason = "needs initdb, setpriv and root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="concordat-pg-"))
    shutil.chown(folder, "postgres", "postgres")
    run = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    tools, data = homes[-1].parent, folder / "data"
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(tool: str, *words: str) -> None:
        command = [*run, str(tools / tool), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    try:
        call("initdb", "-D", str(data), "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        statement = (
            "CREATE TABLE residents (name text, age bigint, amount numeric, day date);"
            "INSERT INTO residents VALUES ('Anna', 1, 9.50, '2026-01-02'),"
            " ('Zoe', 2, 100, '2026-03-04')"
        )
        call("psql", "-h", "127.0.0.1", "-p", str(port), "-q", "-c", statement, "postgres")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        if (data / "postmaster.pid").exists():
            call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_postgres_answers_with_values_in_their_form(postgres: str) -> None:
    source = SqlSource("residents", url=postgres, table="residents")
    try:
        rows = read(source, FIELDS, {"where": {"age": {"<": 2}, "name": "Anna"}})
        assert rows == (("Anna", 1, "9.50", "2026-01-02"),)
        for where in (
            {"age": {"in": [2, 2**40]}},
            {"age": {">": 1, "<": 2**40}},
            {"age": {"<": 3, ">": 1}},
            {"name": {"in": ["Zoe", "Yves"]}},
            {"amount": {"in": ["100.0"]}, "day": {"in": ["2026-03-04"]}},
        ):
            assert read(source, [AGE], {"where": where}) == ((2,),)
        with pytest.raises(SourceMisbehaved):
            read(source, [Field("other", "text")], {})
    finally:
        source.close()


@pytest.mark.parametrize(
    "where", [{"amount": {">": "10"}}, {"day": {">=": "2026-02-01"}}], ids=["decimal", "date"]
)
def test_postgres_filters_by_decimals_and_dates(postgres: str, where: dict[str, object]) -> None:
    source = SqlSource("residents", url=postgres, table="residents")
    try:
        assert read(source, [AGE], {"where": where}) == ((2,),)
    finally:
        source.close()
