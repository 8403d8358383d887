"""Who waits for what on a node: outcomes of records, heights, confirmed reads."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from node.ports import Accepted, Rejected

Outcome: TypeAlias = Accepted | Rejected


@dataclass(slots=True, eq=False)
class _Waiter:
    future: asyncio.Future[Outcome | None]
    certified: bool


class Events:
    """The replica's news, for coroutines to await. Everything told here is durable."""

    def __init__(self, *, height: int, certified_height: int) -> None:
        self.height = height
        self.certified_height = certified_height
        self._waiting: dict[bytes, list[_Waiter]] = {}
        self._uncertified: deque[tuple[Accepted, asyncio.Future[Outcome | None]]] = deque()
        self._barriers: dict[int, asyncio.Future[int | None]] = {}
        self._changed: asyncio.Event | None = None
        self._next_barrier = 1
        self.stopping = False

    async def outcomes(
        self, record_ids: Sequence[bytes], *, certified: bool, timeout_s: float
    ) -> list[Outcome | None]:
        """What becomes of each record; many may wait for one. None: not known in time.

        certified: accepted records are waited for until their blocks are certified.
        """
        if self.stopping:
            return [None] * len(record_ids)
        loop = asyncio.get_running_loop()
        waiters = [_Waiter(loop.create_future(), certified) for _ in record_ids]
        for record_id, waiter in zip(record_ids, waiters, strict=True):
            self._waiting.setdefault(record_id, []).append(waiter)
        timer = loop.call_later(timeout_s, _give_up, waiters)
        try:
            return [await waiter.future for waiter in waiters]
        finally:
            timer.cancel()
            for record_id, waiter in zip(record_ids, waiters, strict=True):
                others = self._waiting.get(record_id)
                if others is not None and waiter in others:
                    others.remove(waiter)
                    if not others:
                        del self._waiting[record_id]

    def settled(self, record_id: bytes, outcome: Outcome) -> None:
        """A record's outcome is known."""
        for waiter in self._waiting.pop(record_id, ()):
            if (
                waiter.certified
                and isinstance(outcome, Accepted)
                and outcome.height > self.certified_height
            ):
                self._uncertified.append((outcome, waiter.future))
                while self._uncertified[0][1].done():
                    self._uncertified.popleft()
            else:
                _settle(waiter.future, outcome)

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

    def executed(self, height: int) -> None:
        """Blocks up to `height` are durable here."""
        self.height = height
        self._wake()

    def certified(self, height: int) -> None:
        """Blocks up to `height` are certified."""
        self.certified_height = max(height, self.certified_height)
        for _ in range(len(self._uncertified)):
            outcome, future = self._uncertified.popleft()
            if outcome.height <= self.certified_height:
                _settle(future, outcome)
            elif not future.done():
                self._uncertified.append((outcome, future))
        self._wake()

    def stop(self) -> None:
        """The node stops: nobody waits any more, and what is not known stays so."""
        self.stopping = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                _settle(waiter.future, None)
        for _, future in self._uncertified:
            _settle(future, None)
        for barrier in self._barriers.values():
            if not barrier.done():
                barrier.set_result(None)
        self._wake()

    async def heights(self, after: int, *, certified: bool) -> AsyncIterator[int]:
        """Each time there is more than `after`: up to which height."""
        seen = after
        while not self.stopping:
            height = self.certified_height if certified else self.height
            if height > seen:
                seen = height
                yield height
            else:
                if self._changed is None:
                    self._changed = asyncio.Event()
                await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


def _give_up(waiters: Sequence[_Waiter]) -> None:
    for waiter in waiters:
        _settle(waiter.future, None)


def _settle(future: asyncio.Future[Outcome | None], outcome: Outcome | None) -> None:
    if not future.done():
        future.set_result(outcome)
