"""Workloads j and k: the same work on longer ledgers, and with more nodes.

j: one cluster's ledger grows to the sizes of the settings, by requests of 1,000 signed records, and
then by bulk receipts. At each size: 64 clients, reads by id, proofs, how much a node holds, and how
long a follower's restart takes.
k: one client and 64 clients at 3, 5 and 7 nodes, all of them voters.
"""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from bench import bulk, ledgers, records
from bench.cluster import Nodes, nodes
from bench.drive import Run, drive
from bench.machine import Primitives
from bench.measure import measured
from bench.report import Figure, summary
from bench.settings import Settings
from ledger.records import parse_record
from node.http.batches import RECORDS_MAX

CLIENTS = 64

RUNS = 3
"""Counted runs at each size, at most: most of the time goes into growing."""


def growth(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """j: 64 clients, reads and proofs on ledgers of growing length."""
    figures: list[Figure] = []
    with nodes(folder, settings) as cluster:
        records.publish(cluster)
        grant_id = bulk.granted(cluster)
        written = 0
        for size in settings.sizes:
            figures.append(asyncio.run(_fill(cluster, size - written)))
            written = size
            figures += _at(cluster, settings, primitives, f"{size:,} records")
        receipts = 0
        for size in settings.receipts:
            figures.append(asyncio.run(_fill_receipts(cluster, grant_id, size - receipts)))
            receipts = size
            what = f"{written:,} records and {size:,} receipts"
            figures += _at(cluster, settings, primitives, what)
    return figures


async def _fill(cluster: Nodes, count: int) -> Figure:
    """Adds signed records through all nodes at once."""
    clients = len(cluster.names)
    left = -(-count // RECORDS_MAX)
    connections = [cluster.connection(number) for number in range(clients)]

    async def client(number: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await bulk.post_batch(connections[number], bulk.batch(cluster, number))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    run = Run(count, seconds, [seconds * 1e3])
    return Figure("j", f"adding {count:,} signed records", **summary([run]))


async def _fill_receipts(cluster: Nodes, grant_id: str, count: int) -> Figure:
    began = time.perf_counter()
    await bulk.post_receipts(cluster, grant_id, count)
    seconds = time.perf_counter() - began
    run = Run(count, seconds, [seconds * 1e3])
    return Figure("j", f"adding {count:,} receipts", **summary([run]))


def _at(cluster: Nodes, settings: Settings, primitives: Primitives, what: str) -> list[Figure]:
    settings = replace(settings, runs=min(settings.runs, RUNS))
    found = asyncio.run(_used(cluster, settings, primitives, what))
    leader = cluster.cluster.leader().name
    follower = next(name for name in cluster.names if name != leader)
    ready_s = ledgers.restarted(cluster, cluster.cluster[follower])
    return [*found, ledgers.taken("j", f"{what}: restart", 1, ready_s)]


async def _used(
    cluster: Nodes, settings: Settings, primitives: Primitives, what: str
) -> list[Figure]:
    held = f"{cluster.stored_bytes() / 1e6:,.0f} MB stored a node"
    busy = await records.clients_at(cluster, settings, primitives, "j", CLIENTS)
    found = [replace(busy, setting=f"{what}: {CLIENTS} clients", notes=held)]
    raws = [records.request_of(cluster, 0) for _ in range(100)]
    connection = cluster.connection(0)
    for raw in raws:
        await records.post_record(connection, raw)
    ids = [parse_record(raw).record_id.hex() for raw in raws]
    for name, path in (("a read by id", "/v1/records/{}"), ("a proof", "/v1/records/{}/receipt")):
        number = 0

        async def one(_: int, path: str = path) -> int:
            nonlocal number
            number += 1
            answer = await connection.request("GET", path.format(ids[number % len(ids)]))
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
            return 1

        figure = await measured(
            cluster,
            replace(settings, runs=1, warm_up_s=0.2, seconds=min(settings.seconds, 3.0)),
            workload="j",
            setting=f"{what}: {name}",
            run=lambda seconds, one=one: drive(1, one, seconds=seconds),
            connections=[],
        )
        found.append(replace(figure, syncs_per_s=None))
    connection.close()
    return found


def sizes(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """k: 3, 5 and 7 nodes, with one client and with 64."""
    figures = []
    for count in (3, 5, 7):
        with nodes(folder / f"k-{count}", replace(settings, nodes=count)) as cluster:
            records.publish(cluster)
            for clients in (1, CLIENTS):
                figures.append(
                    asyncio.run(records.clients_at(cluster, settings, primitives, "k", clients))
                )
    return figures
