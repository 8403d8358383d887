"""What the commands about the consortium ask of a node: a server here stands in for it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main

HEALTH, FISHERIES = "a" * 64, "ab" + "c" * 62
PROPOSAL, OTHER = "5b88423e" + "0" * 56, "5b88423f" + "0" * 56


def node_view(node_id: str) -> dict[str, Any]:
    return {"node_id": node_id, "rpc_address": "127.0.0.1:1", "role": "voter", "since_height": 0}


CONSORTIUM = {
    "title": "A city",
    "departments": [
        {
            "department": name,
            "title": name,
            "status": "active",
            "nodes": [node_view(node_id) for node_id in ids],
            "record_keys": ["d" * 64],
        }
        for name, ids in (("fisheries", [FISHERIES]), ("health", [HEALTH]), ("library", []))
    ],
    "voters": [HEALTH],
    "incoming": [],
    "target_voters": [HEALTH],
}
SHOWN = {
    "proposal_id": PROPOSAL,
    "proposer": "health",
    "action": {
        "action": "admit-department",
        "enrolment": {
            "department": "parks",
            "title": "Parks",
            "fingerprint": "12345 67890",
            "nodes": [{"node_id": "e" * 64, "rpc_address": "parks:7400"}],
            "record_keys": ["f" * 64],
        },
    },
    "reason": "joins",
    "status": "open",
    "opened_height": 4,
    "decided_height": 4,
    "expires_ms": 1_790_000_000_000,
    "ballots": [
        {"department": "health", "approves": True, "counts": True},
        {"department": "tourism", "approves": False, "counts": False},
    ],
    "approvals": 1,
    "rejections": 0,
    "needed": 2,
    "departments": 3,
}


class Node(ThreadingHTTPServer):
    """Answers reads with what is above, and remembers what was written."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.written: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "/v1/consortium": CONSORTIUM,
            "/v1/proposals": {"items": [SHOWN, SHOWN | {"proposal_id": OTHER}], "next": None},
            f"/v1/proposals/{PROPOSAL}": SHOWN,
        }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Node

    def do_GET(self) -> None:
        self._answer(self.server.answers[self.path.partition("?")[0]])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.written.append((self.path, json.loads(body) if body else None))
        self._answer({"record_id": "9" * 64, "height": 7, "leaf_index": 9, "certified": True})

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def _answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def called(node: Node, *arguments: str, code: int = 0) -> str:
    """What `concordat consortium` prints; the node takes its errors' words, too."""
    options = ("--url", f"http://127.0.0.1:{node.server_address[1]}", "--token", "cct_x")
    done = CliRunner().invoke(main, ["consortium", *arguments, *options])
    assert done.exit_code == code, done.output
    return done.output


COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "suspend-department": (("health",), {"department": "health"}),
    "resume-department": (("health",), {"department": "health"}),
    "retire-department": (("health",), {"department": "health"}),
    "retire-node": (("health",), {"node_id": HEALTH}),
    "change-voters": (
        ("--join", "fisheries", "--leave", HEALTH[:12]),
        {"joining": [FISHERIES], "leaving": [HEALTH]},
    ),
    "revoke-key": (("d" * 64,), {"key": "d" * 64}),
    "adopt-document": (
        ("calendar", "health", "d" * 64),
        {"kind": "calendar", "publisher": "health", "document": "d" * 64},
    ),
    "change-setting": (("voters-min", "1"), {"name": "voters-min", "value": 1}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_proposal_says_its_action_and_its_reason(node: Node, name: str) -> None:
    arguments, parts = COMMANDS[name]
    called(node, "propose", name, *arguments, "--reason", "as agreed")
    body = {"action": {"action": name, **parts}, "reason": "as agreed"}
    assert node.written == [("/v1/proposals", body)]


@pytest.mark.parametrize("name", ["admit-department", "admit-node"])
def test_an_enrolment_file_is_sent_as_it_is(node: Node, name: str, tmp_path: Path) -> None:
    file = tmp_path / "enrolment.json"
    file.write_text('{"concordat": "enrolment/1"}')
    called(node, "propose", name, str(file), "--reason", "joins")
    [(_, body)] = node.written
    assert body["action"] == {"action": name, "enrolment": {"concordat": "enrolment/1"}}


@pytest.mark.parametrize(("options", "votes"), [((), False), (("--votes",), True)])
def test_a_successor_votes_only_if_it_is_to(
    node: Node, tmp_path: Path, options: tuple[str, ...], votes: bool
) -> None:
    file = tmp_path / "enrolment.json"
    file.write_text("{}")
    arguments = ("propose", "replace-node", "health", str(file), "--reason", "lost disk")
    called(node, *arguments, *options)
    [(_, body)] = node.written
    assert body["action"] == {
        "action": "replace-node",
        "node_id": HEALTH,
        "enrolment": {},
        "votes": votes,
    }


def test_ballots_withdrawals_and_keys_go_to_their_routes(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "record-key.json"
    file.write_text('{"key": "00"}')
    called(node, "vote", PROPOSAL, "yes")
    called(node, "vote", PROPOSAL[:8], "no", code=0)
    called(node, "withdraw", PROPOSAL)
    called(node, "add-key", str(file))
    called(node, "revoke-key", "d" * 64, "--reason", "rotated")
    assert node.written == [
        (f"/v1/proposals/{PROPOSAL}/ballot", {"approves": True}),
        (f"/v1/proposals/{PROPOSAL}/ballot", {"approves": False}),
        (f"/v1/proposals/{PROPOSAL}/withdraw", None),
        ("/v1/keys", {"key": "00"}),
        (f"/v1/keys/{'d' * 64}/revoke", {"reason": "rotated"}),
    ]


@pytest.mark.parametrize("text", ["library", "5b8", "5b884", "fish", "a" * 7, "0" * 8])
def test_a_node_that_could_be_none_or_several_is_not_guessed(node: Node, text: str) -> None:
    done = CliRunner().invoke(
        main,
        [
            *("consortium", "propose", "retire-node", text, "--reason", "x"),
            *("--url", f"http://127.0.0.1:{node.server_address[1]}", "--token", "cct_x"),
        ],
    )
    assert done.exit_code == 1
    assert node.written == []


def test_the_status_shows_members_voters_and_proposals(node: Node) -> None:
    shown = called(node, "status")
    for word in ("fisheries", "library", "voters: 1", "open proposals"):
        assert word in shown
    node.answers["/v1/consortium"] = CONSORTIUM | {"target_voters": [HEALTH, FISHERIES]}
    assert "2 are decided and come in a moment" in called(node, "status")
    node.answers["/v1/consortium"] = CONSORTIUM | {"incoming": [HEALTH, FISHERIES]}
    assert "changing to 2: both have to agree" in called(node, "status")
    both = json.loads(called(node, "status", "--json"))
    assert [entry["proposal_id"] for entry in both["proposals"]] == [PROPOSAL, OTHER]


def test_one_proposal_is_shown_with_what_to_compare_and_who_counts(node: Node) -> None:
    shown = called(node, "status", PROPOSAL)
    for word in ("12345 67890", "health: yes", "tourism: no (does not count)"):
        assert word in " ".join(shown.split())
    assert json.loads(called(node, "status", PROPOSAL, "--json")) == SHOWN
