"""Clients that work for a while, and how long each of their operations took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """What happened in one measured stretch. times_ms: of each operation, sorted."""

    operations: int
    seconds: float
    times_ms: list[float]

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The time within which `share` (0 to 1) of the operations ended."""
        return self.times_ms[min(int(len(self.times_ms) * share), len(self.times_ms) - 1)]


async def drive(
    clients: int,
    one: Callable[[int], Awaitable[int]],
    *,
    seconds: float,
) -> Run:
    """Lets each client repeat `one(client)` for `seconds`; `one` says how many operations it was.

    An error of a client ends the run and is raised.
    """
    end = time.perf_counter() + seconds
    times_ms: list[float] = []
    operations = 0

    async def client(number: int) -> None:
        nonlocal operations
        while True:
            began = time.perf_counter()
            if began >= end:
                return
            done = await one(number)
            operations += done  # not in one step: others count while this one waits
            times_ms.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    return Run(operations, time.perf_counter() - began, sorted(times_ms))
