"""Other systems on the same work, where they are installed: etcd (Debian: etcd-server).

An operation is one put of 256 bytes, acknowledged when it is committed and synced by a majority of
three. etcd checks no signature. It is asked over its JSON gateway by the client that measures us
too; a native client saves it the gateway, some tenths of a millisecond.
"""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import click
import httpx2
import msgspec

from bench.drive import drive
from bench.machine import Primitives, Usage, usage
from bench.measure import measured
from bench.report import Figure
from bench.settings import Settings
from bench.traffic import sent_bytes
from bench.wire import Connection
from cli.demo.cluster import free_ports

START_S_MAX = 60.0

VALUE_BYTES = 256


class Etcd:
    """etcd with its defaults, over its JSON gateway."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self.names = [f"e{number}" for number in range(count)]
        ports = free_ports(2 * len(self.names))
        self._client = dict(zip(self.names, ports[::2], strict=True))
        self._peer = dict(zip(self.names, ports[1::2], strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._http = httpx2.Client(trust_env=False, timeout=5)

    def start(self) -> None:
        """All processes."""
        for name in self.names:
            self._spawn(name)
        for name in self.names:
            self._wait(name)

    def close(self) -> None:
        """Ends all processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._http.close()

    def leader(self) -> str:
        """Who leads now."""
        for name in self.names:
            status = self._ask(self._http, name, "/v3/maintenance/status", {})
            if status.get("leader") == status["header"]["member_id"]:
                return name
        raise click.ClickException("no etcd leads")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._processes[name].kill()
        self._processes[name].wait()

    def restart(self, name: str) -> None:
        """Starts it again and waits until it answers."""
        self._spawn(name)
        self._wait(name)

    def write(self, http: httpx2.Client, name: str, key: str) -> None:
        """One put."""
        encoded = base64.b64encode(key.encode()).decode()
        self._ask(http, name, "/v3/kv/put", {"key": encoded, "value": encoded})

    def connection(self, number: int) -> Connection:
        """A connection for a client; clients spread over the processes."""
        name = self.names[number % len(self.names)]
        return Connection("127.0.0.1", self._client[name], None)

    def begin(self) -> None:
        """What is measured begins now."""

    def usage(self) -> Usage:
        """What all processes have used so far."""
        return usage(process.pid for process in self._processes.values())

    def syncs(self) -> float | None:
        """Synced writes so far; unknown."""
        return None

    def wire_bytes(self) -> int | None:
        """Bytes between the processes so far; None if it cannot be known."""
        return sent_bytes(self._peer.values())

    def _ask(self, http: httpx2.Client, name: str, path: str, body: dict[str, str]) -> dict:
        answer = http.post(f"http://127.0.0.1:{self._client[name]}{path}", json=body)
        answer.raise_for_status()
        found: dict = answer.json()
        return found

    def _spawn(self, name: str) -> None:
        peers = ",".join(f"{each}=http://127.0.0.1:{port}" for each, port in self._peer.items())
        client = f"http://127.0.0.1:{self._client[name]}"
        peer = f"http://127.0.0.1:{self._peer[name]}"
        state = "existing" if (self._folder / name).exists() else "new"
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [
                    *("etcd", "--name", name, "--data-dir", str(self._folder / name)),
                    *("--listen-client-urls", client, "--advertise-client-urls", client),
                    *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", peers, "--initial-cluster-state", state),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.HTTPError):
                if self._ask(self._http, name, "/v3/maintenance/status", {}).get("leader"):
                    return
            threading.Event().wait(0.05)
        raise click.ClickException(f"{name} does not come up; see {self._folder}/{name}.log")


def etcd(folder: Path, settings: Settings, _primitives: Primitives) -> list[Figure]:
    """etcd, if it is installed: 1, 16, 64 and 256 clients, one put a request."""
    if shutil.which("etcd") is None:
        click.echo("etcd is not installed: left out")
        return []
    folder.mkdir(parents=True)
    system = Etcd(folder, settings.nodes)
    try:
        system.start()
        return [asyncio.run(_at(system, settings, clients)) for clients in (1, 16, 64, 256)]
    finally:
        system.close()


async def _at(system: Etcd, settings: Settings, clients: int) -> Figure:
    connections = [system.connection(number) for number in range(clients)]
    value = base64.b64encode(os.urandom(VALUE_BYTES)).decode()
    numbers = itertools.count()

    async def one(number: int) -> int:
        key = base64.b64encode(b"%d" % next(numbers)).decode()
        body = msgspec.json.encode({"key": key, "value": value})
        answer = await connections[number].request("POST", "/v3/kv/put", body)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        return 1

    return await measured(
        system,
        settings,
        workload="etcd",
        setting=f"{settings.nodes} nodes, {clients} client{'s' if clients > 1 else ''}",
        run=lambda seconds: drive(clients, one, seconds=seconds),
        connections=connections,
    )
