"""The ledger that a person named, for the commands that read one through."""

from collections.abc import Iterator
from contextlib import contextmanager

from audit.sources.opening import open_ledger
from audit.verify import Source, Unreadable
from cli.show import Failure, unreadable
from ledger.errors import LedgerError


@contextmanager
def opened(target: str, token: str | None) -> Iterator[Source]:
    """A data directory, an export or a running node, while it is read. Raises Failure."""
    try:
        with open_ledger(target, token) as source:
            yield source
    except Unreadable as error:
        raise unreadable(error) from None
    except LedgerError as error:
        raise Failure(
            f"{target}: {error}", "Run `concordat audit verify`; it names what is wrong."
        ) from None
