"""`audit.clocks`: a block's time beside its signers' clocks."""

import json
from pathlib import Path

import pytest
from branches import Branch, write_store
from builders import START_MS, Consortium
from click.testing import CliRunner

from audit.clocks import readings
from audit.signed import signatories_of
from cli.main import main
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.checkpoints import Cosignature, cosignature_message
from ledger.types import Height

NOW_S = START_MS // 1_000


@pytest.fixture(scope="module")
def branch() -> Branch:
    """Three certified blocks: in time, backdated by an hour, and one with a fast signer."""
    city = Consortium()
    made = Branch(city)
    for block_s, clocks in (
        (10, {"health": 10, "housing": 11, "tourism": 11}),
        (20, {"health": 3_620, "housing": 3_621, "tourism": 3_620}),
        (3_700, {"health": 3_701, "housing": 3_700, "tourism": 4_000}),
    ):
        made.block(time_ms=START_MS + 1_000 * block_s)
        signed = []
        for name, clock_s in clocks.items():
            signer = city.checkpoint_signer(name)
            message = cosignature_message(made.checkpoint, NOW_S + clock_s)
            signed.append(Cosignature(signer.public_key, NOW_S + clock_s, signer.sign(message)))
        key = store_keys.certificate_key(Height(made.checkpoint.height))
        made.values[key] = Certificate.of(made.checkpoint, signed).to_bytes()
    return made


def test_each_certified_block_is_read_beside_its_signers_clocks(branch: Branch) -> None:
    found = list(readings(branch, signatories_of(branch.genesis.genesis)))
    assert [each.apart_ms for each in found] == [-1_000, -3_600_000, -1_000]
    assert [each.furthest for each in found] == [("health", -1), ("housing", 1), ("tourism", 299)]
    assert list(readings(branch, {})) == [], "nobody answers for the signers"


def test_a_backdated_block_makes_the_exit_code(branch: Branch, tmp_path: Path) -> None:
    folder, genesis = write_store(branch, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(branch.genesis.to_json())
    command = ["audit", "clocks", str(folder), "--genesis", str(genesis)]
    done = CliRunner().invoke(main, [*command, "--json"])
    assert [each["far"] for each in json.loads(done.output)] == [False, True, False]
    assert done.exit_code == 1
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1 and "-3600.0 FAR" in done.output and "1 of 3" in done.output
    assert CliRunner().invoke(main, [*command, "--seconds", "4000"]).exit_code == 0
