"""How a real node starts: what it waits for, and what it refuses to start with."""

import json
import subprocess
from pathlib import Path

import httpx2
from faults.load import offer, wait_for
from founding import found_here

from cli.demo.cluster import Cluster, Department, program

TITLES = {"health": "Health Commission", "housing": "Housing Bureau", "tourism": "Tourism Bureau"}


def ready(node: Department) -> httpx2.Response | None:
    """What the node says of itself; None while it does not listen."""
    try:
        return httpx2.get(node.url + "/readyz", trust_env=False, timeout=30)
    except httpx2.HTTPError:
        return None


def refused_start(folder: Path) -> str:
    done = subprocess.run(
        program("concordat-node", "run", "--config", str(folder / "node.toml")),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and "what to do:" in done.stderr
    return done.stderr


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    made = Cluster(tmp_path, TITLES)
    try:
        found_here(made)
        made["housing"].start()
        wait_for(lambda: ready(made["housing"]) is not None, "the node to take its ports")
        refuse_to_start_beside(made["housing"], tmp_path / "copy")
    finally:
        made.close()


def refuse_to_start_beside(running: Department, folder: Path) -> None:
    """A copy of a running node's folder, with one thing wrong after the other."""
    folder.mkdir()
    for name in ("keys", "genesis.json", "node.toml"):
        subprocess.run(["cp", "-a", str(running.folder / name), str(folder / name)], check=True)
    assert "cannot listen for apps" in refused_start(folder)
    config = (folder / "node.toml").read_text()
    free = config.replace(f":{running.http_port}", ":0")
    (folder / "node.toml").write_text(free)
    assert "cannot listen for peers" in refused_start(folder)
    (folder / "node.toml").write_text(config.replace("listen", "listne"))
    assert "did you mean listen?" in refused_start(folder)
    (folder / "node.toml").write_text(free)
    genesis = json.loads((folder / "genesis.json").read_text())
    whole = list(genesis["signatures"])
    genesis["signatures"] = whole[1:]
    (folder / "genesis.json").write_text(json.dumps(genesis))
    assert "not signed by health" in refused_start(folder)


def test_a_data_directory_of_another_ledger_is_refused(tmp_path: Path) -> None:
    other = Cluster(tmp_path, {"housing": "Another Housing Bureau"})
    try:
        found_here(other)
        other.start()
        other["housing"].stop()
        third = Cluster(tmp_path / "third", {"housing": "A third Housing Bureau"})
        third.folder.mkdir()
        found_here(third)
        data = third["housing"].folder / "data"
        subprocess.run(["cp", "-a", str(other["housing"].folder / "data"), str(data)], check=True)
        assert "another ledger" in refused_start(third["housing"].folder)
    finally:
        other.close()


def test_a_node_that_starts_alone_says_what_it_waits_for_and_joins(tmp_path: Path) -> None:
    made = Cluster(tmp_path, TITLES)
    try:
        found_here(made)
        alone = made["housing"]
        alone.start()

        def waits() -> bool:
            answer = ready(alone)
            words = "1 peers have to be reached"
            return answer is not None and answer.status_code == 503 and words in answer.text

        wait_for(waits, "the node to say what it waits for")
        made["health"].start()
        made.wait_ready(alone)
        alone.client("steward").post("/v1/datasets", offer("joined"))
    finally:
        made.close()
