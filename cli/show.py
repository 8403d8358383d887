"""How answers are shown: tables for people, one JSON value for programs."""

import errno
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import duckdb
import plyvel
from rich.console import Console
from rich.table import Table

from audit.verify import Unreachable, Unreadable
from audit.workers import Unjudged
from ledger.errors import LedgerError

JsonOption = click.option("--json", "as_json", is_flag=True, help="One JSON value instead.")

WIDTH_MAX = 1_000
"""Limit of a table's columns of text, where the output is no screen."""

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


def unreadable(error: Unreadable, target: str | None = None) -> Failure:
    """The error of an auditor's target that cannot be read, named if several were given."""
    text = str(error) if target is None or str(error).startswith(target) else f"{target}: {error}"
    return Failure(text, error.remedy, exit_code=3 if isinstance(error, Unreachable) else 1)


_ABOUT_FILES = "Check the path, who may read and write there, and the space that is left."


class Guarded(click.Group):
    """A group whose commands end with a word on what to do, whatever the machine refuses them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named. Raises Failure."""
        try:
            return super().invoke(ctx)
        except Unreadable as error:
            raise unreadable(error) from None
        except (LedgerError, Unjudged) as error:
            raise Failure(str(error), error.remedy) from None
        except (duckdb.Error, plyvel.Error) as error:
            raise Failure(f"a temporary store fails: {error}", _ABOUT_FILES) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            text = error.strerror or str(error)
            where = "" if error.filename is None else f"{error.filename}: "
            raise Failure(where + text, _ABOUT_FILES) from None


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
    return str(value)
