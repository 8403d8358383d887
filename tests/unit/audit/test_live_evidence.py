"""`audit compare` and `blame` between running nodes: real routes over a real socket.

The nodes' stores are branches that liars made; everything between store and auditor is the node's.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
import uvicorn
from branches import Branch
from builders import Consortium
from click.testing import CliRunner, Result
from recorded import dataset

from cli.demo.cluster import free_ports
from cli.main import main
from ledger import store_keys
from ledger.codec import encode
from ledger.evidence import ProposedTwice
from ledger.evidence import SignedProposal as KeptProposal
from node.http.app import make_app
from node.service import Service
from node.tokens import Tokens


class Snapshot(Branch):
    """A branch as a node's store shows it."""

    def __init__(self, branch: Branch) -> None:
        self.__dict__.update(branch.__dict__)

    def snapshot(self) -> "Snapshot":
        return self

    def close(self) -> None:
        pass


@contextmanager
def node_with(branch: Branch, folder: Path) -> Iterator[tuple[str, str]]:
    """The HTTP interface of a node that holds the branch: its URL and an auditor's token."""
    folder.mkdir()
    tokens = Tokens(folder / "tokens.json")
    secret = tokens.add(name="auditor", role="auditor", expires_at_ms=2**62)
    node = SimpleNamespace(
        store=Snapshot(branch),
        ledger_id=branch.genesis.ledger_id,
        certificate=None,
        out_of_service=None,
        clock=SimpleNamespace(now_ms=lambda: 0),
        events=SimpleNamespace(height=0, certified_height=0),
        config=SimpleNamespace(http=SimpleNamespace(body_bytes_max=4096, page_max=100)),
    )
    app = make_app(cast("Service", SimpleNamespace(node=node, tokens=tokens)))
    listener = socket.create_server(("127.0.0.1", free_ports(1)[0]))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = Thread(target=server.run, args=([listener],))
    serving.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", secret
    finally:
        server.should_exit = True
        serving.join(timeout=20)
        listener.close()


def run(command: str, nodes: list[tuple[str, str]], *arguments: str) -> Result:
    (url, token), *others = nodes
    targets = [url, *(other for other, _ in others), "--token", token]
    targets += [part for _, other in others for part in ("--other-token", other)]
    return CliRunner().invoke(main, ["audit", command, *targets, "--json", *arguments])


CITY = Consortium()


def trunk() -> Branch:
    branch = Branch(CITY)
    for number in range(3):
        branch.block(dataset(CITY, "health", f"table-{number}"))
    branch.certify(CITY.departments)
    return branch


@pytest.fixture
def genesis(tmp_path: Path) -> str:
    path = tmp_path / "genesis.json"
    path.write_bytes(CITY.genesis_file.to_json())
    return str(path)


def blamed(branches: list[Branch], tmp_path: Path, genesis: str) -> list[str]:
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(node_with(branch, tmp_path / str(number)))
            for number, branch in enumerate(branches)
        ]
        if len(nodes) == 2:
            compared = json.loads(run("compare", nodes).output)
            assert compared["relation"] == "fork" and compared["common_height"] == 3
        done = run("blame", nodes, "--genesis", genesis)
    shown = json.loads(done.output)
    assert done.exit_code == (1 if shown["departments"] else 0)
    return list(shown["departments"])


def test_who_certified_both_branches_is_named_from_two_running_nodes(
    tmp_path: Path, genesis: str
) -> None:
    one, other = trunk(), trunk()
    one.block(dataset(CITY, "health", "one"), log=False)
    other.block(dataset(CITY, "health", "other"), log=False)
    one.certify(("health", "housing", "transport"))
    other.certify(("health", "tourism", "transport"))
    assert blamed([one, other], tmp_path, genesis) == ["health", "transport"]


def test_a_leader_that_proposed_two_entries_is_named_from_their_logs(
    tmp_path: Path, genesis: str
) -> None:
    one, other = trunk(), trunk()
    one.block(dataset(CITY, "health", "one"), leader="tourism")
    other.block(dataset(CITY, "health", "other"), leader="tourism")
    assert blamed([one, other], tmp_path, genesis) == ["tourism"]


def test_signatures_above_the_newest_certificate_count(tmp_path: Path, genesis: str) -> None:
    one, other = trunk(), trunk()
    one.block(dataset(CITY, "health", "one"), log=False)
    other.block(dataset(CITY, "health", "other"), log=False)
    one.sign_own("housing")
    other.sign_own("housing")
    assert blamed([one, other], tmp_path, genesis) == ["housing"]


def test_one_node_with_evidence_is_enough(tmp_path: Path, genesis: str) -> None:
    holder = trunk()
    index = holder.replay.tip.height + 1
    kept = []
    for name in ("one", "other"):
        branch = trunk()
        branch.block(dataset(CITY, "health", name), leader="tourism")
        stored = branch.values[store_keys.entry_key(index)]
        (term, _, data, proposer, signature), _ = msgspec.msgpack.decode(stored)
        previous = msgspec.msgpack.decode(branch.values[store_keys.entry_key(index - 1)])[1]
        kept.append(KeptProposal(term, index, previous, data, proposer, signature))
    evidence = ProposedTwice(*kept)
    holder.values[store_keys.evidence_key(0)] = encode(evidence)
    assert blamed([holder], tmp_path, genesis) == ["tourism"]


def test_nodes_of_one_ledger_name_nobody(tmp_path: Path, genesis: str) -> None:
    behind, ahead = trunk(), trunk()
    ahead.block(dataset(CITY, "health", "more"))
    ahead.sign_own("housing")
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(node_with(branch, tmp_path / str(number)))
            for number, branch in enumerate((behind, ahead))
        ]
        assert json.loads(run("compare", nodes).output)["relation"] == "prefix"
        assert json.loads(run("blame", nodes, "--genesis", genesis).output)["departments"] == []
        wrong = [nodes[0], (nodes[1][0], "cct_nobody")]
        refused = run("compare", wrong)
        assert refused.exit_code == 1 and "status 401" in refused.output
