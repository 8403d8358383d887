"""What clients saw while cables, processes and disks failed is what one ledger would have shown."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import needs_tool
from founding import found_here
from histories.recording import record_run, verdict

from cli.demo.cluster import TITLES, Cluster
from faults.network import Network, made_network, place_on

FAULTS_SHORT, OPERATIONS_SHORT = 6, 500
FAULTS_LONG, OPERATIONS_LONG = 40, 20_000
UNKNOWN_PERCENT_MAX = 2


@pytest.fixture
def network() -> Iterator[Network]:
    needs_tool("strace")
    yield from made_network(list(TITLES))


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster", TITLES)
    made.folder.mkdir()
    place_on(network, made)
    try:
        found_here(made)
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_short_history_under_faults_is_linearizable(
    network: Network, cluster: Cluster, tmp_path: Path
) -> None:
    figures = record_run(
        network, cluster, tmp_path, operations=OPERATIONS_SHORT, faults=FAULTS_SHORT, seed=1
    )
    print(json.dumps(figures))
    assert verdict(tmp_path) == []


@pytest.mark.histories
@pytest.mark.timeout(0)
def test_a_long_history_under_faults_is_linearizable(
    network: Network, cluster: Cluster, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("FOLDER", tmp_path))
    figures = record_run(
        network,
        cluster,
        folder,
        operations=int(os.environ.get("OPERATIONS", OPERATIONS_LONG)),
        faults=int(os.environ.get("FAULTS", FAULTS_LONG)),
        seed=int(os.environ.get("SEED", 1)),
    )
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
    assert verdict(folder) == []
    assert figures["unknown percent"] < UNKNOWN_PERCENT_MAX
