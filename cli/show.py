"""How answers are shown: tables for people, one JSON value for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

JsonOption = click.option("--json", "as_json", is_flag=True, help="One JSON value instead.")

WIDTH_MAX = 1_000
"""Limit of a table's columns of text, where the output is no screen."""

UNREADABLE = "Name the directory of a stopped node or a copy, or a running node's URL and --token."
"""What to do about an auditor's target that cannot be read."""

console = Console(highlight=False, soft_wrap=True)
_unbounded = Console(highlight=False, width=WIDTH_MAX)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Failure(click.ClickException):
    """An error with what to do about it."""

    def __init__(self, text: str, remedy: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.remedy = remedy
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        """To standard error."""
        errors.print(f"error: {self.message}\n  what to do: {self.remedy}", markup=False)


def emit_json(value: Any) -> None:
    """One JSON value on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write("\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; as wide as it needs to be where no screen bounds it."""
    shown = Table(title=title, title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(_text(value) for value in row))
    (console if console.is_terminal else _unbounded).print(shown)


def fields(title: str, values: Mapping[str, Any]) -> None:
    """One thing, field by field."""
    table(title, ("field", "value"), list(values.items()))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(part)}" for key, part in value.items())
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value)} has no JSON")
