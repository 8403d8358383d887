"""A write load on a real cluster, and what must be true of it afterwards."""

import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from cli.demo.cluster import Cluster, Department, program
from cli.show import Failure

WAIT_S = 60.0

_NUMBERS = count(1)


class Load:
    """Clients that publish datasets, each until it is acknowledged, from several threads.

    at: the departments whose nodes they use; all of them by default.
    """

    def __init__(self, cluster: Cluster, *, clients: int, at: Sequence[str] | None = None) -> None:
        self._cluster = cluster
        self._at = sorted(cluster.departments) if at is None else list(at)
        self._clients = clients
        self._pool = ThreadPoolExecutor(clients)
        self._done = threading.Event()
        self._futures: list[Future[None]] = []
        self._run = 0
        self._name = f"t-{next(_NUMBERS)}"
        self.acknowledged: list[str] = []

    def begin(self) -> None:
        """Lets every client write."""
        self._run += 1
        self._done.clear()
        self._futures = [self._pool.submit(self._write, number) for number in range(self._clients)]

    def end(self) -> None:
        """Stops the clients; an error in one of them is raised here."""
        self._done.set()
        for future in self._futures:
            future.result()

    def close(self) -> None:
        """Ends the threads."""
        self._done.set()
        self._pool.shutdown()

    def wait_for_more(self, count: int) -> None:
        """Until so many more records are acknowledged."""
        target = len(self.acknowledged) + count

        def reached() -> bool:
            for future in self._futures:
                if future.done():
                    future.result()
            return len(self.acknowledged) >= target

        wait_for(reached, f"{count} more acknowledgements")

    def _write(self, number: int) -> None:
        department = self._cluster[self._at[number % len(self._at)]]
        for turn in count(1):
            if self._done.is_set():
                return
            name = f"{self._name}-{self._run}-{number}-{turn}"
            key = {"Idempotency-Key": name}
            while True:
                try:
                    written = department.client("steward").post(
                        "/v1/datasets", offer(name), headers=key
                    )
                except Failure as failure:
                    if not may_pass(failure):
                        raise
                    if self._done.wait(0.05):
                        return
                    continue
                self.acknowledged.append(written["record_id"])
                break


def may_pass(failure: Failure) -> bool:
    """Whether a write can succeed when it is repeated: the node is away, or does not know yet."""
    passing = ("unknown-outcome:", "busy:", "no-leader:")
    return "cannot be reached" in failure.message or failure.message.startswith(passing)


def offer(name: str) -> dict[str, Any]:
    """A dataset to publish."""
    return {
        "name": name,
        "title": name,
        "fields": [{"name": "id_number", "type": "text", "meaning": "number"}],
        "classification": "internal",
        "sharing": "conditional",
    }


def wait_for(condition: Any, what: str) -> None:
    """Polls until a condition of other processes holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"
        threading.Event().wait(0.02)


def settled(cluster: Cluster) -> bool:
    """Whether all nodes have executed and certified the same height."""
    try:
        heads = [each.client("operator").get("/v1/status") for each in cluster.departments.values()]
    except Failure:
        return False
    return len({head["height"] for head in heads} | {h["certified_height"] for h in heads}) == 1


def check_all(cluster: Cluster, acknowledged: list[str]) -> None:
    """Every acknowledged record is on every node exactly once, and every ledger verifies."""
    wait_for(lambda: settled(cluster), "all nodes to agree")
    assert len(set(acknowledged)) == len(acknowledged)
    ledgers = {name: record_ids(each) for name, each in cluster.departments.items()}
    for name, held in ledgers.items():
        assert len(set(held)) == len(held), f"a record is in the ledger of {name} twice"
        missing = set(acknowledged) - set(held)
        assert not missing, f"{len(missing)} acknowledged records are not at {name}"
        assert held == ledgers[min(ledgers)], f"{name} has the records in another order"
    for department in cluster.departments.values():
        department.stop()
    for department in cluster.departments.values():
        verify(cluster.genesis, department.folder / "data")


def record_ids(department: Department) -> list[str]:
    """Every record of a node's ledger, in order."""
    return [item["record_id"] for item in department.client("auditor").pages("/v1/records")]


def verify(genesis: Path, folder: Path) -> None:
    """`concordat audit verify` exits with 0."""
    done = subprocess.run(
        program("concordat", "audit", "verify", str(folder), "--genesis", str(genesis), "--forget"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
