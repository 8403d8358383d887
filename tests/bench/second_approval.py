"""Request, automatic approval, first data: how long an app waits for all of it.

Three node processes. One department offers a table under a Cedar policy; the steward of another
asks for a grant, waits until its own node knows the approval, and its app gets one row under it.
One after the other, each time with a new grant.

    PYTHONPATH=tests .venv/bin/python -m bench.second_approval --requests 100
"""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click

from bench.cluster import DAY_MS, NAMES
from bench.wire import Connection
from cli.demo.cluster import Cluster

PROVIDER, CONSUMER = NAMES[:2]
POLICY = '@id("few") permit(principal, action, resource) when { context.rows_max > 0 };'
POLL_S = 0.002


def prepare(cluster: Cluster) -> None:
    """The provider's table and its policy."""
    cluster.found()
    source = cluster[PROVIDER].folder / "flats.db"
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("CREATE TABLE flats (number, rooms)")
        database.executemany(
            "INSERT INTO flats VALUES (?, ?)", [(f"F-{number}", "3") for number in range(1_000)]
        )
    settings = {"kind": "sql", "dataset": "flats", "url": "sqlite:///flats.db", "table": "flats"}
    cluster.configure(PROVIDER, settings)
    cluster.start()
    steward = cluster[PROVIDER].client("steward")
    fields = [{"name": name, "type": "text", "meaning": name} for name in ("number", "rooms")]
    offer = {"name": "flats", "title": "Flats", "fields": fields}
    steward.post("/v1/datasets", offer | {"classification": "internal", "sharing": "conditional"})
    steward.post("/v1/policies/flats", {"policy": POLICY})


async def once(steward: Connection, app: Connection, number: int) -> tuple[float, float, float]:
    """Milliseconds of the request, of the approval, and of the exchange."""
    now_ms = time.time_ns() // 1_000_000
    wanted = {
        "provider": PROVIDER,
        "dataset": "flats",
        "fields": ["number", "rooms"],
        "purpose": "dpv:ResearchAndDevelopment",
        "description": f"measurement {number}",
        "legal_basis": "dpv:LegalObligation",
        "valid_from_ms": now_ms - 60_000,
        "valid_until_ms": now_ms + DAY_MS,
        "limits": {"rows_max": 10},
    }
    began = time.perf_counter()
    asked = await steward.request("POST", "/v1/grants?wait=committed", json.dumps(wanted).encode())
    assert asked.status == 201, asked.body
    grant_id = asked.json()["record_id"]
    requested = time.perf_counter()
    while True:
        shown = await steward.request("GET", f"/v1/grants/{grant_id}")
        if shown.json()["lets_through"]:
            break
        await asyncio.sleep(POLL_S)
    approved = time.perf_counter()
    body = {
        "grant_id": grant_id,
        "purpose": wanted["purpose"],
        "case": "bench",
        "query": {"where": {"number": f"F-{number % 1_000}"}},
    }
    answer = await app.request("POST", "/v1/exchanges", json.dumps(body).encode())
    assert answer.status == 200 and len(answer.json()["rows"]) == 1, answer.body
    done = time.perf_counter()
    parts = (requested - began, approved - requested, done - approved)
    return parts[0] * 1_000, parts[1] * 1_000, parts[2] * 1_000


async def measure(cluster: Cluster, requests: int) -> list[tuple[float, float, float]]:
    """Every round's times, after ten that do not count."""
    department = cluster[CONSUMER]
    steward, app = (
        Connection(department.host, department.http_port, department.tokens[role])
        for role in ("steward", "app")
    )
    rounds = [await once(steward, app, number) for number in range(requests + 10)]
    steward.close()
    app.close()
    return rounds[10:]


@click.command()
@click.option("--requests", default=100, help="How many grants.")
def main(requests: int) -> None:
    """Measures and prints medians and the 99th percentile."""
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        cluster = Cluster(Path(folder), {name: f"Bureau of {name.title()}" for name in NAMES[:3]})
        try:
            prepare(cluster)
            rounds = asyncio.run(measure(cluster, requests))
        finally:
            cluster.close()
    columns = [*zip(*rounds, strict=True), [sum(each) for each in rounds]]
    for name, values in zip(("request", "approval", "exchange", "all"), columns, strict=True):
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        print(f"{name:9} median {statistics.median(ordered):6.1f} ms   p99 {p99:6.1f} ms")


if __name__ == "__main__":
    main()
