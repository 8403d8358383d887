"""Departments govern over their nodes' HTTP interfaces and with the command line."""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from faults.load import offer, settled, verify, wait_for

from cli.client import Client
from cli.demo.cluster import Cluster, DemoFailed, Department, program, run
from cli.show import Failure

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


def test_a_record_key_is_rotated_with_an_overlap(cluster: Cluster) -> None:
    housing = cluster["housing"]
    config = ("--config", str(housing.folder / "node.toml"))
    run(program("concordat-node", "record-key", "new", *config))
    assert "certified" in concordat(housing, "add-key", str(housing.folder / "record-key.json"))
    housing.client("steward").post("/v1/datasets", offer("old-key"))
    words = run(program("concordat-node", "record-key", "use", *config)).split()
    new, old = words[words.index("on:") + 1], words[-1]
    housing.stop()
    housing.start()
    cluster.wait_ready(housing)
    housing.client("steward").post("/v1/datasets", offer("new-key"))
    assert "certified" in concordat(housing, "revoke-key", old, "--reason", "rotated")
    [keys] = [
        entry["record_keys"]
        for entry in known(housing)["departments"]
        if entry["department"] == "housing"
    ]
    assert keys == [new]
    housing.client("steward").post("/v1/datasets", offer("after"))


def joined(cluster: Cluster, name: str) -> Department:
    """A department with a node that is no founder's, started, to be admitted."""
    http_port, rpc_port = cluster.spare_ports
    made = Department(name, cluster.folder / name, http_port, rpc_port)
    run(
        program(
            "concordat-node",
            *("init", str(made.folder), "--join", str(cluster.genesis)),
            *("--department", name, "--title", name.title()),
            *("--rpc-address", f"{made.host}:{rpc_port}"),
            *("--rpc-listen", f"{made.host}:{rpc_port}"),
            *("--http-listen", f"{made.host}:{http_port}"),
        )
    )
    for role in ("steward", "operator", "delegate"):
        arguments = ("token", "add", role, "--role", role)
        config = ("--config", str(made.folder / "node.toml"))
        made.tokens[role] = run(program("concordat-node", *arguments, *config)).strip()
    made.start()
    return made


def decided(cluster: Cluster, *, by: Iterable[str] = TITLES, **action: Any) -> None:
    """Proposed by the first of these departments and approved by as many others as it takes."""
    first, *others = (cluster[name].client("delegate") for name in by)
    body = {"action": action, "reason": "as agreed"}
    path = f"/v1/proposals/{first.post('/v1/proposals', body)['record_id']}"
    missing = first.get(path)["needed"] - 1
    for other in others[:missing]:
        wait_for(partial(is_there, other, path), "the proposal to come here")
        other.post(f"{path}/ballot", {"approves": True})
    wait_for(lambda: first.get(path)["status"] == "decided", "it to be decided")


def is_there(client: Client, path: str) -> bool:
    """Whether the node has it already."""
    try:
        client.get(path)
    except Failure:
        return False
    return True


def leader_but(cluster: Cluster, other: Department | None = None) -> Department:
    """Who leads, as soon as somebody does and it is not that one."""
    found: list[Department] = []

    def leads() -> bool:
        try:
            found.append(cluster.leader())
        except DemoFailed:
            return False
        return found[-1] is not other

    wait_for(leads, "somebody to lead")
    return found[-1]


def known(department: Department) -> dict[str, Any]:
    """The consortium as that node has it."""
    found: dict[str, Any] = department.client("operator").get("/v1/consortium")
    return found


def node_of(cluster: Cluster, name: str) -> str:
    """The id of a department's node."""
    found: str = cluster[name].client("operator").get("/v1/status")["node_id"]
    return found


def roles(department: Department) -> dict[str, list[str]]:
    """What each department's nodes are, as that node has it."""
    return {
        entry["department"]: [node["role"] for node in entry["nodes"]]
        for entry in known(department)["departments"]
    }


def test_a_new_department_joins_and_votes_and_the_old_leader_is_voted_out(
    cluster: Cluster,
) -> None:
    newcomer = joined(cluster, "fisheries")
    cluster.departments["fisheries"] = newcomer
    enrolment = json.loads((newcomer.folder / "enrolment.json").read_text())
    decided(cluster, action="admit-department", enrolment=enrolment)
    cluster.wait_ready(newcomer)
    wait_for(lambda: settled(cluster), "the newcomer to have everything")
    assert roles(newcomer)["fisheries"] == ["learner"]

    leader = leader_but(cluster)
    leaves, joins = node_of(cluster, leader.name), node_of(cluster, "fisheries")
    decided(cluster, action="change-voters", joining=[joins], leaving=[leaves])
    wait_for(
        lambda: (
            roles(newcomer)
            == {name: ["learner" if name == leader.name else "voter"] for name in roles(newcomer)}
            and not known(newcomer)["incoming"]
        ),
        "the voters to be others",
    )
    leader_but(cluster, leader)
    newcomer.client("steward").post("/v1/datasets", offer("catches"))
    wait_for(lambda: settled(cluster), "all nodes to agree")

    leader.kill()
    newcomer.client("steward").post("/v1/datasets", offer("boats"))
    leader.start()
    cluster.wait_ready(leader)
    staying = [name for name in cluster.departments if name != leader.name]
    decided(cluster, by=staying, action="retire-node", node_id=leaves)
    leader.stop()
    for client in leader.clients.values():
        client.close()
    del cluster.departments[leader.name]
    newcomer.client("steward").post("/v1/datasets", offer("ports"))
    audit = ("audit", "verify", str(leader.folder / "data"), "--genesis", str(cluster.genesis))
    assert "the voters changed 2 times" in run(program("concordat", *audit, "--forget"))
