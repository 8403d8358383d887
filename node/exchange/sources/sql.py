"""A table or view in a SQL database, through SQLAlchemy Core: SQLite or PostgreSQL.

Only the asked columns are selected, every value is a bound parameter, and every name in a statement
comes from the configuration. Connections are read-only as far as the database lets them be; the
login should be able to read those columns and nothing else.
"""

import operator
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from contracts.queries import Condition, Field, Query, to_native
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
        statement = self._select(fields, query)
        try:
            with self._engine.connect() as connection:
                self._guard(connection, timeout_s)
                found = connection.execution_options(yield_per=1_000).execute(statement)
                yield from checked(fields, found, query=query)
        except exc.SQLAlchemyError as error:
            raise _translated(self.name, error) from None
        except UnicodeError:
            raise SourceMisbehaved(f"{self.name}: a text is not UTF-8") from None

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

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
        for condition in query.conditions:
            clause = self._clause(table.c[names[condition.field.name]], condition)
            if clause is not None:
                statement = statement.where(clause)
        return statement

    def _clause(self, column: Any, condition: Condition) -> Any:
        """The condition for the database; None where only `checked` can judge it exactly.

        SQLite keeps decimals and times as whatever they were inserted as, so it is not asked.
        """
        kind = condition.field.type
        if kind in ("decimal", "date", "timestamp"):
            if self._dialect == "sqlite":
                return None
            many = isinstance(condition.value, tuple)
            values = condition.value if many else (condition.value,)
            natives = [to_native(condition.field, value) for value in values]
            return column.in_(natives) if many else _COMPARE[condition.operator](column, natives[0])
        if kind == "text":
            column = column.collate("BINARY" if self._dialect == "sqlite" else "C")
        if condition.operator == "in":
            return column.in_(condition.value)
        return _COMPARE[condition.operator](column, condition.value)

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


def _translated(name: str, error: exc.SQLAlchemyError) -> Exception:
    """A missing table or column is the description's fault, anything else the database's."""
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    if "decode" in text and "UTF-8" in text:
        return SourceMisbehaved(f"{name}: a text is not UTF-8")
    missing = ("no such column", "no such table", "does not exist", "permission denied for")
    if any(word in text for word in missing) and "database" not in text:
        return SourceMisbehaved(f"{name}: {text}")
    return SourceUnavailable(f"{name}: {text}")
