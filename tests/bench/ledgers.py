"""Workloads h and i: what a ledger's length costs.

h: `verify_ledger` makes a ledger and verifies it; it prints its own lines. i: a node is stopped and
started beside `ledger_records` signed records, and then again after the others wrote as many: until
it is ready, and until it has what it missed. Then the same with ten times as many bulk receipts
more. The rate of a restart is its inverse; that of catching up has the start in it.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.bulk import PROVIDER, batch, granted, post_batch, post_receipts
from bench.cluster import Nodes, nodes
from bench.drive import Run
from bench.machine import Primitives
from bench.records import publish
from bench.report import Figure, summary
from bench.settings import Settings
from cli.demo.cluster import Department
from node.http.batches import RECORDS_MAX

CATCH_UP_S_MAX = 600.0
POLL_S = 0.05


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
        grant_id = granted(cluster)
        leader = cluster.cluster.leader()
        others = [at for at, name in enumerate(cluster.names) if name == leader.name]
        others += [PROVIDER] if PROVIDER not in others else []
        victim = next(each for at, each in enumerate(cluster.names) if at not in others)

        def signed(count: int) -> None:
            asyncio.run(_write(cluster, others, count))

        def receipts(count: int) -> None:
            asyncio.run(post_receipts(cluster, grant_id, count))

        figures = _beside(cluster, victim, "signed records", signed, settings.ledger_records)
        return figures + _beside(
            cluster, victim, "receipts more", receipts, 10 * settings.ledger_records
        )


def _beside(
    cluster: Nodes, name: str, what: str, write: Callable[[int], None], count: int
) -> list[Figure]:
    """A node's restart once `count` more are written, and again after as many in its absence."""
    victim = cluster.cluster[name]
    write(count)
    ready_s = restarted(cluster, victim)
    victim.stop()
    write(count)
    height = _height(cluster.cluster.leader())
    caught_up_s = _timed(lambda: (_start(cluster, victim), _reaches(victim, height)))
    size = f"{len(cluster.names)} nodes, {count:,} {what}"
    return [
        taken("i", f"restart, {size}", 1, ready_s),
        taken("i", f"catching up, {size}", count, caught_up_s),
    ]


def restarted(cluster: Nodes, node: Department) -> float:
    """Seconds from a node's start until it is ready; it has all that there is before it stops."""
    _reaches(node, _height(cluster.cluster.leader()))
    node.stop()
    return _timed(lambda: _start(cluster, node))


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


def taken(workload: str, setting: str, operations: int, seconds: float) -> Figure:
    """A figure of one stretch of time."""
    return Figure(workload, setting, **summary([Run(operations, seconds, [seconds * 1e3])]))
