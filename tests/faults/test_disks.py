"""Disks that are full, fail or are slow: the node says so and ends, or lets others lead."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from conftest import needs_root, needs_tool
from founding import found_here

from cli.demo.cluster import Cluster, Department, program
from faults.injection import end_with_its_node, injected, start_traced
from faults.load import Load, check_all, offer, record_ids, verify, wait_for

pytestmark = pytest.mark.faults

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}
TMPFS_BYTES = 6 * 1024 * 1024


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    try:
        found_here(made)
        yield made
    finally:
        made.close()


def log_of(department: Department) -> str:
    return (department.folder / "node.log").read_text(encoding="utf-8")


def ended(department: Department) -> bool:
    return department.process is not None and department.process.poll() is not None


@pytest.mark.timeout(300)
def test_a_full_disk_ends_the_node_with_a_clear_word_and_the_others_go_on(
    cluster: Cluster,
) -> None:
    needs_root()
    needs_tool("mount", "umount")
    victim = cluster["tourism"]
    data = victim.folder / "data"
    data.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(data)]
    subprocess.run(mounted, check=True)
    load = Load(cluster, clients=6)
    try:
        cluster.start()
        load.begin()
        wait_for(lambda: ended(victim), "the node on the full disk to end")
        load.wait_for_more(20)
        load.end()
        assert victim.process is not None and victim.process.returncode == 1
        assert "No space left on device" in log_of(victim)
        assert "Make room or replace the disk" in log_of(victim)
        subprocess.run(["mount", "-o", f"remount,size={1 << 30}", str(data)], check=True)
        victim.process = None
        victim.start()
        cluster.wait_ready(victim)
        check_all(cluster, load.acknowledged)
    finally:
        load.close()
        victim.stop()
        subprocess.run(["umount", str(data)], check=True)


@pytest.mark.timeout(300)
def test_a_failed_sync_ends_the_node_and_is_never_believed_again(cluster: Cluster) -> None:
    needs_tool("strace")
    victim = cluster["tourism"]
    tracer = start_traced(
        victim, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=12"
    )
    load = Load(cluster, clients=6)
    try:
        cluster["housing"].start()
        cluster["transport"].start()
        cluster.wait_ready(cluster["housing"])
        cluster.wait_ready(cluster["transport"])
        load.begin()
        wait_for(lambda: ended(victim), "the node whose sync failed to end")
        load.wait_for_more(20)
        load.end()
        assert "Input/output error" in log_of(victim)
        victim.process = None
        victim.start()
        cluster.wait_ready(victim)
        check_all(cluster, load.acknowledged)
    finally:
        end_with_its_node(tracer)
        load.close()


@pytest.mark.timeout(300)
def test_a_leader_whose_disk_stalls_stops_leading(cluster: Cluster) -> None:
    needs_tool("strace")
    cluster.start()
    slow = cluster.leader()
    load = Load(cluster, clients=6)

    def others_lead() -> bool:
        status = cluster[next(n for n in TITLES if cluster[n] is not slow)]
        leader = status.client("operator").get("/v1/status")["leader"]
        own = slow.client("operator").get("/v1/status")["node_id"]
        return leader is not None and leader != own

    try:
        with injected(slow, "inject=fdatasync,fsync:delay_enter=5000000"):
            load.begin()
            wait_for(others_lead, "another node to lead")
            load.wait_for_more(20)
        load.end()
    finally:
        load.close()
    check_all(cluster, load.acknowledged)


def test_a_store_in_use_is_refused(cluster: Cluster) -> None:
    cluster.start()
    node = cluster["housing"]
    twice = subprocess.run(
        program("concordat-node", "run", "--config", str(node.folder / "node.toml")),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert twice.returncode == 1
    assert "in use" in twice.stderr or "cannot listen" in twice.stderr


@pytest.mark.timeout(300)
def test_a_node_on_a_store_from_a_backup_takes_no_part_and_the_others_go_on(
    cluster: Cluster,
) -> None:
    cluster.start()
    node = cluster["housing"]
    node.stop()
    backup = node.folder / "backup"
    subprocess.run(["cp", "-a", str(node.folder / "data"), str(backup)], check=True)
    node.start()
    cluster.wait_ready(node)
    load = Load(cluster, clients=3)
    try:
        load.begin()
        load.wait_for_more(10)
        load.end()
        node.stop()
        subprocess.run(["rm", "-r", str(node.folder / "data")], check=True)
        backup.rename(node.folder / "data")
        node.start()
        wait_for(lambda: standing(node) == "behind", "the node to notice its old store")
        others = ["tourism", "transport"]
        written = [
            cluster[name]
            .client("steward")
            .post("/v1/datasets", offer(f"after-{name}"))["record_id"]
            for name in others
        ]
        assert all(set(written) <= set(record_ids(cluster[name])) for name in others)
        assert standing(node) == "behind"
    finally:
        load.close()
    for department in cluster.departments.values():
        department.stop()
        verify(cluster.genesis, department.folder / "data")


def standing(department: Department) -> str:
    """What the node says of itself; empty while it does not answer."""
    try:
        answer = httpx2.get(f"{department.url}/readyz", trust_env=False)
    except httpx2.HTTPError:
        return ""
    return str(answer.json().get("standing", ""))
