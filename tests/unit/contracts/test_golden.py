"""The golden ledger ends where it always has, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import ends, golden_ledger

from contracts.registry import CONTRACTS
from ledger.records import parse_leaf

HEIGHT, TREE_SIZE = 51, 107
TREE_ROOT = "a3088c69ce7448dce6685140fdb373bb9951b80485c41a75df1d38121b8fcf77"
STATE_ROOT = "d3b5466c62a8bbda737950910e495527e76fef7e0180043a57a918db0e99a894"
BLOCK_HASH = "d91da7de944bd002f04894ab93dcba11d6d9409692d5e7110f76e3ff0c7b5a51"


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
