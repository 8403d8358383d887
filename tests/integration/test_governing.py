"""Departments govern over their nodes' HTTP interfaces and with the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from faults.load import settled, verify, wait_for

from cli.demo.cluster import Cluster, DemoFailed, Department, program, run

TITLES = {"health": "Health Commission", "housing": "Housing Bureau", "tourism": "Tourism Bureau"}


def with_delegate(department: Department) -> None:
    """The department's node gets a token for whoever proposes and votes."""
    arguments = ("token", "add", "delegate", "--role", "delegate")
    config = ("--config", str(department.folder / "node.toml"))
    department.tokens["delegate"] = run(program("concordat-node", *arguments, *config)).strip()


def concordat(department: Department, *arguments: str) -> str:
    """`concordat consortium` at the department's node, as its delegate. Raises DemoFailed."""
    options = ("--url", department.url, "--token", department.tokens["delegate"])
    return run(program("concordat", "consortium", *arguments, *options))


def written(department: Department, *arguments: str) -> dict[str, Any]:
    """The answer to a command that writes."""
    answer: dict[str, Any] = json.loads(concordat(department, *arguments, "--json"))
    return answer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("governance"), TITLES)
    try:
        made.found()
        for department in made.departments.values():
            with_delegate(department)
        made.start()
        yield made
        wait_for(lambda: settled(made), "all nodes to agree")
        for department in made.departments.values():
            department.stop()
        for department in made.departments.values():
            verify(made.genesis, department.folder / "data")
    finally:
        made.close()


def test_two_of_three_departments_change_a_setting_with_the_command_line(cluster: Cluster) -> None:
    health, housing = cluster["health"], cluster["housing"]
    arguments = ("propose", "change-setting", "record-skew-ms", "7000", "--reason", "slow clocks")
    proposal = written(health, *arguments)["record_id"]
    wait_for(lambda: proposal in concordat(housing, "status", "--json"), "it to come here")
    shown = json.loads(concordat(housing, "status", proposal[:12], "--json"))
    assert (shown["status"], shown["approvals"], shown["needed"]) == ("open", 1, 2)
    assert shown["action"] == {
        "action": "change-setting",
        "name": "record-skew-ms",
        "value": 7000,
    }
    text = concordat(housing, "status")
    assert "open proposals" in text
    assert "voters: 3" in text
    assert "certified" in concordat(housing, "vote", proposal[:12], "yes")
    decided = json.loads(concordat(housing, "status", proposal, "--json"))
    assert decided["status"] == "decided"
    known = json.loads(concordat(housing, "status", "--json"))
    assert known["consortium"]["settings"]["record-skew-ms"] == 7000
    assert known["proposals"] == []
    assert proposal in concordat(housing, "status", "--all", "--json")


def test_a_refused_ballot_says_why_and_what_to_do(cluster: Cluster) -> None:
    health = cluster["health"]
    arguments = ("propose", "change-setting", "voters-min", "2", "--reason", "smaller")
    proposal = written(health, *arguments)["record_id"]
    with pytest.raises(DemoFailed, match=r"already-voted.*\n.*what to do"):
        concordat(health, "vote", proposal, "yes")
    assert "already-voted" in json.loads(
        concordat(health, "vote", proposal, "yes", "--dry-run", "--json")
    )["code"]  # fmt: skip
    concordat(health, "withdraw", proposal)
    with pytest.raises(DemoFailed, match="proposal-closed"):
        concordat(health, "vote", proposal, "no")
    with pytest.raises(DemoFailed, match="no proposal is meant by"):
        concordat(health, "vote", "00000000", "no")


def test_only_a_delegate_proposes_and_votes(cluster: Cluster) -> None:
    health = cluster["health"]
    body = {"action": {"action": "resume-department", "department": "housing"}, "reason": "x"}
    for role in ("steward", "auditor", "operator", "app"):
        headers = {"Authorization": f"Bearer {health.tokens[role]}"}
        answer = httpx2.post(
            f"{health.url}/v1/proposals", json=body, headers=headers, trust_env=False
        )
        assert answer.json()["type"] == "urn:concordat:problem:wrong-role"
    headers = {"Authorization": f"Bearer {health.tokens['delegate']}"}
    answer = httpx2.post(f"{health.url}/v1/datasets", json={}, headers=headers, trust_env=False)
    assert answer.json()["type"] == "urn:concordat:problem:wrong-role"
    refused = httpx2.post(f"{health.url}/v1/proposals", json=body, headers=headers, trust_env=False)
    assert refused.json()["code"] == "nothing-to-change"


def test_an_enrolment_is_shown_with_what_people_compare(cluster: Cluster, tmp_path: Path) -> None:
    health = cluster["health"]
    shown = run(
        program(
            "concordat-node",
            *("init", str(tmp_path / "fisheries"), "--join", str(cluster.genesis)),
            *("--department", "fisheries", "--title", "Fisheries"),
            *("--rpc-address", "127.0.0.1:9"),
        )
    )
    assert "a member who proposes it" in shown
    enrolment = tmp_path / "fisheries" / "enrolment.json"
    assert (tmp_path / "fisheries" / "genesis.json").read_bytes() == cluster.genesis.read_bytes()
    arguments = ("propose", "admit-department", str(enrolment), "--reason", "joins")
    proposal = written(health, *arguments)["record_id"]
    action = json.loads(concordat(health, "status", proposal, "--json"))["action"]
    fingerprint = json.loads(enrolment.read_text())["fingerprint"]
    assert action["enrolment"]["fingerprint"] == fingerprint
    assert fingerprint in shown
    assert "compare by telephone" in concordat(health, "status", proposal)
    concordat(health, "withdraw", proposal)
    founders = json.loads((health.folder / "enrolment.json").read_text())
    body = {"action": {"action": "admit-department", "enrolment": founders}, "reason": "x"}
    headers = {"Authorization": f"Bearer {health.tokens['delegate']}"}
    answer = httpx2.post(f"{health.url}/v1/proposals", json=body, headers=headers, trust_env=False)
    assert answer.json()["code"] == "invalid-enrolment"
    body["action"]["enrolment"]["fingerprint"] = ""
    answer = httpx2.post(f"{health.url}/v1/proposals", json=body, headers=headers, trust_env=False)
    assert answer.json()["type"] == "urn:concordat:problem:invalid-request"
