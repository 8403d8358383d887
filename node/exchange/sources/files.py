"""A CSV or Parquet file, through DuckDB with every extension and every other file out of reach.

CSV cells are texts; what a cell must be is the dataset's description. A file in another encoding
than UTF-8 is recoded first. Errors name the place, never what stands there.
"""

import re
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import duckdb

from contracts.queries import Field, Query
from node.exchange.sources.port import (
    Row,
    Source,
    SourceMisbehaved,
    SourceUnavailable,
    checked,
    needed,
)

LINE_BYTES_MAX = 100_000
"""Limit of one line of a CSV file, in bytes."""

FETCH_ROWS = 1_000

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}

_PUSHED = ("text", "integer", "boolean")
"""Types of Parquet columns that DuckDB compares as we do; others are judged here."""


class FileSource(Source):
    """One file, read anew for each query. columns: field name to column name where they differ."""

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        form: Literal["csv", "parquet"],
        columns: Mapping[str, str] | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8",
        skip_lines: int = 0,
    ) -> None:
        self.name = name
        self._path = path
        self._form = form
        self._columns = dict(columns or {})
        self._delimiter = delimiter
        self._encoding = encoding
        self._skip_lines = skip_lines

    def stream(
        self,
        *,
        fields: Sequence[Field],
        query: Query,
        rows_max: int,
        bytes_max: int,
        timeout_s: float,
    ) -> Iterator[Row]:
        """See `port.Source.stream`."""
        columns = needed(fields, query)
        with self._opened() as (connection, table, values):
            timer = threading.Timer(timeout_s, connection.interrupt)
            timer.start()
            try:
                found = self._rows(connection, table, values, columns, query)
                yield from checked(fields, found, query=query)
            except duckdb.InterruptException:
                raise SourceUnavailable(f"{self.name}: it took too long") from None
            except duckdb.BinderException as error:
                raise SourceMisbehaved(f"{self.name}: {_missing_column(error)}") from None
            except duckdb.IOException:
                raise SourceUnavailable(f"{self.name}: the file cannot be read") from None
            except (duckdb.Error, UnicodeError):
                raise SourceMisbehaved(
                    f"{self.name}: the file is not {self._form} as declared"
                ) from None
            finally:
                timer.cancel()

    def close(self) -> None:
        """Nothing is held open."""

    def _rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        values: list[Any],
        columns: Sequence[Field],
        query: Query,
    ) -> Iterator[Sequence[object]]:
        chosen = ", ".join(_quoted(self._columns.get(c.name, c.name)) for c in columns)
        clauses = []
        for condition in query.conditions:
            if self._form == "csv" or condition.field.type not in _PUSHED:
                continue
            column = _quoted(self._columns.get(condition.field.name, condition.field.name))
            if condition.operator == "in":
                clauses.append(f"{column} IN ({', '.join('?' for _ in condition.value)})")
                values += condition.value
            else:
                clauses.append(f"{column} {condition.operator} ?")
                values.append(condition.value)
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        order = ", ".join(str(number + 1) for number in range(len(columns)))
        statement = f"SELECT {chosen} FROM {table}{where} ORDER BY {order}"  # noqa: S608
        found = connection.execute(statement, values)
        while rows := found.fetchmany(FETCH_ROWS):
            for row in rows:
                yield row if self._form == "parquet" else _cells(self.name, columns, row)

    @contextmanager
    def _opened(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, list[Any]]]:
        """A database in memory that can reach this one file, and how to read it there."""
        if not self._path.is_file():
            raise SourceUnavailable(f"{self.name}: {self._path.name} is not there")
        with tempfile.TemporaryDirectory(prefix="concordat-source-") as folder:
            path = self._path
            if self._form == "csv":
                path = self._recoded(Path(folder) / "table.csv")
            connection = duckdb.connect(
                ":memory:",
                config={
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "threads": "1",
                },
            )
            try:
                connection.execute("SET allowed_paths = [?]", [str(path)])
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
                if self._form == "parquet":
                    yield connection, "read_parquet(?)", [str(path)]
                else:
                    options = (
                        "delim = ?, header = true, all_varchar = true, auto_detect = false, "
                        f"columns = {self._header(path)}, quote = '\"', escape = '\"', "
                        f"strict_mode = true, max_line_size = {LINE_BYTES_MAX}"
                    )
                    yield connection, f"read_csv(?, {options})", [str(path), self._delimiter]
            finally:
                connection.close()

    def _recoded(self, target: Path) -> Path:
        """The file in UTF-8, without a byte order mark and the lines to skip."""
        try:
            text = self._path.read_bytes().decode(self._encoding)
        except UnicodeDecodeError:
            raise SourceMisbehaved(f"{self.name}: the file is not {self._encoding}") from None
        except OSError as error:
            raise SourceUnavailable(f"{self.name}: {error.strerror}") from None
        lines = text.removeprefix("\ufeff").splitlines(keepends=True)[self._skip_lines :]
        if "\x00" in text:
            raise SourceMisbehaved(f"{self.name}: the file holds NUL")
        target.write_text("".join(lines), encoding="utf-8", newline="")
        return target

    def _header(self, path: Path) -> str:
        """The columns' names as DuckDB wants them, each a text."""
        with path.open(encoding="utf-8", newline="") as file:
            first = file.readline(LINE_BYTES_MAX).rstrip("\r\n")
        names = [name.strip().strip('"') for name in first.split(self._delimiter)]
        if not first or len(set(names)) != len(names):
            raise SourceMisbehaved(f"{self.name}: no header, or a column twice")
        return "{" + ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names) + "}"


def _cells(name: str, columns: Sequence[Field], row: Sequence[object]) -> list[object]:
    """A row of texts as values of the described types."""
    values: list[object] = []
    for field, cell in zip(columns, row, strict=True):
        value: object = cell
        if isinstance(cell, str) and field.type == "integer":
            if not _INTEGER.fullmatch(cell.strip()):
                raise SourceMisbehaved(f"{name}: a cell of {field.name} is no integer")
            value = int(cell)
        elif isinstance(cell, str) and field.type == "boolean":
            value = _BOOLEANS.get(cell.strip().lower())
            if value is None:
                raise SourceMisbehaved(f"{name}: a cell of {field.name} is no boolean")
        values.append(value)
    return values


def _missing_column(error: Exception) -> str:
    """Which column is not there; DuckDB's own text may quote the file's."""
    found = re.search(r'Referenced column "([^"]*)" not found', str(error))
    return f"there is no column {found[1]}" if found else "a column has another type"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
