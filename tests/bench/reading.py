"""Workload g: reads, proofs and event streams while clients write.

`WRITERS` clients post signed records one a request, all the time. Beside them `READERS` clients ask
for records by their ids, or for proofs (COSE receipts) that they are in the certified tree, or hold
event streams open; a stream's operation is a record, its time that from being posted to being read.
The writers' own figure is that beside the last of these.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from bench.cluster import Nodes, nodes
from bench.drive import Run, drive
from bench.machine import Primitives
from bench.measure import measured
from bench.records import post_record, publish, request_of
from bench.report import Figure, summary
from bench.settings import Settings
from contracts.machine import candidate

WRITERS, READERS = 16, 8

LAG = 20 * WRITERS
"""The newest records, which another node than the writer's may not hold certified yet."""


class Beside:
    """Writers, and what they wrote. posted: when each record was sent, by its id in hexadecimal.

    known: ids of certified records, in order.
    """

    def __init__(self, cluster: Nodes) -> None:
        self.posted: dict[str, float] = {}
        self.known: list[str] = []
        self.runs: list[Run] = []
        self._cluster = cluster
        self.connections = [cluster.connection(number) for number in range(WRITERS)]

    async def write(self, number: int) -> int:
        """One record of a writer."""
        raw = request_of(self._cluster, number)
        record = candidate(raw).record
        assert record is not None, "it was made by the rules"
        record_id = record.record_id.hex()
        self.posted[record_id] = time.perf_counter()
        await post_record(self.connections[number], raw)
        self.known.append(record_id)
        return 1

    async def run(self, seconds: float, reads: Awaitable[Run]) -> Run:
        """Writers and readers at once; the readers' run."""
        mine, theirs = await asyncio.gather(drive(WRITERS, self.write, seconds=seconds), reads)
        self.runs.append(mine)
        return theirs


def reads(folder: Path, settings: Settings, _primitives: Primitives) -> list[Figure]:
    """g: reads, proofs and event streams beside 16 clients that write."""
    with nodes(folder, settings) as cluster:
        publish(cluster)
        return asyncio.run(_all(cluster, settings))


async def _all(cluster: Nodes, settings: Settings) -> list[Figure]:
    beside = Beside(cluster)
    await drive(WRITERS, beside.write, seconds=settings.warm_up_s)
    figures = []
    for what, path in (("records by id", "/v1/records/{}"), ("proofs", "/v1/records/{}/receipt")):
        figures.append(await _asked(cluster, settings, beside, what, path))
    figures.append(await _streamed(cluster, settings, beside))
    counted = beside.runs[-settings.runs :]
    figures.append(Figure("g", f"{WRITERS} writers beside the streams", **summary(counted)))
    for connection in beside.connections:
        connection.close()
    return figures


async def _asked(
    cluster: Nodes, settings: Settings, beside: Beside, what: str, path: str
) -> Figure:
    readers = [cluster.connection(number) for number in range(READERS)]
    place = 0

    async def one(number: int) -> int:
        nonlocal place
        place = (place + 7_919) % max(1, len(beside.known) - LAG)
        answer = await readers[number].request("GET", path.format(beside.known[place]))
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        return 1

    return await _beside(
        cluster,
        settings,
        beside,
        what,
        lambda seconds: drive(READERS, one, seconds=seconds),
        [reader.close for reader in readers],
    )


async def _streamed(cluster: Nodes, settings: Settings, beside: Beside) -> Figure:
    return await _beside(
        cluster,
        settings,
        beside,
        "event streams",
        lambda seconds: _follow(cluster, beside, seconds),
        [],
    )


async def _beside(
    cluster: Nodes,
    settings: Settings,
    beside: Beside,
    what: str,
    reading: Callable[[float], Awaitable[Run]],
    closers: list[Callable[[], None]],
) -> Figure:
    figure = await measured(
        cluster,
        settings,
        workload="g",
        setting=f"{READERS} readers, {what}, {WRITERS} writers beside",
        run=lambda seconds: beside.run(seconds, reading(seconds)),
        connections=[],
    )
    for close in closers:
        close()
    # The nodes' work is for both, and cannot be told apart.
    return replace(
        figure,
        cpu_s_per_1000=None,
        disk_bytes_per_operation=None,
        wire_bytes_per_operation=None,
    )


async def _follow(cluster: Nodes, beside: Beside, seconds: float) -> Run:
    """Holds a stream at each reader for `seconds`; what came of what was posted meanwhile."""
    times_ms: list[float] = []
    began = time.perf_counter()

    async def follow(number: int) -> None:
        connection = cluster.connection(number)
        height = (await connection.request("GET", "/v1/status")).json()["height"]
        try:
            async with asyncio.timeout(seconds):
                async for line in connection.lines(f"/v1/events?after_height={height}"):
                    if line.startswith(b"data: "):
                        posted = beside.posted.get(json.loads(line[6:])["record_id"], 0.0)
                        if posted >= began:
                            times_ms.append((time.perf_counter() - posted) * 1e3)
        except TimeoutError:
            pass  # the run is over
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(follow(number))
    return Run(len(times_ms), time.perf_counter() - began, sorted(times_ms))
