"""What every source does, the query it answers, and how its rows are checked."""

import difflib
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, cast

CONDITIONS_MAX = 16
"""Conditions in one query."""

VALUES_MAX = 1_000
"""Values in one `in` condition."""

FieldType = Literal["text", "integer", "decimal", "date", "boolean", "timestamp"]
Operator = Literal["=", "<", "<=", ">", ">=", "in"]
Value = str | int | bool | None

OPERATORS: tuple[Operator, ...] = ("=", "<", "<=", ">", ">=", "in")


class SourceUnavailable(Exception):
    """The source is down, slow or refuses the login."""

    remedy = "Try again later; the provider's operator sees the cause in the node's log."


class SourceMisbehaved(Exception):
    """The source gave back something else than its dataset describes."""

    remedy = "The provider's steward has to compare the source with the dataset's description."


class QueryRefused(Exception):
    """The query names an unknown field or operator, a wrong type, or matches too much."""

    remedy = "Correct or narrow the query."


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a dataset. Decimals, dates and timestamps travel as text."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; all of a query must hold. value: a tuple for the operator `in`."""

    field: Field
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows. limit: at most so many, None for all."""

    conditions: tuple[Condition, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: field names, and rows of values in that order."""

    fields: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


class Source(Protocol):
    """One table, as a department's system shows it. All methods block."""

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
        """Rows of exactly `fields`, in a stable order.

        Raises QueryRefused if more than rows_max rows or bytes_max bytes match, SourceUnavailable,
        SourceMisbehaved.
        """

    def probe(self, fields: Sequence[Field]) -> None:
        """The source is there and has these fields. Raises SourceUnavailable, SourceMisbehaved."""

    def close(self) -> None:
        """Lets go of connections."""


def parse_query(text: bytes, filterable: Sequence[Field]) -> Query:
    """A query from its JSON: {"where": {field: value or {operator: value}}, "limit": n}.

    Raises QueryRefused.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueryRefused(f"the query is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise QueryRefused("the query is not a JSON object")
    for key in content:
        if key not in ("where", "limit"):
            raise QueryRefused(f"unknown part {key!r} of the query; known are where, limit")
    limit = content.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise QueryRefused("limit is not a positive integer")
    where = content.get("where", {})
    if not isinstance(where, dict):
        raise QueryRefused("where is not a JSON object")
    known = {field.name: field for field in filterable}
    conditions: list[Condition] = []
    for name, wanted in where.items():
        if name not in known:
            raise QueryRefused(f"unknown field {name!r}{_nearest(name, known)}")
        tests = wanted if isinstance(wanted, dict) else {"=": wanted}
        conditions += [_condition(known[name], *test) for test in tests.items()]
    if len(conditions) > CONDITIONS_MAX:
        raise QueryRefused(f"{len(conditions)} conditions, at most {CONDITIONS_MAX} allowed")
    return Query(tuple(conditions), limit)


def _condition(field: Field, operator: str, value: object) -> Condition:
    if operator not in OPERATORS:
        raise QueryRefused(f"unknown operator {operator!r}; known are {', '.join(OPERATORS)}")
    if operator == "in":
        if not isinstance(value, list) or not 1 <= len(value) <= VALUES_MAX:
            raise QueryRefused(f"{field.name}: in needs a list of 1 to {VALUES_MAX} values")
        return Condition(field, "in", tuple(_typed(field, each) for each in value))
    return Condition(field, cast("Operator", operator), _typed(field, value))


def _typed(field: Field, value: object) -> Value:
    right = {"integer": int, "boolean": bool}.get(field.type, str)
    if type(value) is not right:
        raise QueryRefused(f"{field.name} is {field.type}; {value!r} is not")
    return cast("Value", value)


def to_value(field: Field, value: object) -> Value:
    """A source's value as it travels; text in NFC. Raises SourceMisbehaved if the type differs."""
    if value is None:
        return None
    convert = _CONVERSIONS.get((field.type, type(value)))
    if convert is None:
        raise SourceMisbehaved(f"{field.name} is {field.type}, the source gave {type(value)}")
    return convert(value)


def _text(value: Any) -> Value:
    return unicodedata.normalize("NFC", value)


def _iso(value: Any) -> Value:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return cast("str", value.isoformat())


_CONVERSIONS: dict[tuple[str, type], Callable[[Any], Value]] = {
    ("text", str): _text,
    ("integer", int): int,
    ("boolean", bool): bool,
    ("boolean", int): bool,
    ("decimal", Decimal): str,
    ("decimal", int): str,
    ("decimal", float): repr,
    ("decimal", str): _text,
    ("date", date): _iso,
    ("date", str): _text,
    ("timestamp", datetime): _iso,
    ("timestamp", str): _text,
}


def checked(
    fields: Sequence[Field],
    raw: Iterable[Sequence[object]],
    *,
    limit: int | None,
    rows_max: int,
    bytes_max: int,
) -> Rows:
    """Rows as they travel, within the limits. Raises QueryRefused, SourceMisbehaved."""
    rows: list[tuple[Value, ...]] = []
    size = 0
    for values in raw:
        if limit is not None and len(rows) >= limit:
            break
        if len(rows) >= rows_max:
            raise QueryRefused(f"more than {rows_max} rows match; narrow the query")
        row = tuple(to_value(field, value) for field, value in zip(fields, values, strict=True))
        size += sum(len(value.encode()) if isinstance(value, str) else 8 for value in row)
        if size > bytes_max:
            raise QueryRefused(f"more than {bytes_max} bytes match; narrow the query")
        rows.append(row)
    return Rows(tuple(field.name for field in fields), tuple(rows))


def matches(query: Query, row: dict[str, Value]) -> bool:
    """Whether a row, as it travels, satisfies every condition; an empty value satisfies none."""
    return all(_holds(row.get(condition.field.name), condition) for condition in query.conditions)


def _holds(value: Value, condition: Condition) -> bool:
    wanted = condition.value
    if value is None:
        return False
    if condition.operator == "in":
        return value in wanted
    left: Any = value
    right: Any = wanted
    if condition.field.type == "decimal":
        left, right = Decimal(str(left)), Decimal(str(right))
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


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are: {', '.join(known)}"
