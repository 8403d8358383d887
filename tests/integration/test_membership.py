"""Real nodes behind the trimmed log, with a lost disk, and under two protocol versions."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from faults.load import offer, settled, verify, wait_for
from founding import found_here

from cli.demo.cluster import Cluster, Department, program, run

TITLES = {"health": "Health Commission", "housing": "Housing Bureau", "tourism": "Tourism Bureau"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, TITLES)
    try:
        found_here(made)
        yield made
    finally:
        made.close()


def configure(department: Department, section: str, line: str) -> None:
    path = department.folder / "node.toml"
    text = path.read_text()
    if f"[{section}]\n" in text:
        text = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
    else:
        text += f"\n[{section}]\n{line}\n"
    path.write_text(text)


def ready(department: Department) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = httpx2.get(f"{department.url}/readyz", trust_env=False).json()
    except httpx2.HTTPError:
        return {}
    return answer


def write(department: Department, numbers: range) -> None:
    for number in numbers:
        department.client("steward").post("/v1/datasets", offer(f"d-{number}"))


def status(department: Department) -> dict[str, Any]:
    found: dict[str, Any] = department.client("operator").get("/v1/status")
    return found


def stop_and_verify(cluster: Cluster) -> None:
    wait_for(lambda: settled(cluster), "all nodes to agree")
    for department in cluster.departments.values():
        department.stop()
    for department in cluster.departments.values():
        verify(cluster.genesis, department.folder / "data")


def delegate(department: Department) -> str:
    made = run(
        program(
            "concordat-node",
            *("token", "add", "delegate", "--role", "delegate", "--days", "1"),
            *("--config", str(department.folder / "node.toml")),
        )
    )
    return made.strip()


def govern(department: Department, token: str, *arguments: str) -> dict[str, Any]:
    options = ("--url", department.url, "--token", token, "--json")
    answer: dict[str, Any] = json.loads(
        run(program("concordat", "consortium", *arguments, *options))
    )
    return answer


def test_a_node_down_past_the_trimmed_log_catches_up_and_a_lost_disk_comes_back_as_a_new_node(
    cluster: Cluster,
) -> None:
    for department in cluster.departments.values():
        configure(department, "limits", "log_entries_kept = 10")
    cluster.start()
    health, housing, tourism = (cluster[name] for name in TITLES)
    write(health, range(3))
    housing.kill()
    write(health, range(10, 50))
    housing.start()
    cluster.wait_ready(housing)
    wait_for(lambda: settled(cluster), "the node that was down to catch up")
    first = (housing.folder / "node.log").read_text()
    assert "the node stops" not in first

    tokens = {name: delegate(cluster[name]) for name in ("health", "tourism")}
    housing.stop()
    shutil.rmtree(housing.folder / "data")
    housing.start()
    wait_for(lambda: ready(housing).get("standing") == "behind", "the node to notice its lost disk")
    assert "concordat-node renew" in ready(housing)["waits_for"]
    answer = httpx2.get(f"{housing.url}/v1/records", trust_env=False)
    assert answer.status_code == 503 and answer.json()["type"].endswith("out-of-service")
    write(health, range(60, 62))
    housing.stop()
    config = str(housing.folder / "node.toml")
    run(program("concordat-node", "renew", "--config", config))
    housing.start()
    wait_for(lambda: "admitted" in str(ready(housing).get("waits_for")), "the new node to wait")
    proposed = govern(
        health,
        tokens["health"],
        *("propose", "replace-node", "housing", str(housing.folder / "enrolment.json")),
        *("--votes", "--reason", "its disk was lost"),
    )
    govern(tourism, tokens["tourism"], "vote", proposed["record_id"], "yes")
    cluster.wait_ready(housing)
    new = status(housing)["node_id"]
    wait_for(
        lambda: settled(cluster) and new in str(health.client("operator").get("/v1/consortium")),
        "the new node to have everything",
    )
    tourism.kill()
    write(housing, range(100, 103))
    tourism.start()
    cluster.wait_ready(tourism)
    stop_and_verify(cluster)


def test_two_protocol_versions_agree_and_a_leader_that_is_stopped_hands_over(
    cluster: Cluster,
) -> None:
    old = cluster["tourism"]
    configure(old, "rpc", "protocol_version = 1")
    cluster.start()
    for place, name in enumerate(TITLES):
        write(cluster[name], range(10 * place, 10 * place + 4))
    wait_for(lambda: settled(cluster), "both versions to agree")
    old.stop()
    path = old.folder / "node.toml"
    path.write_text(path.read_text().replace("protocol_version = 1\n", ""))
    old.start()
    cluster.wait_ready(old)
    write(old, range(60, 62))

    leader = cluster.leader()
    others = [each for each in cluster.departments.values() if each is not leader]
    term = status(others[0])["term"]
    assert leader.process is not None
    leader.process.send_signal(signal.SIGTERM)
    leader.process.wait(20)
    leader.process = None
    wait_for(
        lambda: any(status(each)["role"] == "leader" for each in others), "another node to lead"
    )
    assert status(others[0])["term"] > term
    write(others[0], range(70, 72))
    leader.start()
    cluster.wait_ready(leader)
    stop_and_verify(cluster)
