"""A thousand exchanges in flight, and more than that: what the limit does; nothing is lost.

Three node processes. So many apps ask at the same moment, each for a row of its own; whoever is
told that too much is under way waits as long as `Retry-After` says and asks again. In the end each
has its row, and the ledger has as many receipts as rows were handed over, each acknowledged.

    PYTHONPATH=tests .venv/bin/python -m bench.in_flight --exchanges 1000 --more 100
"""

import asyncio
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
from founding import found_here

from bench.cluster import NAMES
from bench.exchanges import CONSUMER, PROVIDER, PURPOSE, add_source, ask, offer, until_approved
from bench.wire import Connection
from cli.demo.cluster import Cluster

TIMEOUT_MS = 120_000
SETTLED_S_MAX = 120.0


async def one(app: Connection, grant_id: str, number: int, turned_away: Counter[str]) -> float:
    """Seconds until an app had its row, having been turned away as often as it was."""
    body = {
        "grant_id": grant_id,
        "purpose": PURPOSE,
        "case": f"case {number}",
        "query": {"where": {"number": f"F-{number % 1_000}"}},
    }
    began = time.perf_counter()
    while True:
        path = f"/v1/exchanges?timeout_ms={TIMEOUT_MS}"
        answer = await app.request("POST", path, json.dumps(body).encode())
        if answer.status == 200:
            [row] = answer.json()["rows"]
            assert row[0] == f"F-{number % 1_000}", "an app got another's row"
            return time.perf_counter() - began
        if answer.status != 503 or "retry-after" not in answer.headers:
            raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        turned_away[answer.json()["title"]] += 1
        await asyncio.sleep(int(answer.headers["retry-after"]))


async def measure(cluster: Cluster, count: int) -> None:
    """Lets so many ask at once, and prints what came of it."""
    department = cluster[CONSUMER]
    steward = Connection(department.host, department.http_port, department.tokens["steward"])
    grant_id = await ask(steward, "in flight", rows_max=1_000_000)
    await until_approved(steward, grant_id, poll_s=0.01)
    apps = [
        Connection(department.host, department.http_port, department.tokens["app"])
        for _ in range(count)
    ]
    turned_away: Counter[str] = Counter()
    began = time.perf_counter()
    asking = [one(app, grant_id, number, turned_away) for number, app in enumerate(apps)]
    times = sorted(await asyncio.gather(*asking))
    lasted = time.perf_counter() - began
    steward.close()  # idle for longer than the node keeps a connection
    async with asyncio.timeout(SETTLED_S_MAX):
        while True:
            shown = (await steward.request("GET", f"/v1/grants/{grant_id}")).json()
            if shown["acknowledged"] == shown["exchanges"] == count:
                break
            await asyncio.sleep(0.1)
    middle, last = times[count // 2], times[-1]
    print(f"{count} rows in {lasted:.1f} s; median {middle:.1f} s, last {last:.1f} s")
    print(f"turned away {dict(turned_away)}")
    print(f"{shown['exchanges']} receipts, {shown['voided']} voided, {shown['denied']} denied")
    for connection in (steward, *apps):
        connection.close()


@click.command()
@click.option("--exchanges", default=1_000, help="Exchanges in flight, the nodes' limit.")
@click.option("--more", default=100, help="How many ask beyond that.")
def main(exchanges: int, more: int) -> None:
    """Runs it on a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        cluster = Cluster(Path(folder), {name: f"Bureau of {name.title()}" for name in NAMES[:3]})
        try:
            found_here(cluster)
            add_source(cluster)
            for name in (PROVIDER, CONSUMER):
                with (cluster[name].folder / "node.toml").open("a", encoding="utf-8") as file:
                    file.write(f"\n[limits]\nexchanges_in_flight_max = {exchanges}\n")
            cluster.start()
            offer(cluster)
            asyncio.run(measure(cluster, exchanges + more))
        finally:
            cluster.close()


if __name__ == "__main__":
    main()
