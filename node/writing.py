"""Writes the replica's batches, one at a time, in a thread of its own.

One queue to it and one call back to the loop are all that a batch costs beside its write.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Done = Callable[[int, BaseException | None], None]


class BatchWriter:
    """The thread; it ends with `close`, or with the process, whatever it is writing then."""

    def __init__(self) -> None:
        self._writes: SimpleQueue[tuple[int, Callable[[], None]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """done(number, error): called on the loop after each write; error: None if it is durable.

        After an error nothing more is written.
        """
        self._thread = threading.Thread(
            target=self._work, args=(loop, done), name="store", daemon=True
        )
        self._thread.start()

    def begin(self, number: int, write: Callable[[], None]) -> None:
        """Has a batch written by its number; the one before has been answered.

        write(): synced, all or nothing; called in the thread.
        """
        self._writes.put((number, write))

    def close(self) -> None:
        """Waits until the write under way has landed."""
        if self._thread is not None:
            self._writes.put(None)
            self._thread.join()

    def _work(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        error: BaseException | None = None
        while error is None:
            wanted = self._writes.get()
            if wanted is None:
                return
            number, write = wanted
            try:
                write()
            except BaseException as failure:  # noqa: BLE001 - whatever it is, it ends the node
                error = failure
            try:
                loop.call_soon_threadsafe(done, number, error)
            except RuntimeError:  # the loop has ended, and so has the node
                return
