"""Node processes on loopback: founded, started, killed, restarted, and cleaned up after."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cli.client import Client

START_TIMEOUT_S = 40.0

TITLES = {
    "civil-affairs": "Bureau of Civil Affairs",
    "health": "Health Commission",
    "housing": "Housing Bureau",
    "tourism": "Culture and Tourism Bureau",
    "transport": "Transport Bureau",
}


class DemoFailed(Exception):
    """A scene did not go as it must."""


def program(name: str, *arguments: str) -> list[str]:
    """A command of this installation."""
    return [str(Path(sys.executable).parent / name), *arguments]


def run(command: list[str], *, text: str = "") -> str:
    """Runs a command to its end; its output. Raises DemoFailed."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command, input=text, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise DemoFailed(f"{' '.join(command[:4])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Consecutive ports on loopback that nobody listens on.

    They lie below the range from which the system takes ports for outgoing connections (32768 and
    above on Linux), so that nobody's connection takes one before it is listened on.
    """
    while True:
        first = random.randrange(10_000, 32_000 - count)  # noqa: S311 - no secret
        ports = list(range(first, first + count))
        sockets: list[socket.socket] = []
        try:
            for port in ports:
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return ports
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()


@dataclass(slots=True)
class Department:
    """One department's node. host: where it listens. launcher: put before its command."""

    name: str
    folder: Path
    http_port: int
    rpc_port: int
    host: str = "127.0.0.1"
    launcher: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The node's HTTP address."""
        return f"http://{self.host}:{self.http_port}"

    def client(self, role: str) -> Client:
        """HTTP with this node under a role."""
        with self.lock:
            if role not in self.clients:
                self.clients[role] = Client(self.url, self.tokens[role])
            return self.clients[role]

    def start(self) -> None:
        """Starts the process; its log goes to a file beside its data."""
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [
                    *self.launcher,
                    *program("concordat-node", "run", "--config", str(self.folder / "node.toml")),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Cluster:
    """Departments in one folder, five unless told otherwise. titles: short names to full ones."""

    def __init__(self, folder: Path, titles: Mapping[str, str] = TITLES) -> None:
        self.folder = folder
        self.titles = titles
        ports = free_ports(2 * len(titles) + 2)
        self.spare_ports = ports[-2:]
        self.departments = {
            name: Department(name, folder / name, ports[2 * number], ports[2 * number + 1])
            for number, name in enumerate(titles)
        }
        self.genesis = folder / "genesis.json"
        self.helpers: list[subprocess.Popen[bytes]] = []
        self.servers: list[int] = []
        self.closers: list[Any] = []

    def __getitem__(self, name: str) -> Department:
        return self.departments[name]

    def found(self) -> str:
        """Enrol, assemble, compare, sign: as five departments on five machines do. Fingerprint."""
        for name, department in self.departments.items():
            run(
                program(
                    "concordat-node",
                    "init",
                    str(department.folder),
                    *("--department", name, "--title", self.titles[name]),
                    *("--rpc-address", f"{department.host}:{department.rpc_port}"),
                    *("--rpc-listen", f"{department.host}:{department.rpc_port}"),
                    *("--http-listen", f"{department.host}:{department.http_port}"),
                )
            )
        enrolments = [str(each.folder / "enrolment.json") for each in self.departments.values()]
        run(
            program(
                "concordat",
                "consortium",
                "assemble",
                *enrolments,
                *("--title", "A city's departments", "-o", str(self.genesis)),
            )
        )
        shown = run(program("concordat", "consortium", "show", str(self.genesis), "--json"))
        fingerprint = shown.split('"fingerprint": "')[1].split('"')[0]
        for name, department in self.departments.items():
            run(
                program(
                    "concordat",
                    "consortium",
                    "sign",
                    str(self.genesis),
                    *("--keys", str(department.folder / "keys")),
                    *("--department", name, "--fingerprint", fingerprint),
                )
            )
        for department in self.departments.values():
            (department.folder / "genesis.json").write_bytes(self.genesis.read_bytes())
            for role in ("app", "steward", "auditor", "operator"):
                secret = run(
                    program(
                        "concordat-node",
                        *("token", "add", f"demo-{role}", "--role", role, "--days", "1"),
                        *("--config", str(department.folder / "node.toml")),
                    )
                )
                department.tokens[role] = secret.strip()
        return fingerprint

    def configure(self, name: str, source: Mapping[str, Any]) -> None:
        """Declares a department's source in its node's own configuration."""
        lines = [f"\n[sources.{source['dataset']}]"]
        for key, value in source.items():
            if isinstance(value, dict):
                pairs = ", ".join(f'{left} = "{right}"' for left, right in value.items())
                lines.append(f"{key} = {{ {pairs} }}")
            else:
                lines.append(f'{key} = "{value}"')
        with (self[name].folder / "node.toml").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def start(self) -> None:
        """Starts every node and waits until all are ready."""
        for department in self.departments.values():
            if department.process is None:
                department.start()
        for department in self.departments.values():
            self.wait_ready(department)

    def wait_ready(self, department: Department) -> None:
        """Until the node knows a leader. Raises DemoFailed with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if department.process is not None and department.process.poll() is not None:
                break
            try:
                if httpx2.get(f"{department.url}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            threading.Event().wait(0.05)
        log = (department.folder / "node.log").read_text(encoding="utf-8", errors="replace")
        raise DemoFailed(f"the node of {department.name} is not ready:\n{log[-2000:]}")

    def leader(self) -> Department:
        """Who leads now."""
        for department in self.departments.values():
            if department.process is None:
                continue
            status = department.client("operator").get("/v1/status")
            if status["role"] == "leader":
                return department
        raise DemoFailed("nobody leads")

    def close(self) -> None:
        """Ends every process that was started here."""
        for department in self.departments.values():
            for client in department.clients.values():
                client.close()
            if department.process is not None:
                department.process.send_signal(signal.SIGTERM)
        for department in self.departments.values():
            department.stop()
        for helper in self.helpers:
            helper.terminate()
            helper.wait()
        for closer in self.closers:
            closer()

    def detach(self) -> None:
        """Leaves everything running."""
        for department in self.departments.values():
            for client in department.clients.values():
                client.close()

    def pids(self) -> list[int]:
        """Of every process that runs."""
        running = [each.process.pid for each in self.departments.values() if each.process]
        return running + [helper.pid for helper in self.helpers] + self.servers


__all__ = ["Cluster", "DemoFailed", "Department", "free_ports", "program", "run"]
