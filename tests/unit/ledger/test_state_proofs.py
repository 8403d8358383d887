"""State proofs by their definition, with the words that a refused one is told."""

from hashlib import sha256

import pytest

from ledger.errors import Malformed, ProofMismatch
from ledger.state_proofs import (
    EMPTY,
    OtherLeaf,
    StateProof,
    check_absence,
    check_presence,
    fork_commitment,
    leaf_commitment,
    parse_state_proof,
)

NOWHERE = "state proof: it does not lead to this root"


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def key_with(bits: str) -> bytes:
    """A key whose hash begins with these bits."""
    wanted, number = int(bits, 2), 0
    while int.from_bytes(digest(b"%d" % number), "big") >> (256 - len(bits)) != wanted:
        number += 1
    return b"%d" % number


LEFT, RIGHT = key_with("0"), key_with("10")
LEFT_LEAF = leaf_commitment(digest(LEFT), digest(b"left"))
RIGHT_LEAF = leaf_commitment(digest(RIGHT), digest(b"right"))
ROOT = fork_commitment(LEFT_LEAF, RIGHT_LEAF)
"""A state of two keys, whose hashes differ in their first bit."""


def refusal(check, *arguments) -> str:
    with pytest.raises(ProofMismatch) as caught:
        check(*arguments)
    return str(caught.value)


def test_commitments_are_as_the_module_says() -> None:
    assert digest(b"\x01" + digest(LEFT) + digest(b"left")) == LEFT_LEAF
    assert digest(b"\x02" + LEFT_LEAF + RIGHT_LEAF) == ROOT


def test_both_keys_of_a_fork_are_shown_by_the_other_ones_commitment() -> None:
    check_presence(ROOT, LEFT, b"left", StateProof((RIGHT_LEAF,), None))
    check_presence(ROOT, RIGHT, b"right", StateProof((LEFT_LEAF,), None))
    for key, value, sibling in (
        (LEFT, b"right", RIGHT_LEAF),
        (LEFT, b"left", LEFT_LEAF),
        (RIGHT, b"left", RIGHT_LEAF),
    ):
        assert refusal(check_presence, ROOT, key, value, StateProof((sibling,), None)) == NOWHERE
    shown = StateProof((RIGHT_LEAF,), OtherLeaf(digest(LEFT), digest(b"left")))
    assert refusal(check_presence, ROOT, LEFT, b"left", shown) == (
        "state proof: it proves an absence"
    )


def test_a_missing_key_is_shown_by_the_leaf_in_its_place() -> None:
    missing = key_with("00")
    other = OtherLeaf(digest(LEFT), digest(b"left"))
    check_absence(ROOT, missing, StateProof((RIGHT_LEAF,), other))
    elsewhere = "state proof: its other key does not stand in this key's place"
    assert refusal(check_absence, ROOT, key_with("11"), StateProof((RIGHT_LEAF,), other)) == (
        elsewhere
    )
    assert refusal(check_absence, ROOT, LEFT, StateProof((RIGHT_LEAF,), other)) == elsewhere
    false = OtherLeaf(digest(LEFT), digest(b"wrong"))
    assert refusal(check_absence, ROOT, missing, StateProof((RIGHT_LEAF,), false)) == NOWHERE


def test_a_missing_key_is_shown_by_an_empty_place() -> None:
    check_absence(EMPTY, LEFT, StateProof((), None))
    root = fork_commitment(EMPTY, fork_commitment(RIGHT_LEAF, RIGHT_LEAF))
    below = fork_commitment(RIGHT_LEAF, RIGHT_LEAF)
    check_absence(root, LEFT, StateProof((below,), None))
    assert refusal(check_absence, root, RIGHT, StateProof((below,), None)) == NOWHERE


def test_a_walk_of_every_depth_leads_to_the_root_by_the_bits_of_the_key() -> None:
    bits = bin(int.from_bytes(digest(LEFT), "big"))[2:].zfill(256)
    siblings = tuple(digest(b"sibling %d" % depth) for depth in range(256))
    for depth in (1, 2, 3, 7, 8, 9, 255, 256):
        root = LEFT_LEAF
        for at in range(depth - 1, -1, -1):
            pair = (siblings[at], root) if bits[at] == "1" else (root, siblings[at])
            root = fork_commitment(*pair)
        check_presence(root, LEFT, b"left", StateProof(siblings[:depth], None))


def test_another_key_may_share_all_bits_above_and_not_the_last_one() -> None:
    own = int.from_bytes(digest(LEFT), "big")
    for depth in (1, 8, 255):
        shares = (own ^ (1 << (256 - depth - 1))).to_bytes(32, "big")
        parts = (own ^ (1 << (256 - depth))).to_bytes(32, "big")
        siblings = (bytes(32),) * depth
        assert refusal(
            check_absence, ROOT, LEFT, StateProof(siblings, OtherLeaf(shares, ROOT))
        ) == (NOWHERE)
        assert "place" in refusal(
            check_absence, ROOT, LEFT, StateProof(siblings, OtherLeaf(parts, ROOT))
        )


def test_a_proof_reads_back_up_to_the_depth_of_the_tree() -> None:
    deepest = StateProof((bytes(32),) * 256, OtherLeaf(bytes(32), bytes(32)))
    assert parse_state_proof(deepest.to_bytes()) == deepest
    with pytest.raises(Malformed, match="state proof: "):
        parse_state_proof(StateProof((bytes(32),) * 257, None).to_bytes())
