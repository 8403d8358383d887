"""Commands that bring a record to the ledger: their options, and how their answer is shown."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from cli.client import Client, connect, node_options
from cli.show import JsonOption, console, emit_json

KeyOption = click.option("--idempotency-key", help="A retry with the same key meets its first try.")
DryOption = click.option("--dry-run", is_flag=True, help="Only say whether it would be accepted.")


@dataclass(frozen=True, slots=True)
class Writer:
    """A node, and how its answer to a write is wanted."""

    client: Client
    key: str | None
    dry_run: bool
    as_json: bool

    def post(self, path: str, body: Any) -> None:
        """Writes and shows the answer; a dry run that would be refused ends with code 1."""
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        value = self.client.post(path, body, headers=headers, dry_run=self.dry_run or None)
        if self.as_json:
            emit_json(value)
        elif self.dry_run:
            allowed = value["allowed"]
            words = "would be accepted" if allowed else f"{value['code']}: {value['detail']}"
            console.print(words)
            sys.exit(0 if allowed else 1)
        else:
            place = f"height {value['height']}, leaf {value['leaf_index']}"
            state = "certified" if value["certified"] else "committed"
            console.print(f"record {value['record_id']} is {state}: {place}")


def writes(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that writes; it gets a `Writer` as its first argument."""

    @wraps(command)
    def run(
        url: str,
        token: str | None,
        idempotency_key: str | None,
        dry_run: bool,
        as_json: bool,
        **arguments: Any,
    ) -> Any:
        return command(Writer(connect(url, token), idempotency_key, dry_run, as_json), **arguments)

    options: Callable[..., Any] = JsonOption(DryOption(KeyOption(node_options(run))))
    return options
