"""What an app may ask a dataset for: conditions on fields, in JSON. Pure.

The query of an exchange is committed to by its receipt, so that whoever is shown it reads the same
conditions as the provider's node did: which rows, and which data subjects it names.
"""

import difflib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, cast

CONDITIONS_MAX = 16
"""Conditions in one query."""

VALUES_MAX = 1_000
"""Values in one `in` condition."""

FieldType = Literal["text", "integer", "decimal", "date", "boolean", "timestamp"]
Operator = Literal["=", "<", "<=", ">", ">=", "in"]
Value = str | int | bool | None

OPERATORS: tuple[Operator, ...] = ("=", "<", "<=", ">", ">=", "in")


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
    """Which rows. limit: at most so many, None for all. offset: so many that match are left out
    first; None where the query asks for no window of what matches."""

    conditions: tuple[Condition, ...] = ()
    limit: int | None = None
    offset: int | None = None


def parse_query(text: bytes, filterable: Sequence[Field]) -> Query:
    """A query from its JSON: {"where": {field: value or {operator: value}}, "limit", "offset"}.

    Raises QueryRefused.
    """
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise QueryRefused(f"the query is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise QueryRefused("the query is not a JSON object")
    for key in content:
        if key not in ("where", "limit", "offset"):
            raise QueryRefused(f"unknown part {key!r} of the query; known are where, limit, offset")
    limit = content.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise QueryRefused("limit is not a positive integer")
    offset = content.get("offset")
    if offset is not None and (type(offset) is not int or not 0 <= offset < 2**53):
        raise QueryRefused("offset is not 0 or a positive integer")
    where = content.get("where", {})
    if not isinstance(where, dict):
        raise QueryRefused("where is not a JSON object")
    known = {field.name: field for field in filterable}
    conditions: list[Condition] = []
    for name, wanted in where.items():
        if name not in known:
            raise QueryRefused(f"unknown field {name!r}{_nearest(name, known)}")
        tests = wanted if isinstance(wanted, dict) else {"=": wanted}
        if not tests:
            raise QueryRefused(f"{name}: a condition needs an operator")
        conditions += [_condition(known[name], *test) for test in tests.items()]
    if len(conditions) > CONDITIONS_MAX:
        raise QueryRefused(f"{len(conditions)} conditions, at most {CONDITIONS_MAX} allowed")
    return Query(tuple(conditions), limit, offset)


def _condition(field: Field, operator: str, value: object) -> Condition:
    if operator not in OPERATORS:
        raise QueryRefused(f"unknown operator {operator!r}; known are {', '.join(OPERATORS)}")
    if operator == "in":
        if not isinstance(value, list) or not 1 <= len(value) <= VALUES_MAX:
            raise QueryRefused(f"{field.name}: in needs a list of 1 to {VALUES_MAX} values")
        return Condition(field, "in", tuple(_typed(field, each) for each in value))
    return Condition(field, cast("Operator", operator), _typed(field, value))


def _typed(field: Field, value: object) -> Value:
    """A query's value in the form in which values travel. Raises QueryRefused."""
    right = {"integer": int, "boolean": bool}.get(field.type, str)
    if type(value) is not right:
        raise QueryRefused(f"{field.name} is {field.type}; {value!r} is not")
    try:
        return canonical(field, cast("str | int | bool", value))
    except ValueError as error:
        raise QueryRefused(f"{field.name}: {error}") from None


def canonical(field: Field, value: str | int | bool) -> str | int | bool:
    """The one form in which a value of this field travels. Raises ValueError, without the value.

    text: NFC, no NUL, no surrogates. integer: 64 bits. decimal: as given, without an exponent.
    date: YYYY-MM-DD. timestamp: ISO 8601 with T, in UTC if it has an offset.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("the integer has more than 64 bits")
        return value
    if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("the text holds NUL or half a character")
    if field.type == "text":
        return unicodedata.normalize("NFC", value)
    try:
        native = to_native(field, value)
    except (ValueError, ArithmeticError):
        raise ValueError(f"the text is no {field.type}") from None
    return f"{native:f}" if isinstance(native, Decimal) else str(native.isoformat())


def to_native(field: Field, value: str) -> Any:
    """A decimal, date or timestamp as Python's own type. Raises ValueError, ArithmeticError."""
    if field.type == "decimal":
        number = Decimal(value.strip())
        if not number.is_finite():
            raise ValueError("not finite")
        return number
    if field.type == "date":
        return date.fromisoformat(value)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC)


def named_subjects(query: Query, subject_field: str | None) -> frozenset[str] | None:
    """The data subjects that a query names, by their identifiers; None if it does not name them.

    Conditions of one query must all hold; the first that names subjects is taken.
    """
    for condition in query.conditions:
        if condition.field.name == subject_field:
            if condition.operator == "=":
                return frozenset([str(condition.value)])
            if condition.operator == "in":
                return frozenset(str(value) for value in condition.value)
    return None


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are: {', '.join(known)}"
