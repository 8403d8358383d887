"""Real node processes on loopback for a workload, and clients and records for them."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from founding import found_here

from bench.flames import Flames
from bench.machine import Usage, usage
from bench.settings import Settings
from bench.traffic import sent_bytes
from bench.wire import Connection
from cli.demo.cluster import Cluster
from ledger.codec import encode
from ledger.records import Record, RecordHeader, assemble_record
from ledger.signatures import Signer
from ledger.statements import record_statement
from node.identity import read_secret

NAMES = ("housing", "tourism", "transport", "health", "schools", "taxes", "police")
DAY_MS = 86_400_000


class Nodes:
    """A running cluster of `count` nodes, one for each department; all of them vote."""

    def __init__(
        self, cluster: Cluster, *, profiled: bool = False, flames: Path | None = None
    ) -> None:
        """flames: a folder for a flame graph of each node."""
        self.cluster = cluster
        self._profiled = profiled
        self._flames_folder = flames
        self._flames: Flames | None = None
        self.names = tuple(cluster.departments)
        self._numbers = itertools.count()
        genesis = cluster.departments[self.names[0]].client("operator").get("/v1/status")
        self.ledger_id = bytes.fromhex(genesis["ledger_id"])
        self._signers = {
            name: Signer(read_secret(cluster[name].folder / "keys" / "record.key"))
            for name in self.names
        }

    def connection(self, number: int, role: str = "steward") -> Connection:
        """A connection for a client; clients spread over the nodes."""
        department = self.cluster[self.names[number % len(self.names)]]
        return Connection(department.host, department.http_port, department.tokens[role])

    def department(self, number: int) -> str:
        """The department whose node `connection(number)` speaks to."""
        return self.names[number % len(self.names)]

    def record(self, department: str, kind: str, body: Any) -> bytes:
        """A record signed by the department's own key, as an app with a key of its own does."""
        now_ms = time.time_ns() // 1_000_000
        signer = self._signers[department]
        header = RecordHeader(
            version=1,
            ledger_id=self.ledger_id,
            kind=kind,
            department=department,
            actor="bench",
            key=signer.public_key,
            created_ms=now_ms,
            valid_until_ms=now_ms + 3_600_000,
            nonce=os.urandom(8) + next(self._numbers).to_bytes(8, "big"),
            body=msgspec.Raw(encode(body)),
            attached=None,
        )
        signature = signer.sign(record_statement(self.ledger_id, encode(header)))
        record: Record = assemble_record(header, signature, attached=None)
        return record.to_bytes()

    def begin(self) -> None:
        """What is measured begins now; so do the nodes' profiles or flame graphs, if wanted."""
        if self._flames_folder is not None and self._flames is None:
            pids = zip(self.names, self.cluster.pids(), strict=True)
            self._flames = Flames(self._flames_folder, dict(pids))
        if self._profiled:
            for pid in self.cluster.pids():
                os.kill(pid, signal.SIGUSR1)

    def end(self) -> None:
        """Nothing more is measured."""
        if self._flames is not None:
            self._flames.end()

    def usage(self) -> Usage:
        """What all node processes have used so far."""
        return usage(self.cluster.pids())

    def syncs(self) -> float | None:
        """Synced writes of all nodes so far."""
        return sum(self.metrics(name)["concordat_batches_written"] for name in self.names)

    def wire_bytes(self) -> int | None:
        """Bytes between the nodes so far, TLS included; None if it cannot be known."""
        return sent_bytes({each.rpc_port for each in self.cluster.departments.values()})

    def stored_bytes(self) -> int:
        """Bytes in the largest node's store now."""
        return max(
            sum(file.stat().st_size for file in (each.folder / "data").rglob("*"))
            for each in self.cluster.departments.values()
        )

    def metrics(self, name: str) -> dict[str, float]:
        """A node's metrics."""
        client = self.cluster[name].client("operator")
        text = client.request("GET", "/v1/metrics").text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {key: float(value) for key, value in pairs}


@contextmanager
def nodes(
    folder: Path,
    settings: Settings,
    *,
    before_start: Callable[[Cluster], None] = lambda _: None,
) -> Iterator[Nodes]:
    """A founded, running cluster; everything that it started ends with it."""
    titles = {name: f"Bureau of {name.title()}" for name in NAMES[: settings.nodes]}
    cluster = Cluster(folder, titles)
    if settings.profile is not None:
        settings.profile.mkdir(parents=True, exist_ok=True)
        for name, department in cluster.departments.items():
            profile = settings.profile / f"{folder.name}-{name}.pstats"
            department.launcher = (sys.executable, "-m", "bench.profiled", str(profile))
    try:
        found_here(cluster)
        before_start(cluster)
        cluster.start()
        flames = None if settings.flames is None else settings.flames / folder.name
        running = Nodes(cluster, profiled=settings.profile is not None, flames=flames)
        yield running
        running.end()
    finally:
        cluster.close()
