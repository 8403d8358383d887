"""The golden ledger ends where it always has, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ends, golden_ledger

from contracts.registry import CONTRACTS
from ledger.records import parse_leaf

HEIGHT, TREE_SIZE = 13, 31
TREE_ROOT = "7b6179a55339efadbeba9445e3f32546e435ebee5b6e9bee8f3a70ab1bd5b97f"
STATE_ROOT = "65f0a347125ac92e631e8820758f6ac94c9ad2a17832cae980bddc55a05e563f"
BLOCK_HASH = "cae844cd57c1cf8540ad2f7201885fa6563bacb57e09d724bc44d9f1c16f7c40"


def test_the_golden_ledger_ends_where_it_always_has() -> None:
    tip = golden_ledger().tip
    assert (tip.height, tip.tree_size) == (HEIGHT, TREE_SIZE)
    assert tip.state_root.hex() == STATE_ROOT
    assert tip.tree().root().hex() == TREE_ROOT
    assert tip.block_hash.hex() == BLOCK_HASH


def test_the_golden_ledger_has_every_kind_of_record() -> None:
    records = [leaf for leaf in golden_ledger().leaves if leaf[1] == 1]
    assert {parse_leaf(leaf).header.kind for leaf in records} == set(CONTRACTS)


@pytest.mark.parametrize("seed", ["0", "1", "4294967295"])
def test_the_golden_ledger_ends_there_under_any_hash_seed(project: Path, seed: str) -> None:
    here = Path(__file__).parent
    folders = [str(folder) for folder in (project, project / "tests", here)]
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(folders)}
    run = subprocess.run(
        [sys.executable, str(here / "golden.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == ends()
    assert STATE_ROOT in run.stdout
