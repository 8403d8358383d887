"""`node.exchange.vault`: nothing readable at rest, and salts that stay the same."""

from pathlib import Path

import pytest

from node.errors import StoreCorrupt, StoreInUse
from node.exchange.vault import SubjectsExhausted, Vault
from node.identity import create_identity


def test_entries_come_back_and_cannot_be_read_from_the_files(tmp_path: Path) -> None:
    identity = create_identity(tmp_path / "keys")
    vault = Vault(tmp_path / "vault", identity)
    vault.put({b"\x01" * 32: {"query": "planted personal string"}})
    salts = vault.salts(b"g" * 32, ["SYN-1", "SYN-2", "SYN-1"])
    assert salts[0] == salts[2] != salts[1]
    assert vault.salts(b"g" * 32, ["SYN-2"]) == [salts[1]]
    assert vault.salts(b"h" * 32, ["SYN-2"]) != [salts[1]]
    with pytest.raises(StoreInUse):
        Vault(tmp_path / "vault", identity)
    vault.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "vault").iterdir())
    for secret in (b"planted personal string", b"SYN-1", *salts):
        assert secret not in content
    again = Vault(tmp_path / "vault", identity)
    assert again.get(b"\x01" * 32) == {"query": "planted personal string"}
    assert again.get(b"\x02" * 32) is None
    again.close()


def test_subjects_are_counted_over_a_grants_life_against_the_limit_of_now(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", create_identity(tmp_path / "keys"))
    grant_id = b"g" * 32
    assert len(vault.salts(grant_id, ["SYN-1", "SYN-2"], subjects_max=2)) == 2
    with pytest.raises(SubjectsExhausted, match="2 subjects allowed, 2 seen before"):
        vault.salts(grant_id, ["SYN-2", "SYN-3"], subjects_max=2)
    assert vault.salt(grant_id, "SYN-3") is None
    assert vault.salts(grant_id, ["SYN-2"], subjects_max=2) == [vault.salt(grant_id, "SYN-2")]
    with pytest.raises(SubjectsExhausted, match="1 subjects allowed, 2 seen before"):
        vault.salts(grant_id, ["SYN-2"], subjects_max=1)
    assert vault.salts(grant_id, [], subjects_max=1) == []
    assert len(vault.salts(grant_id, ["SYN-3"])) == 1
    vault.close()


def test_what_was_provided_is_listed_and_what_was_received_is_not(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", create_identity(tmp_path / "keys"))
    provided, received = {"side": "provider", "query": "x"}, {"side": "consumer", "query": "y"}
    vault.put({b"\x01" * 32: provided, b"\x02" * 32: received, b"\x03" * 32: provided})
    vault.salts(b"g" * 32, ["SYN-1"])
    assert list(vault.provided()) == [(b"\x01" * 32, provided), (b"\x03" * 32, provided)]
    vault.close()


def test_another_node_cannot_read_it(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", create_identity(tmp_path / "one"))
    vault.put({b"\x01" * 32: {"query": "x"}})
    vault.close()
    other = Vault(tmp_path / "vault", create_identity(tmp_path / "two"))
    with pytest.raises(StoreCorrupt, match="another key"):
        other.get(b"\x01" * 32)
    other.close()
