"""Nothing personal is left on any node's disk: planted strings and their digests are not found.

Two real nodes exchange rows about planted people, under planted case numbers and queries; then both
stop, and all that they wrote is searched (`planted`). The source itself, which the department keeps
beside its node, is not the node's. The disks of the demonstration are searched by `test_demo.py`.
"""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

from planted import betrayed, written

from cli.demo.cluster import free_ports
from contracts.grants import grant
from node.config import load_config
from node.dev import _found, _sample
from node.exchange.consumer import Wanted
from node.server import running

PEOPLE = 65
PLANTED = tuple(
    text.format(number)
    for number in range(PEOPLE)
    for text in ("PLANT-{:05}", "Planted Person {:05}", "planted case {:05}")
) + ("planted clerk one", "planted clerk two", "1987-06-05", "planted address 7", "PLANT-unasked")

SOURCE = "residents.db"


def test_no_planted_string_and_no_digest_of_one_is_on_a_nodes_disk(tmp_path: Path) -> None:
    names = ("registry", "service-desk")

    async def play() -> None:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            registry, desk = [
                await stack.enter_async_context(running(load_config(tmp_path / name / "node.toml")))
                for name in names
            ]
            grant_id = bytes.fromhex(await _sample([registry, desk]))

            async def one(number: int) -> None:
                wanted = Wanted(
                    grant_id,
                    "dpv:ResearchAndDevelopment",
                    f"planted case {number:05}",
                    {"where": {"id_number": f"PLANT-{number:05}"}},
                    None,
                    "app",
                )
                received = await desk.consumer.exchange(wanted, timeout_s=60.0)
                with closing(received):
                    [row] = received.answer().rows
                assert row == (f"PLANT-{number:05}", f"Planted Person {number:05}", True)

            await asyncio.gather(*(one(number) for number in range(PEOPLE)))
            async for _ in desk.node.events.heights(-1, certified=True):
                known = grant(desk.node.view(), grant_id)
                if known is not None and known.acknowledged == PEOPLE:
                    return

    port = free_ports(3)[0]
    _found(tmp_path, names, f"127.0.0.1:{port}")
    with closing(sqlite3.connect(tmp_path / "registry" / SOURCE)) as db, db:
        db.executemany(
            "INSERT INTO residents VALUES (?, ?, '1987-06-05', 1)",
            [(f"PLANT-{number:05}", f"Planted Person {number:05}") for number in range(PEOPLE)],
        )
    asyncio.run(play())
    assert len(PLANTED) == 200
    searched = 0
    for name in names:
        size, found = betrayed(written(tmp_path / name, without=[SOURCE]), PLANTED)
        assert found == []
        searched += size
    assert searched > 100_000
    assert PLANTED[0].encode() in (tmp_path / "registry" / SOURCE).read_bytes()
