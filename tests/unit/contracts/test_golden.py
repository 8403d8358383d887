"""The golden ledger ends where it always has, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ends, golden_ledger

from contracts.registry import CONTRACTS
from ledger.records import parse_leaf

HEIGHT, TREE_SIZE = 27, 57
TREE_ROOT = "35a826f4aab08ac656776efdfef0cd3f5bfe5977678745a162acea8f585f3dbb"
STATE_ROOT = "171ee76f7e2f8d60e581f68680569abf3263f90f76f11199262a047f6334c18a"
BLOCK_HASH = "4079a7c91edc680cd0a9b625e52c669c8b31c90a994e25c6995e878069d08a28"


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
