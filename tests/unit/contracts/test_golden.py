"""The golden ledger ends where it always has, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ends, golden_ledger

from contracts.registry import CONTRACTS
from ledger.records import parse_leaf

HEIGHT, TREE_SIZE = 45, 95
TREE_ROOT = "15543b686c2c9e41590777b967dbf842d39f4d5995e44a3568723869cf32e0cd"
STATE_ROOT = "59854c9b854d4966fed579738d998f752af5923fca33824a354762ed74382638"
BLOCK_HASH = "d14798c5f68af1652c68dabae820859f9958ac5b7ded4af2a2b4506c07db6922"


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
