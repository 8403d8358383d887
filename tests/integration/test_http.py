"""The HTTP interface of real nodes: every wrong request has its problem."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from faults.load import offer, settled, verify, wait_for
from founding import found_here

from audit.cose import check_receipt
from audit.proofs.check import check_proof
from audit.questions import QUESTIONS
from cli.demo.cluster import Cluster, Department, program, run
from contracts.catalog import DatasetOffer, DatasetWithdraw, Description, Field
from ledger.attachments import attach_document
from ledger.checkpoints import from_note
from ledger.codec import encode
from ledger.genesis import parse_genesis_file
from ledger.notes import parse_note
from ledger.proofs import check_consistency
from ledger.records import RecordHeader, assemble_record
from ledger.signatures import Signer
from ledger.signatures import verify as signature_holds
from ledger.statements import record_statement
from ledger.tiles import parse_entries
from ledger.tree import leaf_hash, root_of
from ledger.types import TreeSize
from node.http.problems import MEDIA_TYPE, PROBLEMS

TITLES = {"health": "Health Commission", "housing": "Housing Bureau", "tourism": "Tourism Bureau"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("http"), TITLES)
    try:
        found_here(made)
        made.start()
        yield made
        wait_for(lambda: settled(made), "all nodes to agree")
        for department in made.departments.values():
            department.stop()
        for department in made.departments.values():
            verify(made.genesis, department.folder / "data")
    finally:
        made.close()


AS_JSON = {"Content-Type": "application/json"}


def ask(
    department: Department, method: str, path: str, *, role: str | None = "steward", **options: Any
) -> httpx2.Response:
    headers = options.pop("headers", {})
    if role is not None:
        headers["Authorization"] = f"Bearer {department.tokens.get(role, role)}"
    return httpx2.request(
        method, department.url + path, headers=headers, trust_env=False, timeout=30, **options
    )


def problem(answer: httpx2.Response, kind: str) -> dict[str, Any]:
    """The answer is this problem, in the form of RFC 9457."""
    content: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == MEDIA_TYPE, content
    assert content["type"] == f"urn:concordat:problem:{kind}", content
    assert content["status"] == answer.status_code == PROBLEMS[kind].status
    assert content["title"] and content["detail"] and content["remedy"]
    return content


def test_without_a_token_only_health_and_readiness_answer(cluster: Cluster) -> None:
    node = cluster["housing"]
    assert ask(node, "GET", "/healthz", role=None).status_code == 200
    assert ask(node, "GET", "/readyz", role=None).json() == {
        "ready": True,
        "standing": "good",
        "waits_for": None,
    }
    described = ask(node, "GET", "/v1/openapi.json").json()
    for path in [*described["paths"], "/v1/openapi.json"]:
        if path.startswith("/v1"):
            plain = path.replace("{", "").replace("}", "")
            answer = ask(node, "GET", plain, role=None)
            assert answer.status_code in (401, 404, 405), path


def test_tokens_wrong_expired_or_of_another_role_are_named(cluster: Cluster) -> None:
    node = cluster["housing"]
    assert "WWW-Authenticate" in ask(node, "GET", "/v1/status", role=None).headers
    problem(ask(node, "GET", "/v1/status", role=None), "no-token")
    problem(ask(node, "GET", "/v1/status", role="cct_nobody"), "unknown-token")
    problem(ask(node, "POST", "/v1/datasets", role="app", json=offer("x")), "wrong-role")
    problem(ask(node, "GET", "/v1/metrics", role="steward"), "wrong-role")
    problem(ask(node, "GET", "/v1/records", role="app"), "wrong-role")
    path = node.folder / "tokens.json"
    entries = json.loads(path.read_text())
    entries[0]["expires_at_ms"] = 1
    path.write_text(json.dumps(entries))
    expired = {"app": "demo-app", "steward": "demo-steward"}
    assert entries[0]["name"] in expired.values()
    role = next(role for role, name in expired.items() if name == entries[0]["name"])
    problem(ask(node, "GET", "/v1/status", role=role), "expired-token")
    entries[0]["expires_at_ms"] = 2**60
    path.write_text(json.dumps(entries) + " ")
    assert ask(node, "GET", "/v1/status", role=role).status_code == 200


def test_wrong_requests_name_their_fields(cluster: Cluster) -> None:
    node = cluster["housing"]
    wrong = offer("x") | {"colour": "red", "name": "Not A Name"}
    content = problem(ask(node, "POST", "/v1/datasets", json=wrong), "invalid-request")
    assert {fault["field"] for fault in content["faults"]} == {"body.colour", "body.name"}
    broken = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    problem(ask(node, "POST", "/v1/datasets", **broken), "invalid-request")
    problem(ask(node, "GET", "/v1/nothing"), "not-found")
    problem(ask(node, "DELETE", "/v1/datasets"), "wrong-method")
    problem(ask(node, "GET", "/v1/datasets?cursor=zz"), "invalid-request")
    problem(ask(node, "GET", "/v1/grants/" + "0" * 64), "not-found")
    problem(ask(node, "GET", "/v1/grants/" + "x" * 64), "invalid-request")
    problem(ask(node, "GET", "/v1/blocks/999999"), "not-found")
    large = {"content": b" " * 5_000_000, "headers": {"Content-Type": "application/json"}}
    problem(ask(node, "POST", "/v1/datasets", **large), "body-too-large")


def test_an_exchange_past_the_framework_is_answered_as_within_it(cluster: Cluster) -> None:
    node = cluster["housing"]
    wanted = {"grant_id": "0" * 64, "purpose": "dpv:Marketing", "case": "c", "query": {}}
    right = json.dumps(wanted).encode()
    bodies = [right, b"{", b"[]", b"\xff", b"[" * 100_000, right[:-1] + b', "colour": 1}']
    bodies.append(json.dumps(wanted | {"case": ""}).encode())
    kinds = []
    asked = [("app", body) for body in bodies] + [("auditor", right), (None, right)]
    for role, body in asked:
        first, second = (
            ask(node, "POST", path, role=role, content=body, headers=AS_JSON.copy())
            for path in ("/v1/exchanges", "/v1/exchanges?timeout_ms=5000")
        )
        assert first.json() == second.json() and first.status_code == second.status_code
        assert first.headers["content-type"] == second.headers["content-type"]
        kinds.append(first.json()["type"].rpartition(":")[2])
    assert kinds == ["not-found", *["invalid-request"] * 6, "wrong-role", "no-token"]


def test_a_dry_run_says_what_would_happen_and_writes_nothing(cluster: Cluster) -> None:
    node = cluster["housing"]
    path = "/v1/datasets?dry_run=true"
    assert ask(node, "POST", path, json=offer("dry")).json()["allowed"] is True
    ask(node, "POST", "/v1/datasets", json=offer("wet")).raise_for_status()
    verdict = ask(node, "POST", path, json=offer("wet")).json()
    assert (verdict["allowed"], verdict["code"]) == (False, "dataset-exists")
    problem(ask(node, "GET", "/v1/datasets/housing/dry"), "not-found")
    again = problem(ask(node, "POST", "/v1/datasets", json=offer("wet")), "refused")
    assert again["code"] == "dataset-exists"


def test_an_idempotency_key_stands_for_one_record_also_after_a_restart(cluster: Cluster) -> None:
    node = cluster["tourism"]
    key = {"Idempotency-Key": "the-key"}
    first = ask(node, "POST", "/v1/datasets", json=offer("keyed"), headers=dict(key)).json()
    again = ask(node, "POST", "/v1/datasets", json=offer("keyed"), headers=dict(key)).json()
    assert again["record_id"] == first["record_id"] and again["height"] == first["height"]
    other = ask(node, "POST", "/v1/datasets", json=offer("other"), headers=dict(key))
    problem(other, "key-reused")
    node.stop()
    node.start()
    cluster.wait_ready(node)
    later = ask(node, "POST", "/v1/datasets", json=offer("keyed"), headers=dict(key)).json()
    assert later["record_id"] == first["record_id"]
    other = ask(node, "POST", "/v1/datasets", json=offer("other"), headers=dict(key))
    problem(other, "key-reused")


class Maker:
    """Ready-made records of a department, signed with its own record key."""

    def __init__(self, cluster: Cluster, department: str) -> None:
        seed = (cluster[department].folder / "keys" / "record.key").read_text()
        self.signer = Signer(bytes.fromhex(seed.strip()))
        self.ledger_id = parse_genesis_file(cluster.genesis.read_bytes()).ledger_id
        self.department = department
        self.number = 0

    def record(self, **changes: Any) -> bytes:
        self.number += 1
        name = changes.pop("name", f"made-{self.number}")
        described = Description(name, "", (Field("a", "text", ""),), None)
        attached, document = attach_document(encode(described))
        signer = changes.pop("signer", self.signer)
        now_ms = time.time_ns() // 1_000_000
        header = RecordHeader(
            version=1,
            ledger_id=self.ledger_id,
            kind="dataset.publish",
            department=self.department,
            actor="maker",
            key=signer.public_key,
            created_ms=now_ms,
            valid_until_ms=now_ms + 60_000,
            nonce=(now_ms * 1000 + self.number).to_bytes(16, "big"),
            body=msgspec.Raw(encode(DatasetOffer(name, "internal", "open", False))),
            attached=attached,
        )
        spoil = changes.pop("spoil", False)
        header = msgspec.structs.replace(header, **changes)
        signature = signer.sign(record_statement(header.ledger_id, encode(header)))
        if spoil:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        data = document if header.attached is not None else None
        return assemble_record(header, signature, attached=data).to_bytes()


def send(node: Department, raw: bytes) -> httpx2.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return ask(node, "POST", "/v1/records", content=raw, headers=headers)


def test_ready_made_records_are_accepted_once_and_wrong_ones_named(cluster: Cluster) -> None:
    node = cluster["health"]
    maker = Maker(cluster, "health")
    raw = maker.record()
    first = send(node, raw).json()
    assert send(node, raw).json()["height"] == first["height"]
    shown = ask(node, "GET", f"/v1/records/{first['record_id']}").json()
    assert base64.b64decode(shown["raw"]) == raw and shown["body"]["name"] == "made-1"
    now_ms = time.time_ns() // 1_000_000
    nonce = (1).to_bytes(16, "big")
    send(node, maker.record(nonce=nonce)).raise_for_status()
    withdrawal = msgspec.Raw(encode(DatasetWithdraw("nothing-here", "why")))
    decomposed = msgspec.Raw(encode(DatasetWithdraw("made-1", "e\u0301")))
    cases = {
        "bad-signature": maker.record(spoil=True),
        "unknown-key": maker.record(signer=Signer(bytes(32))),
        "wrong-ledger": maker.record(ledger_id=bytes(32)),
        "expired": maker.record(created_ms=now_ms - 90_000, valid_until_ms=now_ms - 30_000),
        "not-yet-valid": maker.record(created_ms=now_ms + 60_000, valid_until_ms=now_ms + 90_000),
        "window-too-long": maker.record(valid_until_ms=now_ms + 2 * 86_400_000),
        "replayed": maker.record(nonce=nonce),
        "unknown-kind": maker.record(kind="dataset.paint", attached=None),
        "attachment-mismatch": maker.record(attached=None),
        "malformed-body": maker.record(kind="dataset.withdraw", attached=None, body=decomposed),
        "unknown-dataset": maker.record(kind="dataset.withdraw", attached=None, body=withdrawal),
        "malformed-record": raw + b"\x00",
    }
    for code, record in cases.items():
        assert problem(send(node, record), "refused")["code"] == code
    problem(send(node, b"\x00" * 5_000_000), "body-too-large")
    problem(send(node, Maker(cluster, "housing").record()), "wrong-role")
    assert ask(node, "GET", "/readyz", role=None).status_code == 200


def send_batch(node: Department, raws: list[bytes]) -> httpx2.Response:
    headers = {"Content-Type": "application/msgpack"}
    content = msgspec.msgpack.encode(raws)
    return ask(node, "POST", "/v1/records/batch", content=content, headers=headers)


def test_each_record_of_a_batch_is_judged_by_itself(cluster: Cluster) -> None:
    node = cluster["health"]
    maker = Maker(cluster, "health")
    good = [maker.record(name=f"together-{number}") for number in range(40)]
    raws = [*good[:20], maker.record(spoil=True), *good[20:], good[0]]
    answer = send_batch(node, raws).json()
    outcomes = answer["outcomes"]
    assert answer["accepted"] == 41 and answer["certified"]
    assert outcomes[20]["code"] == "bad-signature"
    placed = [outcome["leaf_index"] for outcome in outcomes if "leaf_index" in outcome]
    assert len(set(placed)) == 40 and outcomes[41] == outcomes[0]
    for raw, outcome in zip(good, [*outcomes[:20], *outcomes[21:]], strict=False):
        shown = ask(node, "GET", f"/v1/records/{outcome['record_id']}").json()
        assert base64.b64decode(shown["raw"]) == raw and shown["height"] == outcome["height"]


def test_a_batch_that_is_wrong_as_a_whole_writes_nothing(cluster: Cluster) -> None:
    node = cluster["health"]
    maker = Maker(cluster, "health")
    good = maker.record(name="left-out")
    revocation = maker.record(kind="grant.revoke", attached=None)
    assert problem(send_batch(node, [good, b"\x00"]), "refused")["code"] == "malformed-record"
    problem(send_batch(node, [good, Maker(cluster, "housing").record()]), "wrong-role")
    problem(send_batch(node, [good, revocation]), "invalid-request")
    problem(send_batch(node, []), "invalid-request")
    problem(send_batch(node, [good] * 1_001), "invalid-request")
    problem(ask(node, "POST", "/v1/records/batch", content=b"\xc1"), "invalid-request")
    problem(ask(node, "POST", "/v1/records/batch", role="auditor", content=b"\x90"), "wrong-role")
    assert send(node, good).status_code == 201


def test_pages_show_everything_once_while_writes_go_on(cluster: Cluster) -> None:
    node = cluster["housing"]
    for number in range(12):
        ask(node, "POST", "/v1/datasets", json=offer(f"page-{number}")).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            lambda: [
                ask(node, "POST", "/v1/datasets", json=offer(f"q-{number}")) for number in range(8)
            ]
        )
        names: list[str] = []
        cursor = ""
        while True:
            page = ask(node, "GET", f"/v1/datasets?publisher=housing&limit=3{cursor}").json()
            names += [item["name"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        writing.result()
    assert len(set(names)) == len(names)
    assert {f"page-{number}" for number in range(12)} <= set(names)


def events(node: Department, count: int, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """The first events of a stream."""
    headers["Authorization"] = f"Bearer {node.tokens['steward']}"
    found: list[tuple[str, dict[str, Any]]] = []
    identity = ""
    with httpx2.stream(
        "GET", f"{node.url}/v1/events", headers=headers, trust_env=False, timeout=30
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                identity = line[4:]
            elif line.startswith("data: "):
                found.append((identity, json.loads(line[6:])))
                if len(found) == count:
                    return found
    raise AssertionError("the stream ended")


def test_an_event_stream_resumes_without_gap_or_repeat(cluster: Cluster) -> None:
    node = cluster["health"]
    for number in range(10):
        ask(node, "POST", "/v1/datasets", json=offer(f"event-{number}")).raise_for_status()
    whole = events(node, 8)
    first = events(node, 3)
    rest = events(node, 5, **{"Last-Event-ID": first[-1][0]})
    assert [event["record_id"] for _, event in first + rest] == [e["record_id"] for _, e in whole]
    wrong = ask(node, "GET", "/v1/events", headers={"Last-Event-ID": "x"})
    problem(wrong, "invalid-request")


def test_followers_forward_and_reads_can_be_consistent(cluster: Cluster) -> None:
    for name, node in cluster.departments.items():
        written = ask(node, "POST", "/v1/datasets?wait=committed", json=offer("forwarded")).json()
        assert written["height"] >= 1
        for other in cluster.departments.values():
            answer = ask(other, "GET", f"/v1/datasets/{name}/forwarded?consistent=true")
            assert answer.status_code == 200
            assert int(answer.headers["concordat-height"]) >= written["height"]
            size, _, root = answer.headers["concordat-checkpoint"].partition(":")
            assert int(size) > 0 and len(root) == 64


def test_transparency_log_tools_read_the_ledger(cluster: Cluster, tmp_path: Path) -> None:
    """C2SP tlog-tiles, consistency and COSE receipts, each verified from the bytes that came."""
    node = cluster["health"]
    written = ask(node, "POST", "/v1/datasets", json=offer("for-tools")).json()
    note = parse_note(ask(node, "GET", "/checkpoint").content)
    checkpoint, cosignatures = from_note(note)
    genesis = parse_genesis_file(cluster.genesis.read_bytes())
    mine = next(
        entry.nodes[0] for entry in genesis.genesis.departments if entry.department == "health"
    )
    own = note.signatures[0]
    assert own.key_name == f"concordat/{genesis.ledger_id.hex()}" and len(cosignatures) >= 2
    assert signature_holds(mine.publication_key, note.text, own.signature)
    size = checkpoint.tree_size
    width = f"000.p/{size}" if size < 256 else "000"
    leaves = parse_entries(ask(node, "GET", f"/tile/entries/{width}").content)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert ask(node, "GET", f"/tile/0/{width}").content == b"".join(hashes)
    if size < 256:
        assert root_of(hashes) == checkpoint.root
    for wrong in ("0/0", "0/999", "9/000", "0/000.p/256", "0/000.p/01", "entries/x000/000", "0/a"):
        assert ask(node, "GET", f"/tile/{wrong}").status_code in (404, 422), wrong
    shown = ask(node, "GET", f"/v1/ledger/consistency?old=2&new={len(leaves)}").json()
    check_consistency(
        old_size=TreeSize(2),
        old_root=root_of(hashes[:2]),
        new_size=TreeSize(len(leaves)),
        new_root=root_of(hashes),
        proof=[base64.b64decode(text) for text in shown["hashes"]],
    )
    problem(ask(node, "GET", f"/v1/ledger/consistency?old=2&new={2**40}"), "not-found")
    record = written["record_id"]
    receipt = ask(node, "GET", f"/v1/records/{record}/receipt").content
    raw = base64.b64decode(ask(node, "GET", f"/v1/records/{record}").json()["raw"])
    leaf, _ = msgspec.msgpack.decode(raw)
    vouched = check_receipt(receipt, leaf)
    assert (vouched.key, vouched.leaf_index) == (mine.publication_key, written["leaf_index"])
    problem(ask(node, "GET", "/v1/records/" + "0" * 64 + "/receipt"), "not-found")
    taken, bytes_of = tmp_path / "receipt.cose", tmp_path / "record"
    bytes_of.write_bytes(raw)
    trusted = ("--genesis", str(cluster.genesis))
    prove = ("audit", "prove", "record", record, node.url, "--token", node.tokens["auditor"])
    run(program("concordat", *prove, *trusted, "--format", "cose", "-o", str(taken)))
    check = ("audit", "check", str(taken), "--record", str(bytes_of), "--json")
    shown = json.loads(run(program("concordat", *check, *trusted)))
    assert (shown["signed_by"], shown["facts"]["record_id"]) == (["health"], record)


def test_metrics_and_blocks_and_checkpoints_answer(cluster: Cluster) -> None:
    node = cluster["housing"]
    text = ask(node, "GET", "/v1/metrics", role="operator").text
    assert "concordat_certified_height" in text and "concordat_is_leader" in text
    block = ask(node, "GET", "/v1/blocks/1").json()
    assert block["height"] == 1 and block["tree_size"] == 0
    note = ask(node, "GET", "/v1/checkpoint").text
    assert note.startswith("concordat/") and "\n— " in note


def test_the_description_names_every_status_that_is_answered(cluster: Cluster) -> None:
    node = cluster["housing"]
    described = ask(node, "GET", "/v1/openapi.json").json()
    checked = 0
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if path == "/v1/events":
                continue
            plain = path.replace("{grant_id}", "0" * 64).replace("{record_id}", "0" * 64)
            plain = plain.replace("{publisher}", "housing").replace("{name}", "forwarded")
            plain = plain.replace("{height}", "1")
            for role in ("steward", "operator"):
                options = {"json": {}} if method in ("post", "put") else {}
                answer = ask(node, method.upper(), plain, role=role, **options)
                assert str(answer.status_code) in operation["responses"], (path, answer.text)
                checked += 1
    assert checked > 30


def test_an_audit_of_the_live_node_holds(cluster: Cluster) -> None:
    node = cluster["housing"]
    shown = run(
        program(
            "concordat",
            *("audit", "verify", node.url, "--genesis", str(cluster.genesis), "--forget"),
            *("--token", node.tokens["auditor"], "--json"),
        )
    )
    assert json.loads(shown)["holds"] is True


def test_an_auditor_asks_the_node_what_the_command_asks_a_ledger(cluster: Cluster) -> None:
    node = cluster["health"]
    listed = ask(node, "GET", "/v1/audit/questions", role="auditor").json()
    assert {entry["question"] for entry in listed} == set(QUESTIONS) - {"exchanges"}
    for number in range(3):
        asked = ask(node, "POST", "/v1/datasets", json=offer(f"asked-{number}"))
        assert asked.status_code == 201, asked.text
    given = {"dataset": "health/asked-0", "field": "id_number", "grant": "00" * 32, "days": "9"}
    given |= {"department": "health", "actor": "demo-steward"}
    for name, question in QUESTIONS.items():
        options = {each: given[each] for each in question.parameters}
        answer = ask(node, "GET", f"/v1/audit/{name}", role="auditor", params=options)
        if question.items:
            assert answer.status_code == 404, answer.text
            continue
        if "grant" in options:
            problem(answer, "invalid-request")
            assert f"there is no grant {given['grant']}" in answer.text
            continue
        assert answer.status_code == 200, answer.text
        assert answer.json()["certified_height"] <= answer.json()["height"]
    activity = {"department": "health", "limit": 2}
    pages = [ask(node, "GET", "/v1/audit/activity", role="auditor", params=activity).json()]
    while pages[-1]["next"] is not None:
        further = activity | {"offset": pages[-1]["next"]}
        pages.append(ask(node, "GET", "/v1/audit/activity", role="auditor", params=further).json())
    rows = [row for shown in pages for row in shown["rows"]]
    target = [node.url, "--token", node.tokens["auditor"], "--genesis", str(cluster.genesis)]
    asking = ("audit", "ask", "activity", *target, "--department", "health", "--as", "json")
    told = json.loads(run(program("concordat", *asking)))
    assert len(pages) > 1 and rows == told["rows"]
    assert pages[-1]["root"] == told["root"]
    for role in ("app", "operator"):
        problem(ask(node, "GET", "/v1/audit/unused", role=role), "wrong-role")
    problem(ask(node, "GET", "/v1/audit/everything", role="auditor"), "not-found")
    for wrong in ({}, {"dataset": "health/people", "from_ms": -1}):
        refused = ask(node, "GET", "/v1/audit/readers", role="auditor", params=wrong)
        problem(refused, "invalid-request")
    wrong = {"days": "soon"}
    problem(ask(node, "GET", "/v1/audit/expiring", role="auditor", params=wrong), "invalid-request")


def test_an_answer_of_a_node_carries_what_proves_it_complete(
    cluster: Cluster, tmp_path: Path
) -> None:
    node = cluster["health"]
    assert ask(node, "POST", "/v1/datasets", json=offer("proved")).status_code == 201
    year_ms = 365 * 86_400_000
    wanted = {
        "provider": "health",
        "dataset": "proved",
        "fields": ["id_number"],
        "purpose": "dpv:RequestedServiceProvision",
        "description": "a test",
        "legal_basis": "dpv:LegalObligation",
        "valid_from_ms": int(time.time() * 1000),
        "valid_until_ms": int(time.time() * 1000) + year_ms // 2,
    }
    asked = ask(cluster["housing"], "POST", "/v1/grants", json=wanted)
    assert asked.status_code == 201, asked.text
    grant_id = asked.json()["record_id"]
    approved = ask(node, "POST", f"/v1/grants/{grant_id}/approve")
    assert approved.status_code == 200, approved.text
    of = {"readers": {"dataset": "health/proved"}, "timeline": {"grant": grant_id}}
    of |= {"emergencies": {}, "activity": {"department": "health"}}
    genesis = parse_genesis_file(cluster.genesis.read_bytes())
    proved: dict[str, dict[str, dict[str, Any]]] = {}
    for question, given in of.items():
        options = {"params": {**given, "proof": "true"}}
        answer = ask(node, "GET", f"/v1/audit/{question}", role="auditor", **options)
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert shown["certified_height"] == shown["height"], "what is proved is certified"
        proved[question] = {}
        for name, text in shown["proof"].items():
            if name.endswith(".note"):
                checkpoint, _ = from_note(parse_note(text.encode()))
                assert checkpoint.root.hex() == shown["root"]
                (tmp_path / name).write_text(text, encoding="utf-8")
            elif name != "voters.json":
                found = check_proof(text.encode(), genesis, shown["proof"]["voters.json"].encode())
                assert found.checkpoint.root.hex() == shown["root"]
                proved[question][name] = found.facts
    assert [entry["grant_id"] for entry in proved["readers"]["grants.json"]["grants"]] == [grant_id]
    assert set(proved["readers"]) == {
        *("grants.json", f"receipts-{grant_id}.json", f"record-{grant_id}.json")
    }
    assert len(proved["timeline"]["timeline.json"]["records"]) == 2
    assert set(proved["emergencies"]) == {"emergencies.json"}
    target = [node.url, "--token", node.tokens["auditor"]]
    old = str(tmp_path / "checkpoint.note")
    compared = run(program("concordat", "audit", "compare", old, *target, "--json"))
    assert json.loads(compared)["relation"] in ("same", "prefix"), "the ledger goes on from there"
    plain = ask(node, "GET", "/v1/audit/readers", role="auditor", params=of["readers"]).json()
    assert plain["proof"] is None
    missing = {"grant": "00" * 32, "proof": "true"}
    problem(
        ask(node, "GET", "/v1/audit/timeline", role="auditor", params=missing), "invalid-request"
    )
