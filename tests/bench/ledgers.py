"""Workloads h and i: what a ledger's length costs.

h: `verify_ledger` makes a ledger and verifies it; it prints its own lines. i: a node is stopped and
started beside `ledger_records` records, and then again after the others wrote as many: until
it is ready, and until it has what it missed. The rate of a restart is its inverse.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.bulk import batch, post_batch
from bench.cluster import Nodes, nodes
from bench.drive import Run
from bench.machine import Primitives
from bench.records import publish
from bench.report import Figure, summary
from bench.settings import Settings
from cli.demo.cluster import Department
from node.http.batches import RECORDS_MAX

CATCH_UP_S_MAX = 600.0
POLL_S = 0.01


def verification(_folder: Path, settings: Settings, _primitives: Primitives) -> list[Figure]:
    """h: full verification of signed records and of bulk receipts; prints its own lines."""
    script = Path(__file__).parent / "verify_ledger.py"
    counts = (settings.ledger_records, 10 * settings.ledger_records)
    subprocess.run([sys.executable, str(script), *map(str, counts)], check=True)
    return []


def restarts(folder: Path, settings: Settings, _primitives: Primitives) -> list[Figure]:
    """i: restart beside a ledger, and catching up with it."""
    with nodes(folder, settings) as cluster:
        publish(cluster)
        leader = cluster.cluster.leader()
        number = next(at for at, name in enumerate(cluster.names) if name != leader.name)
        victim = cluster.cluster[cluster.names[number]]
        others = [at for at in range(len(cluster.names)) if at != number]
        asyncio.run(_write(cluster, others, settings.ledger_records))
        _reaches(victim, _height(leader))
        victim.stop()
        ready_s = _timed(lambda: _start(cluster, victim))
        victim.stop()
        asyncio.run(_write(cluster, others, settings.ledger_records))
        height = _height(leader)
        caught_up_s = _timed(lambda: (_start(cluster, victim), _reaches(victim, height)))
    size = f"{len(cluster.names)} nodes, {settings.ledger_records:,} records"
    return [
        _figure(f"restart, {size}", 1, ready_s),
        _figure(f"catching up, {size}", settings.ledger_records, caught_up_s),
    ]


async def _write(cluster: Nodes, clients: list[int], records: int) -> None:
    for at in range(-(-records // RECORDS_MAX)):
        number = clients[at % len(clients)]
        connection = cluster.connection(number)
        await post_batch(connection, batch(cluster, number))
        connection.close()


def _height(node: Department) -> int:
    height: int = node.client("operator").get("/v1/status")["height"]
    return height


def _start(cluster: Nodes, node: Department) -> None:
    node.start()
    cluster.cluster.wait_ready(node)


def _reaches(node: Department, height: int) -> None:
    deadline = time.monotonic() + CATCH_UP_S_MAX
    while _height(node) < height:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{node.name} does not reach block {height}")
        time.sleep(POLL_S)


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _figure(setting: str, operations: int, seconds: float) -> Figure:
    return Figure("i", setting, **summary([Run(operations, seconds, [seconds * 1e3])]))
