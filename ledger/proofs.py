"""Checking proofs about the Merkle tree (RFC 9162 §2.1.3.2 and §2.1.4.2).

Nothing here builds a proof. A proof that is too long, too short, or leads elsewhere raises
ProofMismatch; sizes and indexes outside their range are part of what a proof claims and are refused
in the same way, because they come from whoever hands it over.
"""

from collections.abc import Sequence

from ledger.errors import ProofMismatch
from ledger.tree import node_hash
from ledger.types import HASH_BYTES, LeafIndex, TreeSize


def check_inclusion(
    *,
    leaf_hash: bytes,
    leaf_index: LeafIndex,
    tree_size: TreeSize,
    proof: Sequence[bytes],
    root: bytes,
) -> None:
    """The leaf is at `leaf_index` of the tree with `tree_size` leaves and `root`.

    Raises ProofMismatch otherwise (RFC 9162 §2.1.3.2).
    """
    derived = root_from_inclusion(
        leaf_hash=leaf_hash, leaf_index=leaf_index, tree_size=tree_size, proof=proof
    )
    if derived != root:
        raise ProofMismatch("inclusion proof", "it leads to another root")


def root_from_inclusion(
    *, leaf_hash: bytes, leaf_index: LeafIndex, tree_size: TreeSize, proof: Sequence[bytes]
) -> bytes:
    """The root that an inclusion proof leads to, 32 bytes. Raises ProofMismatch if malformed."""
    if not 0 <= leaf_index < tree_size:
        raise ProofMismatch("inclusion proof", f"no leaf {leaf_index} in a tree of {tree_size}")
    _check_hashes("inclusion proof", (leaf_hash, *proof))
    index, last = int(leaf_index), int(tree_size) - 1
    derived = leaf_hash
    for sibling in proof:
        if last == 0:
            raise ProofMismatch("inclusion proof", "it has more hashes than the tree has levels")
        if index & 1 or index == last:
            derived = node_hash(sibling, derived)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            derived = node_hash(derived, sibling)
        index >>= 1
        last >>= 1
    if last:
        raise ProofMismatch("inclusion proof", "it has fewer hashes than the tree needs")
    return derived


def check_consistency(
    *,
    old_size: TreeSize,
    old_root: bytes,
    new_size: TreeSize,
    new_root: bytes,
    proof: Sequence[bytes],
) -> None:
    """The tree of `old_size` is a prefix of the tree of `new_size`, by their roots.

    0 < old_size ≤ new_size: that an empty tree is a prefix says nothing. Equal sizes take no
    hashes.
    Raises ProofMismatch otherwise (RFC 9162 §2.1.4.2).
    """
    if old_size == new_size and old_size > 0:
        if proof:
            raise ProofMismatch("consistency proof", "equal sizes take no hashes")
        if old_root != new_root:
            raise ProofMismatch("consistency proof", "equal sizes, different roots")
        return
    derived_old, derived_new = roots_from_consistency(
        old_size=old_size, old_root=old_root, new_size=new_size, proof=proof
    )
    if derived_old != old_root:
        raise ProofMismatch("consistency proof", "it leads to another old root")
    if derived_new != new_root:
        raise ProofMismatch("consistency proof", "it leads to another new root")


def roots_from_consistency(
    *, old_size: TreeSize, old_root: bytes, new_size: TreeSize, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Both roots that a consistency proof leads to: (at old_size, at new_size), 32 bytes each.

    0 < old_size < new_size. old_root starts the path when the old tree is a complete subtree of the
    new one, and is then one of its hashes. A path that leads into a known new root but to another
    old root is evidence that two statements contradict each other.
    Raises ProofMismatch if the path has a wrong length.
    """
    if not 0 < old_size < new_size:
        raise ProofMismatch("consistency proof", f"{old_size} leaves do not grow to {new_size}")
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    _check_hashes("consistency proof", path)
    if not path:
        raise ProofMismatch("consistency proof", "it has no hashes")
    old, new = int(old_size) - 1, int(new_size) - 1
    while old & 1:
        old >>= 1
        new >>= 1
    derived_old = derived_new = path[0]
    for sibling in path[1:]:
        if new == 0:
            raise ProofMismatch("consistency proof", "it has more hashes than the tree has levels")
        if old & 1 or old == new:
            derived_old = node_hash(sibling, derived_old)
            derived_new = node_hash(sibling, derived_new)
            while not old & 1 and old:
                old >>= 1
                new >>= 1
        else:
            derived_new = node_hash(derived_new, sibling)
        old >>= 1
        new >>= 1
    if new:
        raise ProofMismatch("consistency proof", "it has fewer hashes than the tree needs")
    return derived_old, derived_new


def _check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    if any(len(digest) != HASH_BYTES for digest in hashes):
        raise ProofMismatch(what, f"a hash in it has not {HASH_BYTES} bytes")
