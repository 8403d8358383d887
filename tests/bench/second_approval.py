"""Request, automatic approval, first data: how long an app waits for all of it.

Three node processes. One department offers a table under a Cedar policy; the steward of another
asks for a grant, waits until its own node knows the approval, and its app gets one row under it.
One after the other, each time with a new grant.

    PYTHONPATH=tests .venv/bin/python -m bench.second_approval --requests 100
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import click

from bench.cluster import NAMES
from bench.exchanges import CONSUMER, POLL_S, add_source, ask, exchange, offer, until_approved
from bench.wire import Connection
from cli.demo.cluster import Cluster


async def once(steward: Connection, app: Connection, number: int) -> tuple[float, float, float]:
    """Milliseconds of the request, of the approval, and of the exchange."""
    began = time.perf_counter()
    grant_id = await ask(steward, f"measurement {number}", rows_max=10)
    requested = time.perf_counter()
    await until_approved(steward, grant_id, poll_s=POLL_S)
    approved = time.perf_counter()
    await exchange(app, grant_id, number)
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
            cluster.found()
            add_source(cluster)
            cluster.start()
            offer(cluster)
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
