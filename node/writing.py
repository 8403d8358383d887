"""Writes the replica's batches, one at a time, in a thread of its own.

One queue to it and one call back to the loop are all that a batch costs beside its write.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

from node.ports import Batch

Done = Callable[[int, BaseException | None], None]


class BatchWriter:
    """The thread; it ends with `close`, or with the process, whatever it is writing then."""

    def __init__(self, write: Callable[[Batch], None]) -> None:
        """write(batch): synced, all or nothing; called in the thread."""
        self._write = write
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """done(number, error): called on the loop after each write; error: None if it is durable.

        After an error nothing more is written.
        """
        self._thread = threading.Thread(
            target=self._work, args=(loop, done), name="store", daemon=True
        )
        self._thread.start()

    def write(self, batch: Batch) -> None:
        """Begins to write a batch; the one before has been answered."""
        self._batches.put(batch)

    def close(self) -> None:
        """Waits until the write under way has landed."""
        if self._thread is not None:
            self._batches.put(None)
            self._thread.join()

    def _work(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        error: BaseException | None = None
        while error is None:
            batch = self._batches.get()
            if batch is None:
                return
            try:
                self._write(batch)
            except BaseException as failure:  # noqa: BLE001 - whatever it is, it ends the node
                error = failure
            try:
                loop.call_soon_threadsafe(done, batch.number, error)
            except RuntimeError:  # the loop has ended, and so has the node
                return
