"""Entries of the vault that gather."""

import asyncio
import threading
from collections.abc import Mapping

import pytest

from node.exchange.keeping import Keeper


class Writes:
    """What was written, in order; the first write waits until it may."""

    def __init__(self, *, failing: bool = False) -> None:
        self.done: list[dict[bytes, int]] = []
        self.may = threading.Event()
        self.began = threading.Event()
        self._failing = failing

    def write(self, entries: Mapping[bytes, int]) -> None:
        self.began.set()
        self.may.wait(10)
        if self._failing:
            raise OSError("the disk is full")
        self.done.append(dict(entries))


def test_entries_gather_while_a_write_is_under_way() -> None:
    async def scene() -> None:
        writes = Writes()
        keeper: Keeper[int] = Keeper(writes.write)
        first = keeper.keep(b"1", 1)
        await asyncio.to_thread(writes.began.wait, 10)
        others = [keeper.keep(b"2", 2), keeper.keep(b"3", 3)]
        assert not first.done() and writes.done == []
        writes.may.set()
        await asyncio.gather(first, *others)
        assert writes.done == [{b"1": 1}, {b"2": 2, b"3": 3}]
        await keeper.keep(b"4", 4)
        assert writes.done[2:] == [{b"4": 4}]

    asyncio.run(scene())


def test_whoever_stops_waiting_takes_no_entry_with_it() -> None:
    async def scene() -> None:
        writes = Writes()
        keeper: Keeper[int] = Keeper(writes.write)
        gone, stays = keeper.keep(b"1", 1), keeper.keep(b"2", 2)
        gone.cancel()
        writes.may.set()
        await stays
        assert writes.done == [{b"1": 1, b"2": 2}]

    asyncio.run(scene())


def test_a_failed_write_fails_for_each_of_its_exchanges_and_the_next_goes_on() -> None:
    async def scene() -> None:
        writes = Writes(failing=True)
        writes.may.set()
        keeper: Keeper[int] = Keeper(writes.write)
        for kept in (keeper.keep(b"1", 1), keeper.keep(b"2", 2)):
            with pytest.raises(OSError, match="full"):
                await kept
        with pytest.raises(OSError, match="full"):
            await keeper.keep(b"3", 3)

    asyncio.run(scene())
