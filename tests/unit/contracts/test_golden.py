"""The golden ledger ends where it always has, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ends, golden_ledger

from contracts.registry import CONTRACTS
from ledger.records import parse_leaf

HEIGHT, TREE_SIZE = 57, 119
TREE_ROOT = "b41058b98266795e95671f1035b62e8ade5306ce9bb4fb8a4ed36ed8d2d19db2"
STATE_ROOT = "5a8fbc4319263b438666e6ea6625f5e5ca6b0cde5406c11d1de2db2f1f46a17e"
BLOCK_HASH = "8db47e1fff7805796df4439bc5780eea8e4719d89c76c6b6e20e2156e5b178dd"


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
