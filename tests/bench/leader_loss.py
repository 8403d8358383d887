"""`make leader-loss`: how long nobody can write after the leader was killed.

Five processes of a system on this machine, clients that write through all of them without pause.
The leader gets SIGKILL; what counts is the time until the first write that was begun after the kill
is acknowledged, at whichever of the other four. Then the killed process comes back, and catches up.
etcd, with its own defaults, is measured the same way where it is installed (Debian: etcd-server).
"""

import contextlib
import json
import shutil
import statistics
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

from bench.others import Etcd
from cli.demo.cluster import TITLES, Cluster

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
    made = Etcd(folder, len(TITLES))
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
