"""What a refused proof is told, and where exactly a proof stops being one (RFC 9162 §2.1)."""

from collections.abc import Callable

import pytest

from ledger.errors import ProofMismatch
from ledger.proofs import (
    check_consistency,
    check_inclusion,
    root_from_inclusion,
    roots_from_consistency,
)
from ledger.tree import consistency_proof, inclusion_proof, leaf_hash, node_hash, root_of
from ledger.types import LeafIndex, TreeSize

HASHES = [leaf_hash(b"leaf %d" % number) for number in range(20)]


def nodes(level: int, index: int) -> bytes:
    return root_of(HASHES[index << level : (index + 1) << level])


def refusal(check: Callable[[], object]) -> str:
    with pytest.raises(ProofMismatch) as caught:
        check()
    return str(caught.value)


def included(
    index: int = 5, size: int = 13, *, leaf: bytes = HASHES[5], root: bytes = b"", **given: object
) -> None:
    proof = given.get("proof", inclusion_proof(nodes, leaf_index=LeafIndex(5), tree_size=13))
    check_inclusion(
        leaf_hash=leaf,
        leaf_index=LeafIndex(index),
        tree_size=TreeSize(size),
        proof=proof,
        root=root or root_of(HASHES[:13]),
    )


def consistent(
    old: int = 6, new: int = 13, *, old_root: bytes = b"", new_root: bytes = b"", **given: object
) -> None:
    proof = given.get("proof", consistency_proof(nodes, old_size=6, new_size=13))
    check_consistency(
        old_size=TreeSize(old),
        old_root=old_root or root_of(HASHES[:6]),
        new_size=TreeSize(new),
        new_root=new_root or root_of(HASHES[:13]),
        proof=proof,
    )


def test_what_is_wrong_with_an_inclusion_proof_is_said() -> None:
    included()
    whole = inclusion_proof(nodes, leaf_index=LeafIndex(5), tree_size=TreeSize(13))
    what = "inclusion proof: "
    outside = f"{what}no leaf {{}} in a tree of {{}}"
    odd = f"{what}a hash in it has not 32 bytes"
    assert refusal(lambda: included(13)) == outside.format(13, 13)
    assert refusal(lambda: included(-1)) == outside.format(-1, 13)
    assert refusal(lambda: included(0, 0, proof=())) == outside.format(0, 0)
    assert refusal(lambda: included(proof=(*whole[:-1], bytes(31)))) == odd
    assert refusal(lambda: included(leaf=bytes(33))) == odd
    assert refusal(lambda: included(proof=(*whole, bytes(32)))) == (
        f"{what}it has more hashes than the tree has levels"
    )
    assert refusal(lambda: included(proof=whole[:-1])) == (
        f"{what}it has fewer hashes than the tree needs"
    )
    assert refusal(lambda: included(proof=whole[::-1])) == f"{what}it leads to another root"
    assert refusal(lambda: included(root=bytes(32))) == f"{what}it leads to another root"


def test_what_is_wrong_with_a_consistency_proof_is_said() -> None:
    consistent()
    whole = consistency_proof(nodes, old_size=TreeSize(6), new_size=TreeSize(13))
    what = "consistency proof: "
    grows = f"{what}{{}} leaves do not grow to {{}}"
    assert refusal(lambda: consistent(0)) == grows.format(0, 13)
    assert refusal(lambda: consistent(0, 0, proof=())) == grows.format(0, 0)
    assert refusal(lambda: consistent(-6, -6, proof=())) == grows.format(-6, -6)
    assert refusal(lambda: consistent(14)) == grows.format(14, 13)
    assert refusal(lambda: consistent(13, 13)) == f"{what}equal sizes take no hashes"
    assert refusal(lambda: consistent(13, 13, proof=())) == f"{what}equal sizes, different roots"
    assert refusal(lambda: consistent(proof=())) == f"{what}it has no hashes"
    assert refusal(lambda: consistent(proof=(bytes(31), *whole))) == (
        f"{what}a hash in it has not 32 bytes"
    )
    assert refusal(lambda: consistent(proof=(*whole, bytes(32)))) == (
        f"{what}it has more hashes than the tree has levels"
    )
    assert refusal(lambda: consistent(proof=whole[:-1])) == (
        f"{what}it has fewer hashes than the tree needs"
    )
    assert refusal(lambda: consistent(old_root=bytes(32))) == (
        f"{what}it leads to another old root"
    )
    assert refusal(lambda: consistent(new_root=bytes(32))) == (
        f"{what}it leads to another new root"
    )


def test_an_old_root_that_starts_the_path_is_judged_as_one_of_its_hashes() -> None:
    proof = consistency_proof(nodes, old_size=TreeSize(8), new_size=TreeSize(13))
    consistent(8, old_root=root_of(HASHES[:8]), proof=proof)
    assert refusal(lambda: consistent(8, old_root=bytes(31), proof=proof)) == (
        "consistency proof: a hash in it has not 32 bytes"
    )


def test_one_leaf_is_its_own_root_and_takes_no_hashes() -> None:
    alone = HASHES[0]
    assert (
        root_from_inclusion(
            leaf_hash=alone, leaf_index=LeafIndex(0), tree_size=TreeSize(1), proof=()
        )
        == alone
    )
    both = root_from_inclusion(
        leaf_hash=alone, leaf_index=LeafIndex(0), tree_size=TreeSize(2), proof=(HASHES[1],)
    )
    assert both == node_hash(alone, HASHES[1])


def test_a_proof_for_one_place_or_size_is_none_for_another() -> None:
    """Only for the same shape of tree, where the place is told by left and right alone."""
    for size in range(1, 21):
        root = root_of(HASHES[:size])
        for index in range(size):
            proof = inclusion_proof(nodes, leaf_index=LeafIndex(index), tree_size=TreeSize(size))
            for claimed in range(size):
                found = True
                try:
                    check_inclusion(
                        leaf_hash=HASHES[index],
                        leaf_index=LeafIndex(claimed),
                        tree_size=TreeSize(size),
                        proof=proof,
                        root=root,
                    )
                except ProofMismatch:
                    found = False
                assert found is (claimed == index)


def test_both_roots_of_a_path_are_those_of_the_two_trees() -> None:
    for new in range(2, 21):
        for old in range(1, new):
            found = roots_from_consistency(
                old_size=TreeSize(old),
                old_root=root_of(HASHES[:old]),
                new_size=TreeSize(new),
                proof=consistency_proof(nodes, old_size=TreeSize(old), new_size=TreeSize(new)),
            )
            assert found == (root_of(HASHES[:old]), root_of(HASHES[:new]))
