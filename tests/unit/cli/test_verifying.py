"""`concordat audit verify` on a command line: broken off and continued, of a folder and a node."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlparse

import pytest
from branches import Branch, write_store
from builders import Consortium
from click.testing import CliRunner, Result
from recorded import dataset

from audit import verify
from audit.sources.live import LiveSource
from cli.main import main
from ledger import store_keys
from ledger.codec import encode
from ledger.types import LeafIndex


@pytest.fixture
def branch(monkeypatch: pytest.MonkeyPatch) -> Branch:
    """Fourteen leaves; progress is written after every fourth at the latest."""
    monkeypatch.setattr(verify, "PROGRESS_LEAVES", 4)
    consortium = Consortium(("health", "housing"), voter_count=1)
    made = Branch(consortium)
    for number in range(7):
        made.block(dataset(consortium, "health", f"table-{number}"))
    made.certify(("health",))
    return made


def run(branch: Branch, target: str, folder: Path, memory: str, *more: str) -> Result:
    genesis = folder / "genesis.json"
    genesis.write_bytes(branch.genesis.to_json())
    trusted = ["--genesis", str(genesis), "--memory", str(folder / memory)]
    resumed = ["--resume", str(folder / "kept")]
    return CliRunner().invoke(main, ["audit", "verify", target, *trusted, *resumed, *more])


def test_the_same_command_continues_and_says_from_where(branch: Branch, tmp_path: Path) -> None:
    data = str(write_store(branch, tmp_path / "data"))
    first = run(branch, data, tmp_path, "mine", "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.output)["resumed_height"] == 0
    second = run(branch, data, tmp_path, "mine", "--json")
    assert second.exit_code == 0, second.output
    assert json.loads(second.output)["resumed_height"] == 6
    assert "resumed     after block 6" in run(branch, data, tmp_path, "mine").output
    foreign = run(branch, data, tmp_path, "another's")
    assert foreign.exit_code == 1
    assert "has not sealed the progress" in foreign.output


KILLED = """
import os, signal, sys
from audit import progress, verify
from audit.sources.scratch_folder import ScratchFolder
from cli.main import main

verify.PROGRESS_LEAVES = 4
written, kept = ScratchFolder.write, []

def write(folder, puts):
    written(folder, puts)
    kept.extend(key for key in puts if key == progress.MARK)
    if len(kept) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

ScratchFolder.write = write
main(sys.argv[1:])
"""
"""`concordat`, killed when an audit has kept its progress for the second time."""


def test_an_audit_that_was_killed_goes_on_where_it_was(branch: Branch, tmp_path: Path) -> None:
    data = str(write_store(branch, tmp_path / "data"))
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(branch.genesis.to_json())
    options = ["--memory", str(tmp_path / "mine"), "--resume", str(tmp_path / "kept")]
    words = ["audit", "verify", data, "--genesis", str(genesis), *options]
    ended = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert ended.returncode == -signal.SIGKILL
    report = json.loads(run(branch, data, tmp_path, "mine", "--json").output)
    assert (report["resumed_height"], report["holds"], report["records"]) == (4, True, 7)


def test_only_a_full_verification_is_resumed(branch: Branch, tmp_path: Path) -> None:
    done = run(branch, str(tmp_path), tmp_path, "mine", "--level", "structure")
    assert done.exit_code == 1
    assert "only a full verification" in done.output


@pytest.fixture
def node(branch: Branch) -> Iterator[tuple[str, list[int]]]:
    """A node's address, and the leaves it was asked for; it gives three at a time."""
    asked: list[int] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlparse(self.path).query)
            start, count = int(query["start"][0]), int(query["count"][0])
            pairs, index = [], start
            while index < start + min(count, 3):
                leaf = store_keys.leaf_key(LeafIndex(index))
                if leaf not in branch.values:
                    break
                asked.append(index)
                attached = store_keys.attached_key(LeafIndex(index))
                for key in (leaf, attached):
                    if key in branch.values:
                        pairs.append((key, branch.values[key]))
                index += 1
            if start == 0:
                pairs += branch.scan(store_keys.CERTIFICATE, b"d")
            body = encode(pairs)
            self.send_response(200)
            self.send_header("Concordat-Next", str(index))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_node_is_not_asked_again_for_what_was_verified(
    node: tuple[str, list[int]], branch: Branch, tmp_path: Path
) -> None:
    url, asked = node
    done = run(branch, url, tmp_path, "mine", "--json", "--token", "cct_x")
    assert done.exit_code == 0, done.output
    assert asked == list(range(14))
    asked.clear()
    branch.block(dataset(branch.consortium, "housing", "later"))
    branch.certify(("health",))
    done = run(branch, url, tmp_path, "mine", "--json", "--token", "cct_x")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["resumed_height"], report["height"]) == (6, 8)
    assert asked == [0, 11, 12, 13, 14, 15]


def test_a_whole_ledger_is_fetched_page_by_page(node: tuple[str, list[int]]) -> None:
    url, asked = node
    with LiveSource(url, "cct_x") as source:
        assert sum(1 for _ in source.scan(store_keys.LEAF, b"m")) == 14
        assert any(source.scan(store_keys.CERTIFICATE, b"d"))
    assert asked == list(range(14))
