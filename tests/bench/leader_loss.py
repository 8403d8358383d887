"""`make leader-loss`: how long nobody can write after the leader was killed.

Five processes of a system on this machine, clients that write through all of them without pause.
The leader gets SIGKILL; what counts is the time until the first write that was begun after the kill
is acknowledged, at whichever of the other four. Then the killed process comes back, and catches up.
etcd, with its own defaults, is measured the same way where it is installed (Debian: etcd-server).
"""

import base64
import contextlib
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
import httpx2

from cli.demo.cluster import TITLES, Cluster, free_ports

CLIENTS_A_PROCESS = 3
ATTEMPT_S = 0.6
"""After this a client gives an attempt up and begins another; the same for both systems."""

RECOVERY_S_MAX = 60.0
SETTLE_S = 1.0
"""Between the return of a killed process and the next kill."""


class System(Protocol):
    """Processes that agree. write: one write through a process; raises if nobody answers."""

    names: list[str]

    def leader(self) -> str: ...
    def kill(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...
    def write(self, http: httpx2.Client, name: str, key: str) -> None: ...


class Concordat:
    """Nodes as the demonstration founds them, with the default settings."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.names = list(cluster.departments)

    def leader(self) -> str:
        """Who leads now."""
        return self._cluster.leader().name

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._cluster[name].kill()

    def restart(self, name: str) -> None:
        """Starts it again and waits until it knows a leader."""
        self._cluster[name].start()
        self._cluster.wait_ready(self._cluster[name])

    def write(self, http: httpx2.Client, name: str, key: str) -> None:
        """One dataset, certified."""
        node = self._cluster[name]
        offer = {
            "name": key,
            "title": key,
            "fields": [{"name": "id", "type": "text", "meaning": "number"}],
            "classification": "internal",
            "sharing": "open",
        }
        headers = {"Authorization": f"Bearer {node.tokens['steward']}", "Idempotency-Key": key}
        http.post(f"{node.url}/v1/datasets", json=offer, headers=headers).raise_for_status()


class Etcd:
    """etcd with its defaults, over its JSON gateway."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = [f"e{number}" for number in range(len(TITLES))]
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
        deadline = time.monotonic() + RECOVERY_S_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.HTTPError):
                if self._ask(self._http, name, "/v3/maintenance/status", {}).get("leader"):
                    return
            threading.Event().wait(0.05)
        raise click.ClickException(f"{name} does not come up; see {self._folder}/{name}.log")


class Writers:
    """Clients that write through every process; `begun_and_acknowledged` has the newest write."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._done = threading.Event()
        self._news = threading.Condition()
        self._acknowledged: list[tuple[float, float]] = []

    def run(self, number: int) -> None:
        """One client, until `stop`."""
        name = self._system.names[number % len(self._system.names)]
        count = 0
        with httpx2.Client(trust_env=False, timeout=ATTEMPT_S) as http:
            while not self._done.is_set():
                count += 1
                begun = time.monotonic()
                try:
                    self._system.write(http, name, f"w-{number}-{count}")
                except httpx2.HTTPError:
                    self._done.wait(0.02)
                    continue
                with self._news:
                    self._acknowledged.append((begun, time.monotonic()))
                    self._news.notify_all()

    def first_since(self, moment: float) -> float:
        """When the first write begun after `moment` was acknowledged; waits for it."""
        with self._news:
            while True:
                for begun, acknowledged in self._acknowledged:
                    if begun > moment:
                        return acknowledged
                self._acknowledged.clear()
                if not self._news.wait(RECOVERY_S_MAX):
                    raise click.ClickException(f"nothing was acknowledged for {RECOVERY_S_MAX} s")

    def stop(self) -> None:
        """Ends the clients."""
        self._done.set()


def measure(system: System, *, kills: int) -> list[float]:
    """Seconds without writes after each kill."""
    writers = Writers(system)
    clients = CLIENTS_A_PROCESS * len(system.names)
    times: list[float] = []
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(writers.run, number) for number in range(clients)]
        try:
            for _ in range(kills):
                threading.Event().wait(SETTLE_S)
                writers.first_since(time.monotonic())
                leader = system.leader()
                killed = time.monotonic()
                system.kill(leader)
                times.append(writers.first_since(killed) - killed)
                system.restart(leader)
        finally:
            writers.stop()
        for future in running:
            future.result()
    return times


@contextmanager
def concordat(folder: Path) -> Iterator[System]:
    """Five nodes of ours."""
    folder.mkdir()
    cluster = Cluster(folder, TITLES)
    try:
        cluster.found()
        cluster.start()
        yield Concordat(cluster)
    finally:
        cluster.close()


@contextmanager
def etcd(folder: Path) -> Iterator[System]:
    """Five of etcd's."""
    folder.mkdir()
    made = Etcd(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()


@click.command()
@click.option("--kills", default=50, show_default=True, help="Kills of each system.")
@click.option("--only", type=click.Choice(["concordat", "etcd"]), help="Only this one.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write JSON here.")
def main(kills: int, only: str | None, json_path: Path | None) -> None:
    """Kills leaders and prints how long writes were not acknowledged."""
    systems: dict[str, Callable[[Path], contextlib.AbstractContextManager[System]]] = {
        "concordat": concordat,
        "etcd": etcd,
    }
    if shutil.which("etcd") is None:
        click.echo("etcd is not installed and not measured")
        del systems["etcd"]
    found: dict[str, list[float]] = {}
    for name, system in systems.items():
        if only in (None, name):
            with (
                tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder,
                system(Path(folder) / name) as running,
            ):
                times = found[name] = sorted(measure(running, kills=kills))
            click.echo(
                f"{name:10} {len(times)} kills: median {statistics.median(times):.2f} s, "
                f"p90 {times[int(len(times) * 0.9)]:.2f} s, worst {times[-1]:.2f} s"
            )
    if json_path is not None:
        json_path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
