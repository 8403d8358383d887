"""Writes of the vault, many at once: what gathers while one is under way goes with the next.

A write is synced and takes a thread. A busy node makes one for all exchanges of a moment instead of
one for each; an idle node makes it at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry")


class Keeper(Generic[Entry]):
    """Gathers entries by exchange id. write: keeps many, durably; blocking.

    Each exchange waits for its own entry, so there are never more entries than exchanges in flight.
    """

    def __init__(self, write: Callable[[Mapping[bytes, Entry]], None]) -> None:
        self._write = write
        self._waiting: dict[bytes, Entry] = {}
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    def keep(self, exchange_id: bytes, entry: Entry) -> asyncio.Future[None]:
        """Done once the entry is durable; fails as the write does that it went with.

        Whoever stops waiting cancels nothing: the entry is written with the others.
        """
        self._waiting[exchange_id] = entry
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        mine = asyncio.shield(self._next)
        mine.add_done_callback(_seen)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return mine

    async def _run(self) -> None:
        try:
            while self._next is not None:
                entries, written = self._waiting, self._next
                self._waiting, self._next = {}, None
                try:
                    await asyncio.to_thread(self._write, entries)
                except Exception as error:  # noqa: BLE001 - each waiting exchange raises it
                    written.set_exception(error)
                else:
                    written.set_result(None)
        finally:
            self._task = None


def _seen(written: asyncio.Future[None]) -> None:
    """A failure is told to whoever still waits; that nobody does is no fault of its own."""
    if not written.cancelled():
        written.exception()
