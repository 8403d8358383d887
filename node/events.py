"""Who waits for what on a node: outcomes of records, heights, confirmed reads."""

import asyncio
from collections.abc import AsyncIterator, Callable

from node.ports import Accepted, Rejected


class Events:
    """The replica's news, for coroutines to await. Everything told here is durable."""

    def __init__(self, *, height: int, certified_height: int) -> None:
        self.height = height
        self.certified_height = certified_height
        self._outcomes: dict[bytes, asyncio.Future[Accepted | Rejected | None]] = {}
        self._barriers: dict[int, asyncio.Future[int | None]] = {}
        self._changed = asyncio.Event()
        self._next_barrier = 1
        self._listeners: list[Callable[[int], None]] = []
        self.stopping = False

    def outcome(self, record_id: bytes) -> asyncio.Future[Accepted | Rejected | None]:
        """What becomes of a record; many may wait for one. None: the node stops before it knows."""
        future = self._outcomes.get(record_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._outcomes[record_id] = future
        if self.stopping and not future.done():
            future.set_result(None)
        return future

    def settled(self, record_id: bytes, outcome: Accepted | Rejected) -> None:
        """A record's outcome is known."""
        future = self._outcomes.pop(record_id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def barrier(self) -> tuple[int, asyncio.Future[int | None]]:
        """A token for a read barrier, and when it is ready; None: nobody will confirm it."""
        token = self._next_barrier
        self._next_barrier += 1
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        if self.stopping:
            future.set_result(None)
        else:
            self._barriers[token] = future
        return token, future

    def barrier_ready(self, token: int, height: int | None) -> None:
        """The read may run, or there was nobody to confirm it."""
        future = self._barriers.pop(token, None)
        if future is not None and not future.done():
            future.set_result(height)

    def on_executed(self, listener: Callable[[int], None]) -> None:
        """Calls `listener` with each new durable height, at once."""
        self._listeners.append(listener)

    def executed(self, height: int) -> None:
        """Blocks up to `height` are durable here."""
        self.height = height
        for listener in self._listeners:
            listener(height)
        self._wake()

    def certified(self, height: int) -> None:
        """Blocks up to `height` are certified."""
        self.certified_height = max(height, self.certified_height)
        self._wake()

    def stop(self) -> None:
        """The node stops: nobody waits any more, and what is not known stays so."""
        self.stopping = True
        for outcome in self._outcomes.values():
            if not outcome.done():
                outcome.set_result(None)
        for barrier in self._barriers.values():
            if not barrier.done():
                barrier.set_result(None)
        self._wake()

    async def wait_certified(self, height: int) -> None:
        """Until `height` is certified, or the node stops."""
        while self.certified_height < height and not self.stopping:
            await self._changed.wait()

    async def heights(self, after: int, *, certified: bool) -> AsyncIterator[int]:
        """Each time there is more than `after`: up to which height."""
        seen = after
        while not self.stopping:
            height = self.certified_height if certified else self.height
            if height > seen:
                seen = height
                yield height
            else:
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
