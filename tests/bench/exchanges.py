"""Workloads e and f: governed exchanges, and grants that a policy approves.

e: an app asks its own node for one row of another department's table (SQL) under a grant; the
answer comes once the receipt is certified and checked, and is acknowledged on the ledger
afterwards. Beside it the same query made directly, by a program that has the table at hand. f: a
steward asks for a grant, a policy of the provider's node approves it, and the steward's own node
says that it lets data through; `bench.second_approval` goes on to the first data.
"""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bench.cluster import DAY_MS, NAMES, Nodes, nodes
from bench.drive import drive
from bench.machine import Primitives
from bench.measure import measured
from bench.report import Figure, summary
from bench.settings import Settings
from bench.wire import Connection
from cli.demo.cluster import Cluster

PROVIDER, CONSUMER = NAMES[:2]
ROWS = 1_000
PURPOSE = "dpv:ResearchAndDevelopment"
POLICY = '@id("few") permit(principal, action, resource) when { context.rows_max > 0 };'
POLL_S = 0.002
"""Between two questions whether a grant is approved, for each that waits."""

APPROVAL_S_MAX = 60.0

COUNTS = (1, 64)
"""Exchanges in flight."""


def add_source(cluster: Cluster) -> None:
    """The provider's table, before its node starts."""
    source = cluster[PROVIDER].folder / "flats.db"
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("CREATE TABLE flats (number TEXT PRIMARY KEY, rooms TEXT)")
        rows = [(f"F-{number}", "3") for number in range(ROWS)]
        database.executemany("INSERT INTO flats VALUES (?, ?)", rows)
    settings = {"kind": "sql", "dataset": "flats", "url": "sqlite:///flats.db", "table": "flats"}
    cluster.configure(PROVIDER, settings)


def offer(cluster: Cluster) -> None:
    """The table as a dataset, under a policy that approves whoever asks for some rows."""
    steward = cluster[PROVIDER].client("steward")
    fields = [{"name": name, "type": "text", "meaning": name} for name in ("number", "rooms")]
    described = {"name": "flats", "title": "Flats", "fields": fields}
    described |= {"classification": "internal", "sharing": "conditional"}
    steward.post("/v1/datasets", described)
    steward.post("/v1/policies/flats", {"policy": POLICY})


async def ask(steward: Connection, description: str, *, rows_max: int) -> str:
    """Asks for a grant; its id, once this node has executed the request."""
    now_ms = time.time_ns() // 1_000_000
    wanted = {
        "provider": PROVIDER,
        "dataset": "flats",
        "fields": ["number", "rooms"],
        "purpose": PURPOSE,
        "description": description,
        "legal_basis": "dpv:LegalObligation",
        "valid_from_ms": now_ms - 60_000,
        "valid_until_ms": now_ms + DAY_MS,
        "limits": {"rows_max": rows_max},
    }
    asked = await steward.request("POST", "/v1/grants?wait=committed", json.dumps(wanted).encode())
    if asked.status != 201:
        raise RuntimeError(f"{asked.status}: {asked.body[:300]!r}")
    grant_id: str = asked.json()["record_id"]
    return grant_id


async def until_approved(steward: Connection, grant_id: str, *, poll_s: float) -> None:
    """Until this node lets exchanges through under the grant. Raises TimeoutError."""
    async with asyncio.timeout(APPROVAL_S_MAX):
        while True:
            shown = await steward.request("GET", f"/v1/grants/{grant_id}")
            if shown.json()["lets_through"]:
                return
            await asyncio.sleep(poll_s)


async def exchange(app: Connection, grant_id: str, number: int) -> None:
    """One row under a grant; anything else ends the bench."""
    body = {
        "grant_id": grant_id,
        "purpose": PURPOSE,
        "case": "bench",
        "query": {"where": {"number": f"F-{number % ROWS}"}},
    }
    answer = await app.request("POST", "/v1/exchanges", json.dumps(body).encode())
    if answer.status != 200 or len(answer.json()["rows"]) != 1:
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")


def exchanges(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """e: whole governed exchanges, 1 and 64 in flight, and the same query made directly."""
    with nodes(folder, settings, before_start=add_source) as cluster:
        offer(cluster.cluster)
        grant_id = asyncio.run(_granted(cluster))
        figures = [_directly(cluster.cluster[PROVIDER].folder / "flats.db", settings)]
        for count in COUNTS:
            figures.append(asyncio.run(_at(cluster, settings, primitives, grant_id, count)))
    return figures


async def _granted(cluster: Nodes) -> str:
    steward = connection(cluster, "steward")
    grant_id = await ask(steward, "measurement", rows_max=1_000_000_000)
    await until_approved(steward, grant_id, poll_s=POLL_S)
    steward.close()
    return grant_id


def connection(cluster: Nodes, role: str) -> Connection:
    """A connection to the consumer's node."""
    return cluster.connection(cluster.names.index(CONSUMER), role)


def _directly(source: Path, settings: Settings) -> Figure:
    with closing(sqlite3.connect(source)) as database:

        async def one(_: int) -> int:
            wanted = f"F-{time.perf_counter_ns() % ROWS}"
            query = "SELECT number, rooms FROM flats WHERE number = ?"
            if len(database.execute(query, (wanted,)).fetchall()) != 1:
                raise RuntimeError(f"no row {wanted}")
            return 1

        run = asyncio.run(drive(1, one, seconds=1.0))
    return Figure("e", "the same query, directly", **summary([run]))


async def _at(
    cluster: Nodes, settings: Settings, primitives: Primitives, grant_id: str, count: int
) -> Figure:
    apps = [connection(cluster, "app") for _ in range(count)]

    async def one(number: int) -> int:
        await exchange(apps[number], grant_id, time.perf_counter_ns())
        return 1

    return await measured(
        cluster,
        settings,
        workload="e",
        setting=f"{len(cluster.names)} nodes, {count} in flight",
        run=lambda seconds: drive(count, one, seconds=seconds),
        connections=apps,
        limit_rate=settings.cores * 1e6 / (primitives.check_us + primitives.sign_us),
    )


def approvals(folder: Path, settings: Settings, primitives: Primitives) -> list[Figure]:
    """f: from a request to the grant that a policy approved, 1 and 16 at once."""
    with nodes(folder, settings, before_start=add_source) as cluster:
        offer(cluster.cluster)
        return [asyncio.run(_approved(cluster, settings, primitives, count)) for count in (1, 16)]


async def _approved(
    cluster: Nodes, settings: Settings, primitives: Primitives, count: int
) -> Figure:
    stewards = [connection(cluster, "steward") for _ in range(count)]

    async def one(number: int) -> int:
        grant_id = await ask(stewards[number], f"measurement {time.perf_counter_ns()}", rows_max=10)
        await until_approved(stewards[number], grant_id, poll_s=POLL_S * count)
        return 1

    checks_us = 2 * primitives.check_us * len(cluster.names) + 2 * primitives.sign_us
    return await measured(
        cluster,
        settings,
        workload="f",
        setting=f"{len(cluster.names)} nodes, {count} at once",
        run=lambda seconds: drive(count, one, seconds=seconds),
        connections=stewards,
        limit_rate=settings.cores * 1e6 / checks_us,
    )
