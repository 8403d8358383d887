"""What every source does, and how its rows are checked."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from contracts.queries import Condition, Field, Query, QueryRefused, Value, canonical

Row = tuple[Value, ...]


class SourceUnavailable(Exception):
    """The source is down, slow or refuses the login."""

    remedy = "Try again later; the provider's operator sees the cause in the node's log."


class SourceMisbehaved(Exception):
    """The source gave back something else than its dataset describes."""

    remedy = "The provider's steward has to compare the source with the dataset's description."


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: field names, and rows of values in that order."""

    fields: tuple[str, ...]
    rows: tuple[Row, ...]


class Source(ABC):
    """One table, as a department's system shows it. All methods block."""

    @abstractmethod
    def stream(
        self,
        *,
        fields: Sequence[Field],
        query: Query,
        rows_max: int,
        bytes_max: int,
        timeout_s: float,
    ) -> Iterator[Row]:
        """Rows of exactly `fields`, those that the query wants, in a stable order, one by one.

        rows_max, bytes_max: so much is used of them, at most. Raises QueryRefused,
        SourceUnavailable, SourceMisbehaved.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of connections."""

    def read(
        self,
        *,
        fields: Sequence[Field],
        query: Query,
        rows_max: int,
        bytes_max: int,
        timeout_s: float,
    ) -> Rows:
        """The same rows together. Raises QueryRefused if more match than the limits allow."""
        found = self.stream(
            fields=fields, query=query, rows_max=rows_max, bytes_max=bytes_max, timeout_s=timeout_s
        )
        cut = Cut(found, query, rows_max=rows_max, bytes_max=bytes_max)
        return Rows(tuple(field.name for field in fields), tuple(cut))

    def probe(self, fields: Sequence[Field]) -> None:
        """The source is there and has these fields. Raises SourceUnavailable, SourceMisbehaved."""
        self.read(fields=fields, query=Query((), 1), rows_max=1, bytes_max=1 << 20, timeout_s=5.0)


class Cut:
    """Rows within the limits of one exchange, as they come.

    A query that asks for a window (`offset`) gets as many rows as fit, and `more` says whether
    others are left; any other query that matches more is refused.
    """

    def __init__(self, rows: Iterable[Row], query: Query, *, rows_max: int, bytes_max: int) -> None:
        self._rows = rows
        self._windowed = query.offset is not None
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self.count = 0
        self.more = False

    def __iter__(self) -> Iterator[Row]:
        """The rows. Raises QueryRefused, and whatever the source raises."""
        size = 0
        for row in self._rows:
            size += sum(len(value.encode()) if isinstance(value, str) else 8 for value in row)
            beyond = None
            if self.count >= self._rows_max:
                beyond = f"more than {self._rows_max} rows match"
            elif size > self._bytes_max:
                beyond = f"more than {self._bytes_max} bytes match"
            if beyond is not None:
                if self._windowed and self.count:
                    self.more = True
                    return
                raise QueryRefused(f"{beyond}; narrow the query, or ask for windows with offset")
            self.count += 1
            yield row


def to_value(field: Field, value: object) -> Value:
    """A source's value as it travels. Raises SourceMisbehaved, without the value."""
    if value is None:
        return None
    plain = _plain(field, value)
    if plain is None:
        raise SourceMisbehaved(
            f"{field.name} is {field.type}, the source gave {type(value).__name__}"
        )
    try:
        return canonical(field, plain)
    except ValueError as error:
        raise SourceMisbehaved(f"{field.name}: {error}") from None


def _plain(field: Field, value: object) -> str | int | bool | None:
    """The value as text, integer or boolean; None where its type is not the field's."""
    match field.type, value:
        case "boolean", bool():
            return value
        case "boolean", 0 | 1:
            return bool(value)
        case "integer", int() if not isinstance(value, bool):
            return value
        case (("text" | "decimal" | "date" | "timestamp"), str()):
            return value
        case "decimal", int() | Decimal() if not isinstance(value, bool):
            return str(value)
        case "decimal", float():
            return repr(value)
        case "timestamp", datetime():
            return value.isoformat()
        case "date", date() if not isinstance(value, datetime):
            return value.isoformat()
    return None


def checked(
    fields: Sequence[Field], raw: Iterable[Sequence[object]], *, query: Query
) -> Iterator[Row]:
    """Rows as they travel, those that the query wants.

    raw: values of `needed(fields, query)`, in that order. Raises SourceMisbehaved.
    """
    columns = needed(fields, query)
    names = [field.name for field in columns]
    skipped = taken = 0
    for values in raw:
        if query.limit is not None and taken >= query.limit:
            return
        whole = [to_value(field, value) for field, value in zip(columns, values, strict=True)]
        if query.conditions and not matches(query, dict(zip(names, whole, strict=True))):
            continue
        if skipped < (query.offset or 0):
            skipped += 1
            continue
        taken += 1
        yield tuple(whole[: len(fields)])


def needed(fields: Sequence[Field], query: Query) -> list[Field]:
    """What has to be read: the asked fields in their order, then what the query filters by."""
    names = {field.name for field in fields}
    extra = {c.field.name: c.field for c in query.conditions if c.field.name not in names}
    return [*fields, *extra.values()]


def matches(query: Query, row: dict[str, Value]) -> bool:
    """Whether a row, as it travels, satisfies every condition; an empty value satisfies none."""
    return all(_holds(row.get(condition.field.name), condition) for condition in query.conditions)


def _holds(value: Value, condition: Condition) -> bool:
    wanted = condition.value
    if value is None:
        return False
    field = condition.field
    if condition.operator == "in":
        return any(_order(field, value) == _order(field, each) for each in wanted)
    left, right = _order(field, value), _order(field, wanted)
    match condition.operator:
        case "=":
            return bool(left == right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def _order(field: Field, value: Value) -> Any:
    """What a value is compared by: decimals by value, all other texts by their characters."""
    return Decimal(str(value)) if field.type == "decimal" else value
