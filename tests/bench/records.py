"""Workloads a and b: signed records, one a request, by one client and by many.

Each operation is a grant request of about 350 bytes, signed beforehand by the department's own key,
posted as bytes to the department's node and answered once its block is certified.
"""

import asyncio
from collections import deque
from pathlib import Path

from bench.cluster import DAY_MS, NAMES, Nodes, nodes
from bench.drive import drive
from bench.machine import Primitives
from bench.measure import measured
from bench.report import Figure
from bench.settings import Settings
from bench.wire import Connection
from contracts.grants import GrantRequest
from contracts.limits import Limits

DATASET = "benchmarked"


def latency(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """a: one client, one record at a time."""
    return _measure(folder, settings, primitives, name="a", clients=(1,))


def throughput(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """b: 16, 64 and 256 clients, one record a request."""
    return _measure(folder, settings, primitives, name="b", clients=(16, 64, 256))


def _measure(
    folder: Path,
    settings: Settings,
    primitives: Primitives,
    *,
    name: str,
    clients: tuple[int, ...],
) -> list[Figure]:
    figures = []
    with nodes(folder, settings) as cluster:
        publish(cluster)
        for count in clients:
            figures.append(asyncio.run(clients_at(cluster, settings, primitives, name, count)))
    return figures


def publish(cluster: Nodes) -> None:
    """Each department offers a dataset that the others can ask for."""
    for name in cluster.names:
        cluster.cluster[name].client("steward").post(
            "/v1/datasets",
            {
                "name": DATASET,
                "title": "Benchmarked",
                "fields": [{"name": "id_number", "type": "text", "meaning": "number"}],
                "classification": "internal",
                "sharing": "conditional",
            },
        )


def request_of(cluster: Nodes, number: int) -> bytes:
    """A signed grant request of the department that client `number` belongs to."""
    author = cluster.department(number)
    provider = NAMES[(NAMES.index(author) + 1) % len(cluster.names)]
    body = GrantRequest(
        provider=provider,
        dataset=DATASET,
        fields=("id_number",),
        purpose="dpv:ResearchAndDevelopment",
        description="measurement",
        legal_basis="dpv:LegalObligation",
        legal_reference="none",
        valid_from_ms=1_790_000_000_000,
        valid_until_ms=1_790_000_000_000 + 1_000 * DAY_MS,
        limits=Limits(),
        onward=False,
    )
    return cluster.record(author, "grant.request", body)


async def clients_at(
    cluster: Nodes, settings: Settings, primitives: Primitives, name: str, clients: int
) -> Figure:
    """A figure of workload `name`: this many clients, one record a request."""
    connections = [cluster.connection(number) for number in range(clients)]
    expected = max(20_000 // clients, 200)
    stock = [
        deque(request_of(cluster, number) for _ in range(expected // 10))
        for number in range(clients)
    ]

    async def one(number: int) -> int:
        raw = stock[number].popleft() if stock[number] else request_of(cluster, number)
        await post_record(connections[number], raw)
        return 1

    return await measured(
        cluster,
        settings,
        workload=name,
        setting=f"{len(cluster.names)} nodes, {clients} client{'s' if clients > 1 else ''}",
        run=lambda seconds: drive(clients, one, seconds=seconds),
        connections=connections,
        limit_rate=settings.cores * 1e6 / (primitives.check_us * len(cluster.names)),
    )


async def post_record(connection: Connection, raw: bytes) -> None:
    """Posts one signed record; anything but "certified" ends the bench."""
    answer = await connection.request(
        "POST", "/v1/records", raw, content_type="application/octet-stream"
    )
    if answer.status != 201:
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
