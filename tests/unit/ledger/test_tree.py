"""Building: roots, compact ranges and proofs against the definitions of RFC 9162, by recursion."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ProofMismatch
from ledger.proofs import (
    check_consistency,
    check_inclusion,
    root_from_inclusion,
    roots_from_consistency,
)
from ledger.tree import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)
from ledger.types import LeafIndex, TreeSize


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, over leaf data, as it is written there."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 §2.1.4.1."""
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def data(count: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(count)]


def reader(leaves: list[bytes]):
    def read(level: int, index: int) -> bytes:
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return mth(part)

    return read


@pytest.mark.parametrize("count", range(70))
def test_the_root_is_that_of_the_definition_however_it_is_reached(count: int) -> None:
    leaves = data(count)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    grown = CompactRange()
    for digest in hashes:
        grown = grown.append(digest)
    assert grown == CompactRange().extend(hashes)
    assert grown.size == count
    assert grown.root() == root_of(hashes) == mth(leaves)


@given(st.integers(0, 600), st.integers(0, 600))
def test_a_range_grows_in_any_portions(first: int, second: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in data(first + second)]
    grown = CompactRange().extend(hashes[:first]).extend(hashes[first:])
    assert grown == CompactRange().extend(hashes)


def test_a_range_with_a_wrong_number_of_hashes_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="one hash per set bit"):
        CompactRange(TreeSize(3), (bytes(32),))
    with pytest.raises(
        ValueError, match=r"\Aa compact range has one hash per set bit of its size\Z"
    ):
        CompactRange(TreeSize(-1), (bytes(32),))


@pytest.mark.parametrize("size", range(1, 34))
def test_inclusion_proofs_are_those_of_the_definition_and_check(size: int) -> None:
    leaves = data(size)
    for index in range(size):
        proof = inclusion_proof(
            reader(leaves), leaf_index=LeafIndex(index), tree_size=TreeSize(size)
        )
        assert list(proof) == path(index, leaves)
        check_inclusion(
            leaf_hash=leaf_hash(leaves[index]),
            leaf_index=LeafIndex(index),
            tree_size=TreeSize(size),
            proof=proof,
            root=mth(leaves),
        )


@pytest.mark.parametrize("new", range(1, 34))
def test_consistency_proofs_are_those_of_the_definition_and_check(new: int) -> None:
    leaves = data(new)
    for old in range(1, new + 1):
        proof = consistency_proof(reader(leaves), old_size=TreeSize(old), new_size=TreeSize(new))
        assert list(proof) == subproof(old, leaves, True)
        check_consistency(
            old_size=TreeSize(old),
            old_root=mth(leaves[:old]),
            new_size=TreeSize(new),
            new_root=mth(leaves),
            proof=proof,
        )


@given(st.integers(1, 300), st.data())
def test_a_proof_with_any_hash_changed_dropped_or_added_is_refused(size: int, draw) -> None:
    leaves = data(size)
    index = draw.draw(st.integers(0, size - 1))
    proof = list(
        inclusion_proof(reader(leaves), leaf_index=LeafIndex(index), tree_size=TreeSize(size))
    )
    kind = draw.draw(st.sampled_from(["change", "drop", "add"]))
    place = draw.draw(st.integers(0, max(0, len(proof) - 1)))
    if kind == "add" or not proof:
        proof.insert(place, bytes(32))
    elif kind == "drop":
        del proof[place]
    else:
        proof[place] = node_hash(proof[place], proof[place])
    with pytest.raises(ProofMismatch):
        check_inclusion(
            leaf_hash=leaf_hash(leaves[index]),
            leaf_index=LeafIndex(index),
            tree_size=TreeSize(size),
            proof=proof,
            root=mth(leaves),
        )


def test_sizes_and_indexes_outside_their_range_are_refused() -> None:
    nodes = reader(data(4))
    with pytest.raises(ValueError, match="no leaf 4"):
        inclusion_proof(nodes, leaf_index=LeafIndex(4), tree_size=TreeSize(4))
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(nodes, old_size=TreeSize(0), new_size=TreeSize(4))
    with pytest.raises(ProofMismatch, match="no leaf"):
        root_from_inclusion(
            leaf_hash=bytes(32), leaf_index=LeafIndex(4), tree_size=TreeSize(4), proof=()
        )
    with pytest.raises(ProofMismatch, match="do not grow"):
        roots_from_consistency(
            old_size=TreeSize(4), old_root=bytes(32), new_size=TreeSize(4), proof=()
        )
    with pytest.raises(ProofMismatch, match="not 32 bytes"):
        root_from_inclusion(
            leaf_hash=bytes(32), leaf_index=LeafIndex(0), tree_size=TreeSize(2), proof=(b"x",)
        )


def test_that_an_empty_tree_is_a_prefix_is_not_taken_for_a_proof() -> None:
    with pytest.raises(ProofMismatch, match="do not grow"):
        check_consistency(
            old_size=TreeSize(0),
            old_root=EMPTY_ROOT,
            new_size=TreeSize(3),
            new_root=mth(data(3)),
            proof=(),
        )


def test_equal_trees_take_no_hashes() -> None:
    size, root = TreeSize(3), mth(data(3))
    check_consistency(old_size=size, old_root=root, new_size=size, new_root=root, proof=())
    with pytest.raises(ProofMismatch, match="no hashes"):
        check_consistency(old_size=size, old_root=root, new_size=size, new_root=root, proof=(root,))
    with pytest.raises(ProofMismatch, match="different roots"):
        check_consistency(old_size=size, old_root=root, new_size=size, new_root=bytes(32), proof=())
