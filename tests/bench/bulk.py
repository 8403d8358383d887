"""Workloads c and d: many signed records in a request, and bulk receipts.

c: clients that each post requests of 1,000 individually signed grant requests. An operation is a
record. d: one stream of receipts at the provider's node, under one grant. An operation is a
receipt; the stream's answer comes once all of them are certified.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.cluster import DAY_MS, Nodes, nodes
from bench.drive import drive
from bench.machine import Primitives
from bench.measure import measured
from bench.records import DATASET, publish, request_of
from bench.report import Figure
from bench.settings import Settings
from bench.wire import Connection
from node.http.batches import MSGPACK, RECORDS_MAX

STREAM_RECEIPTS = 40_000
"""Receipts in one stream."""

PROVIDER = 1
"""Number of the department that provides under the grant of `granted`."""


def signed_records(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """c: requests of 1,000 signed records, one client at each node."""
    with nodes(folder, settings) as cluster:
        publish(cluster)
        return [asyncio.run(_batches(cluster, settings, primitives))]


async def _batches(cluster: Nodes, settings: Settings, primitives: Primitives) -> Figure:
    clients = len(cluster.names)
    connections = [cluster.connection(number) for number in range(clients)]
    stock = [deque(batch(cluster, number) for _ in range(3)) for number in range(clients)]

    async def one(number: int) -> int:
        body = stock[number].popleft() if stock[number] else batch(cluster, number)
        await post_batch(connections[number], body)
        return RECORDS_MAX

    def refill() -> None:
        for number in range(clients):
            while len(stock[number]) < settings.seconds * 4:
                stock[number].append(batch(cluster, number))

    return await measured(
        cluster,
        settings,
        workload="c",
        setting=f"{clients} nodes, {clients} clients, {RECORDS_MAX:,} a request",
        run=lambda seconds: drive(clients, one, seconds=seconds),
        before_run=refill,
        connections=connections,
        limit_rate=settings.cores * 1e6 / (primitives.check_us * clients),
    )


async def post_batch(connection: Connection, body: bytes) -> None:
    """Posts a request of signed records; anything but all of them accepted ends the bench."""
    answer = await connection.request("POST", "/v1/records/batch", body, content_type=MSGPACK)
    if answer.status != 200 or answer.json()["accepted"] != RECORDS_MAX:
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")


def batch(cluster: Nodes, number: int) -> bytes:
    """A request's body: RECORDS_MAX signed grant requests of client `number`'s department."""
    return msgspec.msgpack.encode([request_of(cluster, number) for _ in range(RECORDS_MAX)])


def receipts(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """d: one stream of bulk receipts as MessagePack."""
    with nodes(folder, settings) as cluster:
        publish(cluster)
        grant_id = granted(cluster)
        return [asyncio.run(_streams(cluster, settings, grant_id))]


def granted(cluster: Nodes) -> str:
    """A grant of the second department's dataset to the first; the second is the provider."""
    consumer, provider = (cluster.cluster[name].client("steward") for name in cluster.names[:2])
    now_ms = time.time_ns() // 1_000_000
    asked = consumer.post(
        "/v1/grants",
        {
            "provider": cluster.names[1],
            "dataset": DATASET,
            "fields": ["id_number"],
            "purpose": "dpv:ResearchAndDevelopment",
            "description": "measurement",
            "legal_basis": "dpv:LegalObligation",
            "legal_reference": "none",
            "valid_from_ms": now_ms - 60_000,
            "valid_until_ms": now_ms + 300 * DAY_MS,
        },
    )
    grant_id: str = asked["record_id"]
    provider.post(f"/v1/grants/{grant_id}/approve", {})
    return grant_id


async def post_receipts(cluster: Nodes, grant_id: str, count: int) -> None:
    """Adds at least so many bulk receipts, stream after stream."""
    connection = cluster.connection(PROVIDER)
    for _ in range(-(-count // STREAM_RECEIPTS)):
        await post_stream(connection, stream(grant_id))
    connection.close()


async def _streams(cluster: Nodes, settings: Settings, grant_id: str) -> Figure:
    connection = cluster.connection(PROVIDER)
    streams = deque([stream(grant_id)])

    async def one(_number: int) -> int:
        await post_stream(connection, streams.popleft() if streams else stream(grant_id))
        return STREAM_RECEIPTS

    return await measured(
        cluster,
        settings,
        workload="d",
        setting=f"{len(cluster.names)} nodes, one stream",
        run=lambda seconds: drive(1, one, seconds=seconds),
        before_run=_refill(streams, grant_id, settings),
        connections=[connection],
    )


async def post_stream(connection: Connection, body: bytes) -> None:
    """Posts a stream of receipts; anything but all of them certified ends the bench."""
    answer = await connection.request(
        "POST", "/v1/bulk/receipts", body, content_type="application/msgpack"
    )
    if answer.status != 200 or answer.json()["accepted"] != STREAM_RECEIPTS:
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")


def _refill(streams: deque[bytes], grant_id: str, settings: Settings) -> Callable[[], None]:
    def refill() -> None:
        while len(streams) < max(2, int(settings.seconds)):
            streams.append(stream(grant_id))

    return refill


def stream(grant_id: str) -> bytes:
    """STREAM_RECEIPTS receipts under a grant, as a request's body."""
    entries = []
    for _ in range(STREAM_RECEIPTS):
        drawn = os.urandom(16).hex()
        entries.append(
            msgspec.msgpack.encode(
                {
                    "exchange_id": drawn + drawn,
                    "grant_id": grant_id,
                    "request": drawn[::-1] + drawn,
                    "response": drawn + drawn[::-1],
                    "case": drawn * 2,
                    "rows": 3,
                    "size_bytes": 500,
                }
            )
        )
    return b"".join(entries)
