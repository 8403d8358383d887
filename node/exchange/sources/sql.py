"""A table or view in a SQL database, through SQLAlchemy Core: SQLite or PostgreSQL.

Only the asked columns are selected, every value is a bound parameter, and every name in a statement
comes from the configuration. Connections are read-only as far as the database lets them be; the
login should be able to read those columns and nothing else.
"""

import operator
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from contracts.queries import Condition, Field, Query, to_native
from ledger.recent import Recent
from node.exchange.sources.port import (
    Row,
    Source,
    SourceMisbehaved,
    SourceUnavailable,
    checked,
    needed,
)

PROGRESS_STEPS = 10_000
"""SQLite's virtual machine instructions between two looks at the clock."""

_COMPARE = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_NATIVE = ("decimal", "date", "timestamp")
"""Types whose values travel as text and that PostgreSQL compares as its own."""

STATEMENTS_MAX = 128
"""Statements that are kept: one for each form of query, whatever its values."""

_Form = tuple[tuple[Field, ...], tuple[tuple[Field, str], ...]]


class SqlSource(Source):
    """One table. columns: field name to column name where they differ."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        table: str,
        schema: str | None = None,
        columns: Mapping[str, str] | None = None,
        password: str | None = None,
    ) -> None:
        """Raises ValueError if the URL is none of a known database."""
        self.name = name
        address = sqlalchemy.make_url(url)
        if password is not None:
            address = address.set(password=password)
        self._dialect = address.get_backend_name()
        if self._dialect == "sqlite":
            self._engine = sqlalchemy.create_engine(
                f"sqlite:///file:{address.database}?mode=ro&uri=true",
                connect_args={"check_same_thread": False},
            )
        elif self._dialect == "postgresql":
            self._engine = sqlalchemy.create_engine(
                address.set(drivername="postgresql+psycopg"),
                pool_size=4,
                max_overflow=4,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 5},
            )
        else:
            raise ValueError(f"{self._dialect} is not supported; use sqlite or postgresql")
        self._table = table
        self._schema = schema
        self._columns = dict(columns or {})
        self._preparing = threading.Lock()
        self._statements: Recent[_Form, sqlalchemy.Select[Any]] = Recent(STATEMENTS_MAX)

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
        statement = self._statement(fields, query)
        values = {
            _name(place): self._natives(condition)
            for place, condition in enumerate(query.conditions)
            if self._is_asked(condition)
        }
        try:
            with self._engine.connect() as connection:
                self._guard(connection, timeout_s)
                found = connection.execution_options(yield_per=1_000).execute(statement, values)
                yield from checked(fields, found, query=query)
        except exc.SQLAlchemyError as error:
            raise _translated(self.name, error) from None
        except UnicodeError:
            raise SourceMisbehaved(f"{self.name}: a text is not UTF-8") from None

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def _statement(self, fields: Sequence[Field], query: Query) -> sqlalchemy.Select[Any]:
        """The statement for a query of this form, its values left open."""
        tests = tuple((condition.field, condition.operator) for condition in query.conditions)
        form = (tuple(fields), tests)
        with self._preparing:
            statement = self._statements.get(form)
            if statement is None:
                statement = self._select(fields, query)
                self._statements.put(form, statement)
        return statement

    def _select(self, fields: Sequence[Field], query: Query) -> sqlalchemy.Select[Any]:
        """The needed columns of the rows that may match; `checked` filters what is left to it."""
        columns = needed(fields, query)
        names = {field.name: self._columns.get(field.name, field.name) for field in columns}
        table = sqlalchemy.table(
            self._table,
            *(sqlalchemy.column(column) for column in sorted(set(names.values()))),
            schema=self._schema,
        )
        chosen = [table.c[names[field.name]] for field in columns]
        statement = sqlalchemy.select(*chosen).order_by(*chosen)
        for place, condition in enumerate(query.conditions):
            if self._is_asked(condition):
                column = table.c[names[condition.field.name]]
                statement = statement.where(self._clause(column, condition, _name(place)))
        return statement

    def _is_asked(self, condition: Condition) -> bool:
        """Whether the database judges the condition, and not `checked` alone.

        SQLite keeps decimals and times as whatever they were inserted as, so it is not asked.
        """
        return self._dialect != "sqlite" or condition.field.type not in _NATIVE

    def _clause(self, column: Any, condition: Condition, name: str) -> Any:
        """The condition for the database, its value a parameter of this name."""
        if condition.field.type == "text":
            column = column.collate("BINARY" if self._dialect == "sqlite" else "C")
        if condition.operator == "in":
            return column.in_(sqlalchemy.bindparam(name, expanding=True))
        return _COMPARE[condition.operator](column, sqlalchemy.bindparam(name))

    def _natives(self, condition: Condition) -> Any:
        """The condition's value as the database takes it."""
        value = condition.value
        if condition.field.type not in _NATIVE:
            return list(value) if isinstance(value, tuple) else value
        if isinstance(value, tuple):
            return [to_native(condition.field, each) for each in value]
        return to_native(condition.field, value)

    def _guard(self, connection: sqlalchemy.Connection, timeout_s: float) -> None:
        """Read-only, and only for so long."""
        if self._dialect == "postgresql":
            connection.execute(sqlalchemy.text("SET TRANSACTION READ ONLY"))
            connection.execute(
                sqlalchemy.text("SELECT set_config('statement_timeout', :ms, true)"),
                {"ms": str(int(timeout_s * 1000))},
            )
            return
        connection.execute(sqlalchemy.text("PRAGMA query_only = ON"))
        deadline = time.monotonic() + timeout_s
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)


def _name(place: int) -> str:
    """The parameter of a query's condition."""
    return f"value_{place}"


def _translated(name: str, error: exc.SQLAlchemyError) -> Exception:
    """A missing table or column is the description's fault, anything else the database's."""
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    if "decode" in text and "UTF-8" in text:
        return SourceMisbehaved(f"{name}: a text is not UTF-8")
    missing = ("no such column", "no such table", "does not exist", "permission denied for")
    if any(word in text for word in missing) and "database" not in text:
        return SourceMisbehaved(f"{name}: {text}")
    return SourceUnavailable(f"{name}: {text}")
