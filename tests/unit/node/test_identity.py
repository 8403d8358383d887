"""`node.identity`: keys are drawn once, kept 0600, and never shown."""

from pathlib import Path

import pytest

from ledger.signatures import verify
from ledger.statements import record_key_statement
from node.errors import IdentityInvalid
from node.identity import create_identity, draw_record_key, load_identity, use_record_key
from node.setup import init_node


def test_keys_are_private_and_come_back_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = create_identity(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    again = load_identity(folder)
    assert again.node_id == made.node_id and again.record_key == made.record_key
    assert again.derive("x", b"a", b"b") == made.derive("x", b"a", b"b")
    assert again.derive("x", b"ab", b"") != made.derive("x", b"a", b"b")
    assert verify(made.node_id, b"text", again.sign_checkpoint(b"text"))


def test_nothing_secret_is_in_its_words(tmp_path: Path) -> None:
    made = create_identity(tmp_path / "keys")
    secrets = [path.read_text().strip() for path in (tmp_path / "keys").iterdir()]
    shown = repr(made) + str(made)
    assert not any(secret in shown for secret in secrets)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    create_identity(tmp_path / "keys")
    with pytest.raises(IdentityInvalid, match="holds keys already"):
        create_identity(tmp_path / "keys")


def test_open_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    create_identity(folder)
    (folder / "tls.key").chmod(0o640)
    with pytest.raises(IdentityInvalid, match=r"tls\.key can be read by others"):
        load_identity(folder)
    (folder / "tls.key").chmod(0o600)
    for text in ("zz\n", "00" * 31, "00" * 33):
        (folder / "tls.key").write_text(text)
        with pytest.raises(IdentityInvalid, match=r"tls\.key is not 32 bytes"):
            load_identity(folder)
    (folder / "tls.key").unlink()
    with pytest.raises(IdentityInvalid, match=r"cannot read .*tls\.key"):
        load_identity(folder)


def test_an_enrolment_is_signed_by_every_key(tmp_path: Path) -> None:
    file = init_node(
        tmp_path / "node",
        department="housing",
        title="Housing Bureau",
        rpc_address="127.0.0.1:7400",
        rpc_listen="127.0.0.1:7400",
        http_listen="127.0.0.1:8400",
    )
    file.check()
    assert len(file.signatures) == len(file.enrolment.department.keys()) == 6


def test_the_next_record_key_takes_the_place_of_the_present_one(tmp_path: Path) -> None:
    before = create_identity(tmp_path)
    drawn = draw_record_key(tmp_path, ledger_id=bytes(32), department="health", holder="node")
    assert load_identity(tmp_path).record_key == before.record_key
    with pytest.raises(IdentityInvalid, match="is there already"):
        draw_record_key(tmp_path, ledger_id=bytes(32), department="health", holder="node")
    key = bytes.fromhex(drawn["key"])
    statement = record_key_statement(bytes(32), department="health", key=key)
    assert verify(key, statement, bytes.fromhex(drawn["signature"]))
    assert use_record_key(tmp_path) == (before.record_key.hex(), drawn["key"])
    after = load_identity(tmp_path)
    assert (after.record_key, after.node_id) == (key, before.node_id)
    assert not (tmp_path / "record.next.key").exists()
    with pytest.raises(IdentityInvalid, match=r"record\.next\.key"):
        use_record_key(tmp_path)
