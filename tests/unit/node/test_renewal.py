"""`node.renewal` and the mark on spent keys: a node's way back is a new one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.consortium import consortium
from ledger.genesis import parse_genesis_file
from node.config import load_config
from node.errors import StoreInUse
from node.identity import load_identity, mark_spent, read_spent
from node.renewal import renew
from node.setup import init_node
from node.store.leveldb import LevelStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node of a founded consortium."""
    init_node(
        tmp_path,
        department="housing",
        title="Housing Bureau",
        rpc_address="housing.example:7400",
        rpc_listen="127.0.0.1:7400",
        http_listen="127.0.0.1:8400",
    )
    genesis = tmp_path / "genesis.json"
    run = CliRunner().invoke
    enrolment = str(tmp_path / "enrolment.json")
    made = run(consortium, ["assemble", enrolment, "--title", "One", "-o", str(genesis)])
    assert made.exit_code == 0, made.output
    fingerprint = parse_genesis_file(genesis.read_bytes()).fingerprint
    options = ["--keys", str(tmp_path / "keys"), "--department", "housing"]
    signed = run(consortium, ["sign", str(genesis), *options, "--fingerprint", fingerprint])
    assert signed.exit_code == 0, signed.output
    return tmp_path


def test_a_mark_on_spent_keys_stays_and_a_damaged_one_counts(tmp_path: Path) -> None:
    assert read_spent(tmp_path) is None
    mark_spent(tmp_path, standing="contradicted", detail="two certificates")
    mark_spent(tmp_path, standing="behind", detail="later")
    assert read_spent(tmp_path) == ("contradicted", "two certificates")
    assert (tmp_path / "spent.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "spent.json").write_text("{")
    damaged = read_spent(tmp_path)
    assert damaged is not None and damaged[0] == "behind"


def test_a_renewed_node_is_a_new_one_and_the_old_is_set_aside(folder: Path) -> None:
    config = load_config(folder / "node.toml")
    old = load_identity(folder / "keys")
    LevelStore(folder / "data").close()
    done = renew(config, rpc_address=None)
    new = load_identity(folder / "keys")
    assert new.node_id != old.node_id
    assert new.record_key != old.record_key
    assert new.derive("vault") == old.derive("vault")
    node = done.enrolment.enrolment.department.nodes[0]
    assert node.node_id == new.node_id and node.rpc_address == "housing.example:7400"
    assert sorted(path.name.partition(".")[0] for path in done.set_aside) == ["data", "keys"]
    assert read_spent(folder / f"keys.spent-{old.node_id.hex()[:16]}") is not None
    assert read_spent(folder / "keys") is None and not (folder / "data").exists()
    assert not (folder / "keys" / "watermark").exists()


def test_a_running_node_is_not_renewed(folder: Path) -> None:
    store = LevelStore(folder / "data")
    try:
        with pytest.raises(StoreInUse):
            renew(load_config(folder / "node.toml"), rpc_address=None)
    finally:
        store.close()
    assert read_spent(folder / "keys") is None
