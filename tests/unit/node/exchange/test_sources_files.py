"""CSV and Parquet files as sources, and the query that every source answers."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.queries import Condition, Field, Query, QueryRefused, parse_query
from node.exchange.sources.files import FileSource
from node.exchange.sources.port import SourceMisbehaved, SourceUnavailable, matches

TEXT, NUMBER = Field("name", "text"), Field("age", "integer")
AMOUNT, DAY = Field("amount", "decimal"), Field("day", "date")
MOMENT = Field("moment", "timestamp")
FIELDS = [TEXT, NUMBER, AMOUNT, DAY, MOMENT]


def parsed(content: object) -> Query:
    return parse_query(json.dumps(content).encode(), FIELDS)


def read(source: FileSource, field: Field, content: object, *, rows_max: int = 100) -> list[Any]:
    found = source.read(
        fields=[field],
        query=parsed(content),
        rows_max=rows_max,
        bytes_max=1_000_000,
        timeout_s=30,
    )
    assert found.fields == (field.name,)
    return [value for (value,) in found.rows]


def csv_source(folder: Path, content: str | bytes, **options: Any) -> FileSource:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return FileSource("table", path=path, form="csv", **options)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"wher": {}}, "unknown part"),
        ({"where": {"agee": 1}}, "did you mean age"),
        ({"where": {"name' OR 1=1 --": "x"}}, "unknown field"),
        ({"where": {"age": {"LIKE": 1}}}, "unknown operator"),
        ({"where": {"age": "1"}}, "integer"),
        ({"where": {"age": True}}, "integer"),
        ({"where": {"age": {"in": []}}}, "1 to"),
        ({"limit": 0}, "positive"),
        ({"limit": True}, "positive"),
        ([], "object"),
    ],
)
def test_a_wrong_query_is_refused_with_a_hint(content: object, hint: str) -> None:
    with pytest.raises(QueryRefused, match=hint):
        parsed(content)


@pytest.mark.parametrize(
    "content",
    [
        ({"where": {"age": {}}}),
        ({"where": {"age": 2**70}}),
        ({"where": {"name": "\ud800"}}),
        ({"where": {"amount": "abc"}}),
        ({"where": {"day": "31.12.2026"}}),
    ],
)
def test_a_value_outside_its_type_is_refused(content: object) -> None:
    with pytest.raises(QueryRefused):
        parsed(content)


def test_two_spellings_of_one_name_match() -> None:
    assert matches(parsed({"where": {"name": "e\u0301"}}), {"name": "\u00e9"})


def test_injected_text_is_only_a_value(tmp_path: Path) -> None:
    source = csv_source(tmp_path, "name\nAnna\n' OR 1=1 --\n")
    assert read(source, TEXT, {"where": {"name": "' OR 1=1 --"}}) == ["' OR 1=1 --"]


def test_more_rows_than_allowed_are_refused_whole(tmp_path: Path) -> None:
    source = csv_source(tmp_path, "age\n1\n2\n3\n")
    with pytest.raises(QueryRefused, match="more than 2 rows"):
        read(source, NUMBER, {}, rows_max=2)
    assert read(source, NUMBER, {"limit": 2}, rows_max=2) == [1, 2]


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    source = csv_source(tmp_path, "name\n" + "x" * 50 + "\n")
    with pytest.raises(QueryRefused, match="more than 49 bytes"):
        source.read(
            fields=[TEXT],
            query=Query(),
            rows_max=9,
            bytes_max=49,
            timeout_s=30,
        )


def test_another_encoding_delimiter_and_mapping_are_understood(tmp_path: Path) -> None:
    content = "# export\nNAME;x\nZoë €;1\n".encode("iso-8859-15")
    source = csv_source(
        tmp_path,
        content,
        encoding="iso-8859-15",
        delimiter=";",
        skip_lines=1,
        columns={"name": "NAME"},
    )
    assert read(source, TEXT, {"where": {"name": "Zoë €"}}) == ["Zoë €"]


def test_a_file_in_another_encoding_than_declared_is_misbehaviour(tmp_path: Path) -> None:
    with pytest.raises(SourceMisbehaved):
        read(csv_source(tmp_path, "name\nZoë\n".encode("iso-8859-15")), TEXT, {})


def test_a_missing_file_and_a_missing_column_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        read(FileSource("gone", path=tmp_path / "gone.csv", form="csv"), TEXT, {})
    with pytest.raises(SourceMisbehaved):
        read(csv_source(tmp_path, "other\n1\n"), TEXT, {})


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        (NUMBER, "Anna"),
        (NUMBER, "1.5"),
        (AMOUNT, "abc"),
        (DAY, "not a day"),
        (TEXT, "a\0b"),
        (TEXT, '"open'),
        (TEXT, "x" * 140_000),
    ],
)
def test_a_cell_that_is_not_of_its_type_is_misbehaviour(
    tmp_path: Path, field: Field, cell: str
) -> None:
    with pytest.raises(SourceMisbehaved):
        read(csv_source(tmp_path, f"{field.name}\n{cell}\n"), field, {})


def test_an_error_does_not_repeat_what_stands_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceMisbehaved) as caught:
        read(csv_source(tmp_path, "age\nMueller\n"), NUMBER, {})
    assert "Mueller" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read(csv_source(tmp_path, b"\xef\xbb\xbfname\nx\n"), TEXT, {}) == ["x"]


def test_decimals_are_compared_by_value(tmp_path: Path) -> None:
    source = csv_source(tmp_path, "amount\n9\n100\n")
    assert read(source, AMOUNT, {"where": {"amount": {">": "10"}}}) == ["100"]


def test_a_moment_in_parquet_matches_its_iso_text(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT TIMESTAMP '2026-01-02 03:04:05' AS moment) TO '{path}' (FORMAT parquet)"
        )
    source = FileSource("table", path=path, form="parquet")
    query = {"where": {"moment": "2026-01-02T03:04:05"}}
    assert read(source, MOMENT, query) == ["2026-01-02T03:04:05"]


@given(
    ages=st.lists(st.integers(-50, 50), max_size=12),
    operator=st.sampled_from(["=", "<", "<=", ">", ">="]),
    wanted=st.integers(-50, 50),
)
def test_a_parquet_filter_keeps_what_a_plain_filter_keeps(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], operator: Any, wanted: int
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "table.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (age BIGINT)")
        if ages:
            connection.executemany("INSERT INTO t VALUES (?)", [[age] for age in ages])
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    condition = Condition(NUMBER, operator, wanted)
    source = FileSource("table", path=path, form="parquet")
    kept = [age for age in sorted(ages) if matches(Query((condition,)), {"age": age})]
    assert read(source, NUMBER, {"where": {"age": {operator: wanted}}}) == kept
