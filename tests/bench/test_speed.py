"""`make bench`: signed records and exchanges on real nodes, beside the pure cost of what they need.

Figures are ratios in one run: to the cost of the signatures and synced writes that the same records
need on this machine. Nothing here fails for being slow.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults.load import offer

from cli.demo.cluster import Cluster
from ledger.signatures import Signer, verify
from node.ports import Batch, Watermark
from node.store.leveldb import LevelStore

pytestmark = pytest.mark.bench

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}
SECONDS = 5.0 if os.environ.get("QUICK") else 20.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("bench"), TITLES)
    try:
        made.found()
        made.start()
        yield made
    finally:
        made.close()


def pure_costs(folder: Path) -> tuple[float, float]:
    """Microseconds for a signature check, and for a synced 4 KiB batch."""
    signer = Signer(bytes(32))
    signature = signer.sign(bytes(300))
    began = time.perf_counter()
    for _ in range(2_000):
        verify(signer.public_key, bytes(300), signature)
    check_us = (time.perf_counter() - began) / 2_000 * 1e6
    store = LevelStore(folder)
    times = []
    for number in range(1, 200):
        began = time.perf_counter()
        mark = Watermark(number, 0, None, 0)
        store.write(Batch(number, {b"k%d" % number: bytes(4096)}, (), mark))
        times.append(time.perf_counter() - began)
    store.close()
    return check_us, statistics.median(times) * 1e6


def drive(clients: int, one: Callable[[int, int], None]) -> tuple[float, list[float]]:
    """Runs clients for SECONDS; operations a second, and each one's time in milliseconds."""
    done = threading.Event()
    times: list[float] = []

    def client(number: int) -> None:
        count = 0
        while not done.is_set():
            count += 1
            began = time.perf_counter()
            one(number, count)
            times.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(client, number) for number in range(clients)]
        done.wait(SECONDS)
        done.set()
    for future in futures:
        future.result()
    return len(times) / (time.perf_counter() - began), sorted(times)


@pytest.mark.parametrize("clients", [1, 16, 64])
def test_signed_records_one_a_request(cluster: Cluster, clients: int, tmp_path: Path) -> None:
    check_us, sync_us = pure_costs(tmp_path / "pure")
    steward = [each.client("steward") for each in cluster.departments.values()]
    run = f"{clients}-{time.time_ns()}"

    def one(number: int, count: int) -> None:
        steward[number % 3].post("/v1/datasets", offer(f"b-{run}-{number}-{count}"))

    rate, times = drive(clients, one)
    limit_us = check_us * len(TITLES)
    print(
        f"\n{clients:3} clients: {rate:6.0f} records/s, p50 {times[len(times) // 2]:.1f} ms, "
        f"p99 {times[int(len(times) * 0.99)]:.1f} ms; signatures on all replicas {limit_us:.0f} µs "
        f"a record ({rate * limit_us / 1e4:.1f} % of one core), a synced write {sync_us:.0f} µs"
    )
    assert times
