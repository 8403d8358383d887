"""The state tree against its definition, written here as a recursion over a plain dictionary."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed, ProofMismatch
from ledger.state_proofs import (
    OtherLeaf,
    StateProof,
    check_absence,
    check_presence,
    parse_state_proof,
)
from ledger.state_tree import StateTree, parse_page


def definition(hashed: dict[bytes, bytes], depth: int = 0) -> bytes:
    """The commitment as `ledger.state_proofs` defines it; keys and values are hashed already."""
    if not hashed:
        return bytes(32)
    if len(hashed) == 1:
        ((key, value),) = hashed.items()
        return sha256(b"\x01" + key + value).digest()
    halves: list[dict[bytes, bytes]] = [{}, {}]
    for key, value in hashed.items():
        halves[key[depth // 8] >> (7 - depth % 8) & 1][key] = value
    return sha256(
        b"\x02" + definition(halves[0], depth + 1) + definition(halves[1], depth + 1)
    ).digest()


def root_of_map(content: dict[bytes, bytes]) -> bytes:
    return definition(
        {sha256(key).digest(): sha256(value).digest() for key, value in content.items()}
    )


class Kept:
    """A tree over a dictionary of pages, reopened for each look: nothing hides in a cache."""

    def __init__(self) -> None:
        self.pages: dict[bytes, bytes] = {}

    def tree(self) -> StateTree:
        return StateTree(self.pages.get)

    def update(self, changes: dict[bytes, bytes]) -> bytes:
        update = self.tree().update(changes)
        self.pages.update(update.pages)
        return update.root


keys = st.binary(min_size=1, max_size=3)
batches = st.lists(st.dictionaries(keys, st.binary(max_size=4), max_size=30), max_size=6)


@given(batches)
def test_the_root_is_that_of_the_definition_after_every_batch(
    changes: list[dict[bytes, bytes]],
) -> None:
    kept, content = Kept(), {}
    cached = StateTree(kept.pages.get)
    for batch in changes:
        content.update(batch)
        root = kept.update(batch)
        assert root == root_of_map(content) == kept.tree().root()
        assert cached.update(batch).root == root


def test_many_keys_in_one_batch_or_in_many_make_one_root() -> None:
    content = {b"key %d" % number: b"value %d" % number for number in range(3_000)}
    at_once, one_by_one = Kept(), Kept()
    at_once.update(content)
    tree = one_by_one.tree()
    for key, value in content.items():
        update = tree.update({key: value})
        one_by_one.pages.update(update.pages)
    assert at_once.pages == one_by_one.pages
    assert at_once.tree().root() == root_of_map(content)


@given(st.dictionaries(keys, st.binary(max_size=4), max_size=60), keys)
def test_presence_and_absence_are_proved_and_nothing_else(
    content: dict[bytes, bytes], key: bytes
) -> None:
    kept = Kept()
    root = kept.update(content)
    proof = parse_state_proof(kept.tree().prove(key).to_bytes())
    if key in content:
        check_presence(root, key, content[key], proof)
        with pytest.raises(ProofMismatch):
            check_presence(root, key, content[key] + b"!", proof)
        with pytest.raises(ProofMismatch):
            check_absence(root, key, proof)
    else:
        check_absence(root, key, proof)
        with pytest.raises(ProofMismatch):
            check_presence(root, key, b"", proof)


def test_every_flipped_byte_of_a_proof_is_refused() -> None:
    kept = Kept()
    content = {b"key %d" % number: b"value" for number in range(200)}
    root = kept.update(content)
    for key, check in (
        (b"key 7", lambda proof: check_presence(root, b"key 7", b"value", proof)),
        (b"other", lambda proof: check_absence(root, b"other", proof)),
    ):
        data = kept.tree().prove(key).to_bytes()
        check(parse_state_proof(data))
        for place in range(len(data)):
            flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            with pytest.raises((Malformed, ProofMismatch)):
                check(parse_state_proof(flipped))


def test_a_key_cannot_be_shown_absent_by_its_own_leaf_or_by_one_elsewhere() -> None:
    kept = Kept()
    content = {b"%d" % number: b"" for number in range(50)}
    root = kept.update(content)
    proof = kept.tree().prove(b"7")
    own = OtherLeaf(sha256(b"7").digest(), sha256(b"").digest())
    with pytest.raises(ProofMismatch, match="place"):
        check_absence(root, b"7", StateProof(proof.siblings, own))
    elsewhere = kept.tree().prove(b"8")
    with pytest.raises(ProofMismatch):
        check_absence(
            root,
            b"7",
            StateProof(elsewhere.siblings, OtherLeaf(sha256(b"8").digest(), sha256(b"").digest())),
        )
    with pytest.raises(ProofMismatch, match="absence"):
        check_presence(root, b"7", b"", StateProof(proof.siblings, own))


def test_the_cache_of_pages_is_bounded_and_changes_nothing(monkeypatch) -> None:
    monkeypatch.setattr("ledger.state_tree.CACHED_PAGES_MAX", 2)
    kept = Kept()
    content = {b"key %d" % number: b"" for number in range(300)}
    tree = kept.tree()
    for key in content:
        kept.pages.update(tree.update({key: b""}).pages)
    assert tree.root() == root_of_map(content)
    assert len(tree._pages._young) <= 1


def test_no_changes_leave_the_root_as_it_is() -> None:
    kept = Kept()
    assert kept.update({}) == bytes(32)
    root = kept.update({b"a": b"b"})
    assert kept.update({}) == root


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page_or_malformed(data: bytes) -> None:
    try:
        slots = parse_page(data)
    except Malformed:
        return
    assert sum(map(len, slots.values())) == len(data) - 4


def test_keys_deep_in_a_large_state_are_proved() -> None:
    kept = Kept()
    content = {b"key %d" % number: b"value %d" % number for number in range(3_000)}
    root = kept.update(content)
    tree = kept.tree()
    depths = set()
    for number in range(0, 3_000, 60):
        key = b"key %d" % number
        proof = tree.prove(key)
        check_presence(root, key, content[key], proof)
        check_absence(root, b"no " + key, tree.prove(b"no " + key))
        depths.add(len(proof.siblings))
    assert max(depths) > 12


def test_what_is_wrong_with_a_page_is_said() -> None:
    for page in (b"", bytes(5), b"\x00\x01\x00\x01", b"\x00\x00\x00\x01" + bytes(32)):
        with pytest.raises(Malformed) as caught:
            parse_page(page)
        assert str(caught.value) == "state page: its length does not fit its slots"


def test_a_page_that_was_read_or_made_is_not_read_again() -> None:
    kept = Kept()
    changes = {b"%d" % number: b"value" for number in range(100)}
    kept.update(changes)
    read: list[bytes] = []

    def read_page(path: bytes) -> bytes | None:
        read.append(path)
        return kept.pages.get(path)

    tree = StateTree(read_page)
    for _ in range(2):
        tree.root()
        for key in changes:
            tree.prove(key)
        kept.pages.update(tree.update({b"7": b"another"}).pages)
    assert sorted(read) == sorted(set(read))
