"""Five departments in containers: the image of docker/, its restrictions, and a killed leader."""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from conftest import PROJECT, needs_root, needs_tool

from cli.client import Client
from cli.demo.cluster import TITLES, free_ports, program, run
from cli.show import Failure
from faults.load import offer, verify, wait_for

pytestmark = pytest.mark.faults

SETTINGS = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


class Podman:
    """Containers, volumes, networks and images under names of this run only."""

    def __init__(self, folder: Path) -> None:
        self.run_id = f"concordat-test-{uuid.uuid4().hex[:8]}"
        self.image = f"localhost/{self.run_id}:latest"
        self.base = f"localhost/{self.run_id}-base:latest"
        settings = folder / "containers.conf"
        settings.write_text(SETTINGS)
        self._environment = os.environ | {"CONTAINERS_CONF": str(settings)}

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["podman", *arguments],
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        assert not check or done.returncode == 0, f"podman {arguments}: {done.stderr[-2000:]}"
        return done.stdout

    def name(self, department: str) -> str:
        return f"{self.run_id}-{department}"

    def remove(self) -> None:
        for department in TITLES:
            self("rm", "-f", "-t", "5", self.name(department), check=False)
            self("volume", "rm", "-f", self.name(department), check=False)
        self("network", "rm", "-f", self.run_id, check=False)
        self("rmi", "-f", self.image, self.base, check=False)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    needs_root()
    needs_tool("podman", "buildah", "runc", "mmdebstrap", "iptables")
    folder = tmp_path_factory.mktemp("podman")
    made = Podman(folder)
    try:
        make_base(made, folder)
        build(made)
        made("network", "create", made.run_id)
        yield made
    finally:
        made.remove()


def make_base(podman: Podman, folder: Path) -> None:
    """A Debian with Python, made here: there is no registry to pull one from."""
    archive = folder / "base.tar"
    packages = "python3,python3-venv,ca-certificates"
    run(["mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(archive)])
    podman("import", str(archive), podman.base)


def build(podman: Podman) -> None:
    options = ["--format", "docker", "--pull=never", "--build-arg", f"BASE={podman.base}"]
    if BUNDLE.is_file():
        options += ["--volume", f"{BUNDLE}:{BUNDLE}:ro"]
    for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT"):
        if name in os.environ:
            options += ["--env", f"{name}={os.environ[name]}"]
    podman(
        *("build", "--network", "host", *options, "-t", podman.image),
        *("-f", str(PROJECT / "docker" / "Dockerfile"), str(PROJECT)),
    )


def restricted(podman: Podman, department: str) -> list[str]:
    """The options of docker/compose.yaml."""
    return [
        *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--network", podman.run_id, "--no-healthcheck"),
        *("--hostname", department, "--network-alias", department),
        *("-v", f"{podman.name(department)}:/var/lib/concordat"),
    ]


def found(podman: Podman, folder: Path) -> Path:
    """Keys in each volume, made with the image; the genesis signed by all. Its path."""
    mounts: dict[str, Path] = {}
    for department, title in TITLES.items():
        podman("volume", "create", podman.name(department))
        podman(
            *("run", "--rm", *restricted(podman, department), podman.image),
            *("init", "/var/lib/concordat/node", "--department", department, "--title", title),
            *("--rpc-address", f"{department}:7400", "--rpc-listen", "0.0.0.0:7400"),
            *("--http-listen", "0.0.0.0:8400"),
        )
        inspected = podman("volume", "inspect", "-f", "{{.Mountpoint}}", podman.name(department))
        mounts[department] = Path(inspected.strip()) / "node"
    genesis = folder / "genesis.json"
    enrolments = [str(mount / "enrolment.json") for mount in mounts.values()]
    run(
        program(
            "concordat",
            *("consortium", "assemble", *enrolments, "--title", "In containers"),
            *("-o", str(genesis)),
        )
    )
    shown = run(program("concordat", "consortium", "show", str(genesis), "--json"))
    fingerprint = shown.split('"fingerprint": "')[1].split('"')[0]
    for department, mount in mounts.items():
        run(
            program(
                "concordat",
                *("consortium", "sign", str(genesis), "--keys", str(mount / "keys")),
                *("--department", department, "--fingerprint", fingerprint),
            )
        )
    for mount in mounts.values():
        shutil.copyfile(genesis, mount / "genesis.json")
        (mount / "genesis.json").chmod(0o644)
    return genesis


def ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.mark.timeout(900)
def test_five_containers_survive_the_death_of_their_leader(podman: Podman, tmp_path: Path) -> None:
    genesis = found(podman, tmp_path)
    ports = dict(zip(TITLES, free_ports(len(TITLES)), strict=True))
    clients: dict[str, Client] = {}
    configuration = ("--config", "/var/lib/concordat/node/node.toml")
    for department, port in ports.items():
        podman(
            *("run", "-d", "--name", podman.name(department), *restricted(podman, department)),
            *("-p", f"127.0.0.1:{port}:8400", podman.image, "run", *configuration),
        )
        token = podman(
            *("exec", podman.name(department), "concordat-node", "token", "add", "test"),
            *("--role", "steward", *configuration),
        )
        clients[department] = Client(f"http://127.0.0.1:{port}", token.strip())
    try:
        for port in ports.values():
            wait_for(lambda port=port: ready(port), "every node to be ready")
        written = [clients["housing"].post("/v1/datasets", offer("first"))["record_id"]]
        leader = next(
            department
            for department, client in clients.items()
            if client.get("/v1/status")["role"] == "leader"
        )
        podman("kill", podman.name(leader))
        other = next(department for department in TITLES if department != leader)
        written.append(publish(clients[other], "second"))
        podman("start", podman.name(leader))
        wait_for(lambda: ready(ports[leader]), "the killed node to be ready")
        for client in clients.values():
            for record_id in written:
                wait_for(lambda c=client, r=record_id: held(c, r), "every record everywhere")
    finally:
        for client in clients.values():
            client.close()
    podman("stop", "-t", "20", podman.name("tourism"))
    exported = tmp_path / "tourism.tar"
    podman("volume", "export", "-o", str(exported), podman.name("tourism"))
    (tmp_path / "tourism").mkdir()
    run(["tar", "-xf", str(exported), "-C", str(tmp_path / "tourism")])
    verify(genesis, tmp_path / "tourism" / "node" / "data")


def publish(client: Client, name: str) -> str:
    """Until it is acknowledged: the cluster may be without a leader for a moment."""
    deadline = time.monotonic() + 60
    while True:
        try:
            written = client.post("/v1/datasets", offer(name), headers={"Idempotency-Key": name})
        except Failure:
            assert time.monotonic() < deadline, "no write came through"
            continue
        record_id: str = written["record_id"]
        return record_id


def held(client: Client, record_id: str) -> bool:
    try:
        client.get(f"/v1/records/{record_id}")
    except Failure:
        return False
    return True


def test_the_image_runs_as_nobody_and_cannot_write_to_itself(podman: Podman) -> None:
    shown = podman(
        *("run", "--rm", "--read-only", "--entrypoint", "sh", podman.image),
        *("-c", "id -u; touch /opt/x 2>&1; command -v pip gcc; true"),
    )
    assert shown.splitlines()[0] == "10001"
    assert "Read-only file system" in shown and "pip" not in shown
