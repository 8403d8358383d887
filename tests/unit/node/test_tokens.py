"""`node.tokens`: hashed, private, and gone at once when revoked."""

import json
from pathlib import Path

import pytest

from node.errors import ConfigInvalid
from node.tokens import Tokens


def test_a_token_is_found_by_its_secret_and_kept_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens = Tokens(path)
    secret = tokens.add(name="desk", role="app", expires_at_ms=5, datasets=("a/b",))
    found = Tokens(path).find(secret)
    assert found is not None and found.name == "desk" and found.datasets == ("a/b",)
    assert secret not in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    assert tokens.find(secret + "x") is None and tokens.find("") is None


def test_a_revoked_token_is_unknown_to_whoever_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    running = Tokens(path)
    secret = Tokens(path).add(name="desk", role="app", expires_at_ms=5)
    assert running.find(secret) is not None
    assert Tokens(path).revoke("desk") and not Tokens(path).revoke("desk")
    assert running.find(secret) is None
    path.unlink()
    assert running.all() == ()


def test_names_are_unique(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    tokens.add(name="desk", role="app", expires_at_ms=5)
    with pytest.raises(ConfigInvalid, match="named desk already"):
        tokens.add(name="desk", role="auditor", expires_at_ms=5)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"name": "x"}]', "null"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="is unreadable"):
        Tokens(path).find("cct_x")


def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([]))
    path.chmod(0o644)
    with pytest.raises(ConfigInvalid, match="read by others"):
        Tokens(path).all()
