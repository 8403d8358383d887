"""A CSV or Parquet file, through DuckDB with every extension and every other file out of reach."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import duckdb

from node.exchange.sources.port import (
    Field,
    Query,
    Rows,
    SourceMisbehaved,
    SourceUnavailable,
    checked,
)

_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "VARCHAR",
    "date": "VARCHAR",
    "boolean": "BOOLEAN",
    "timestamp": "VARCHAR",
}

_OPERATORS = {"=", "<", "<=", ">", ">="}


class FileSource:
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

    def read(
        self,
        *,
        fields: Sequence[Field],
        query: Query,
        filterable: Sequence[Field],
        rows_max: int,
        bytes_max: int,
        timeout_s: float,
    ) -> Rows:
        """See `port.Source.read`."""
        statement, values = self._select(fields, query, rows_max)
        connection = self._open()
        try:
            found = connection.execute(statement, values).fetchall()
        except (duckdb.BinderException, duckdb.ConversionException) as error:
            raise SourceMisbehaved(f"{self.name}: {_first_line(error)}") from None
        except duckdb.Error as error:
            raise SourceUnavailable(f"{self.name}: {_first_line(error)}") from None
        finally:
            connection.close()
        return checked(fields, found, limit=query.limit, rows_max=rows_max, bytes_max=bytes_max)

    def probe(self, fields: Sequence[Field]) -> None:
        """See `port.Source.probe`."""
        self.read(
            fields=fields,
            query=Query((), 1),
            filterable=fields,
            rows_max=1,
            bytes_max=1 << 20,
            timeout_s=5.0,
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _open(self) -> duckdb.DuckDBPyConnection:
        """A database in memory that sees this one table."""
        if not self._path.is_file():
            raise SourceUnavailable(f"{self.name}: {self._path.name} is not there")
        connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "threads": "1",
            },
        )
        try:
            if self._form == "parquet":
                connection.execute(
                    "CREATE TABLE source AS SELECT * FROM read_parquet(?)", [str(self._path)]
                )
            else:
                self._load_csv(connection)
            connection.execute("SET enable_external_access = false")
        except UnicodeDecodeError as error:
            connection.close()
            raise SourceMisbehaved(f"{self.name}: not {self._encoding}: {error}") from None
        except duckdb.Error as error:
            connection.close()
            raise SourceMisbehaved(f"{self.name}: {_first_line(error)}") from None
        return connection

    def _load_csv(self, connection: duckdb.DuckDBPyConnection) -> None:
        text = self._path.read_bytes().decode(self._encoding)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        for _ in range(self._skip_lines):
            next(lines, None)
        header = next(lines, None)
        if not header or len(set(header)) != len(header):
            raise SourceMisbehaved(f"{self.name}: no header, or a column twice")
        columns = ", ".join(f"{_quoted(column)} VARCHAR" for column in header)
        connection.execute(f"CREATE TABLE source ({columns})")
        places = ", ".join("?" for _ in header)
        rows = []
        for number, row in enumerate(lines):
            if not row:
                continue
            if len(row) != len(header):
                raise SourceMisbehaved(f"{self.name}: row {number + 1} has {len(row)} columns")
            rows.append([value or None for value in row])
        if rows:
            connection.executemany(f"INSERT INTO source VALUES ({places})", rows)  # noqa: S608

    def _select(
        self, fields: Sequence[Field], query: Query, rows_max: int
    ) -> tuple[str, list[Any]]:
        chosen = ", ".join(self._typed(field) for field in fields)
        clauses: list[str] = []
        values: list[Any] = []
        for condition in query.conditions:
            column = self._typed(condition.field)
            if condition.operator == "in":
                clauses.append(f"{column} IN ({', '.join('?' for _ in condition.value)})")
                values += condition.value
            else:
                assert condition.operator in _OPERATORS
                clauses.append(f"{column} {condition.operator} ?")
                values.append(condition.value)
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        limit = rows_max + 1 if query.limit is None else min(query.limit, rows_max + 1)
        order = ", ".join(str(number + 1) for number in range(len(fields)))
        statement = f"SELECT {chosen} FROM source{where} ORDER BY {order} LIMIT {limit}"  # noqa: S608
        return statement, values

    def _typed(self, field: Field) -> str:
        """The field's column, quoted, with the described type; a value that is none is an error."""
        column = _quoted(self._columns.get(field.name, field.name))
        return f"CAST({column} AS {_TYPES[field.type]})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
