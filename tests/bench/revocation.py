"""How long after a revocation data still comes, with the provider stopped and cut short on the way.

A provider's and an approver's node as processes, the consumer's in this one, so that each chunk's
arrival is seen. In every round a large result streams under a grant of its own; the approver's
steward revokes it in the middle, while the provider's process is stopped (SIGSTOP) for a moment
around that. Counted from when the consumer's node first holds the revocation certified until the
last chunk arrives; what the provider wrote before may still be under way in buffers.

    PYTHONPATH=tests .venv/bin/python -m bench.revocation --rounds 10
"""

import asyncio
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bench.cluster import DAY_MS, NAMES
from cli.demo.cluster import Cluster
from contracts.grants import GrantRequest, grant
from contracts.limits import Limits
from node.config import load_config
from node.dev import _put
from node.exchange.consumer import ExchangeRefused, Wanted
from node.server import running
from node.service import Service

PROVIDER, APPROVER, CONSUMER = NAMES[:3]
ROWS, ROW_BYTES = 3_000, 8_192
LIMITS = "\n[limits]\nresult_rows_max = 1000000\nresult_bytes_max = 1000000000\n"
PURPOSE = "dpv:ResearchAndDevelopment"


def prepare(cluster: Cluster) -> None:
    """The provider's table, offered; both processes run, the consumer's does not."""
    cluster.found()
    source = cluster[PROVIDER].folder / "flats.db"
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("CREATE TABLE flats (number)")
        database.executemany(
            "INSERT INTO flats VALUES (?)", ((f"{n}".zfill(ROW_BYTES),) for n in range(ROWS))
        )
    settings = {"kind": "sql", "dataset": "flats", "url": "sqlite:///flats.db", "table": "flats"}
    cluster.configure(PROVIDER, settings)
    for name in (PROVIDER, CONSUMER):
        with (cluster[name].folder / "node.toml").open("a", encoding="utf-8") as file:
            file.write(LIMITS)
    for name in (PROVIDER, APPROVER):
        cluster[name].start()
    for name in (PROVIDER, APPROVER):
        cluster.wait_ready(cluster[name])
    fields = [{"name": "number", "type": "text", "meaning": "number"}]
    offer = {"name": "flats", "title": "Flats", "fields": fields, "co_approvers": [APPROVER]}
    offer |= {"classification": "internal", "sharing": "conditional"}
    cluster[PROVIDER].client("steward").post("/v1/datasets", offer)


class Watched:
    """The consumer's network; arrivals: when each chunk of the last call came."""

    def __init__(self, service: Service) -> None:
        network = service.node.network
        assert network is not None
        self._call = network.call
        self.arrivals: list[float] = []
        network.call = self.call  # type: ignore[method-assign,assignment]

    async def call(self, *given: Any, **named: Any) -> AsyncIterator[bytes]:
        """The network's own call, noted."""
        async for chunk in self._call(*given, **named):
            self.arrivals.append(time.monotonic())
            yield chunk


async def granted(cluster: Cluster, service: Service, number: int) -> bytes:
    """A grant that both deciders have approved, as the consumer's node knows."""
    now_ms = service.node.clock.now_ms()
    body = GrantRequest(
        provider=PROVIDER,
        dataset="flats",
        fields=("number",),
        purpose=PURPOSE,
        description=f"round {number}",
        legal_basis="dpv:LegalObligation",
        legal_reference="",
        valid_from_ms=now_ms - 60_000,
        valid_until_ms=now_ms + DAY_MS,
        limits=Limits(),
        onward=False,
    )
    grant_id = await _put(service, "grant.request", body, f"request {number}")
    for name in (PROVIDER, APPROVER):
        steward = cluster[name].client("steward")
        await asyncio.to_thread(steward.post, f"/v1/grants/{grant_id.hex()}/approve")
    await until(service, grant_id, "approved")
    return grant_id


async def until(service: Service, grant_id: bytes, status: str) -> float:
    """When the consumer's node first holds that status certified, by the monotonic clock."""
    async for _ in service.node.events.heights(-1, certified=True):
        known = grant(service.node.view(), grant_id)
        if known is None or known.status != status:
            continue
        if known.decided.height <= service.node.events.certified_height:
            return time.monotonic()
    raise AssertionError("the node stopped")


async def one(
    cluster: Cluster, service: Service, watched: Watched, number: int, pause_s_max: float
) -> float:
    """One round: milliseconds from the certificate to the last chunk, 0 if none came later."""
    chance = random.Random(number)
    grant_id = await granted(cluster, service, number)
    watched.arrivals.clear()
    wanted = Wanted(grant_id, PURPOSE, "case", {"where": {}}, None, "bench")
    exchange = asyncio.ensure_future(service.consumer.exchange(wanted, timeout_s=60.0))
    while len(watched.arrivals) < 2 + chance.randrange(30) and not exchange.done():
        await asyncio.sleep(0.001)
    provider = cluster[PROVIDER].process
    assert provider is not None
    pauses = pause_s_max > 0
    before = pauses and chance.random() < 0.5
    steward = cluster[APPROVER].client("steward")
    path = f"/v1/grants/{grant_id.hex()}/revoke?wait=committed"
    if before:
        os.kill(provider.pid, signal.SIGSTOP)
    revoking = asyncio.ensure_future(asyncio.to_thread(steward.post, path, {"reason": "over"}))
    if pauses and not before:
        await asyncio.sleep(chance.uniform(0, 0.03))
        os.kill(provider.pid, signal.SIGSTOP)
    pause_s = chance.uniform(0, pause_s_max)
    asyncio.get_running_loop().call_later(pause_s, os.kill, provider.pid, signal.SIGCONT)
    certified = await until(service, grant_id, "revoked")
    await revoking
    outcome = "complete"
    try:
        (await exchange).close()
    except ExchangeRefused as refused:
        outcome = refused.code
    late_ms = max(0.0, watched.arrivals[-1] - certified) * 1_000
    came = len(watched.arrivals)
    print(f"{number:3} paused {pause_s:4.2f} s, {came:3} chunks, {outcome}, {late_ms:6.1f} ms")
    return late_ms


async def rounds(cluster: Cluster, count: int, pause_s_max: float) -> list[float]:
    """The consumer's node in this process, and every round's milliseconds."""
    async with running(load_config(cluster[CONSUMER].folder / "node.toml")) as service:
        watched = Watched(service)
        return [
            await one(cluster, service, watched, number, pause_s_max) for number in range(count)
        ]


@click.command()
@click.option("--rounds", "count", default=10, help="How many grants.")
@click.option("--pause", default=2.0, help="Longest stop of the provider, seconds.")
def main(count: int, pause: float) -> None:
    """Measures, and prints each round and the longest."""
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        cluster = Cluster(Path(folder), {name: f"Bureau of {name.title()}" for name in NAMES[:3]})
        try:
            prepare(cluster)
            late = asyncio.run(rounds(cluster, count, pause))
        finally:
            cluster.close()
    print(f"longest from the certificate to the last chunk: {max(late):.1f} ms")


if __name__ == "__main__":
    main()
