"""The Merkle tree of RFC 6962 (RFC 9162 §2.1): hashing, appending, and building proofs.

Checking proofs is `ledger.proofs`, apart from building them, so that neither can hide a mistake of
the other.

A tree grows only at its right edge, so what is needed to append is a *compact range*: the roots of
the complete subtrees that cover the leaves from the left, one per set bit of the size, largest
first. It has at most 63 hashes however large the tree is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger.types import LeafIndex, TreeSize

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162 §2.1.1)."""

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""(level, index) → root of the complete subtree over leaves [index·2^level, (index+1)·2^level)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf, 32 bytes: SHA-256(0x00 ‖ data) (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, 32 bytes: SHA-256(0x01 ‖ left ‖ right) (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def grow(hashes: list[bytes], *, size: int, leaves: Iterable[bytes]) -> int:
    """Appends leaf hashes to a compact range of `size` leaves in place; the new size."""
    for leaf in leaves:
        carry = size
        while carry & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            carry >>= 1
        hashes.append(leaf)
        size += 1
    return size


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The right edge of a tree: enough to append to it and to know its root.

    size: number of leaves. hashes: roots of its complete subtrees, largest (leftmost) first.
    Invariant: there is one hash for each bit that is set in `size`.
    """

    size: TreeSize = TreeSize(0)
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("a compact range has one hash per set bit of its size")

    def append(self, leaf: bytes) -> "CompactRange":
        """The range with one more leaf, given by its leaf hash (32 bytes)."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> "CompactRange":
        """The range with more leaves, given by their leaf hashes in order."""
        hashes = list(self.hashes)
        size = grow(hashes, size=self.size, leaves=leaves)
        return CompactRange(TreeSize(size), tuple(hashes))

    def root(self) -> bytes:
        """The tree's root hash, 32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes in order, 32 bytes; EMPTY_ROOT without leaves.

    Works level by level: an odd node at the end of a level moves up unchanged, which is the tree of
    RFC 9162 §2.1.1 read from below.
    """
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        above = [
            sha256(b"\x01" + level[place] + level[place + 1]).digest()
            for place in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def inclusion_proof(
    nodes: NodeReader, *, leaf_index: LeafIndex, tree_size: TreeSize
) -> tuple[bytes, ...]:
    """The hashes that lead from a leaf to the root, lowest first (RFC 9162 §2.1.3.1).

    leaf_index: 0 ≤ leaf_index < tree_size. Raises ValueError outside that range.
    """
    if not 0 <= leaf_index < tree_size:
        raise ValueError(f"there is no leaf {leaf_index} in a tree of {tree_size}")
    return tuple(_path(nodes, leaf_index, 0, tree_size))


def _path(nodes: NodeReader, leaf_index: int, begin: int, end: int) -> list[bytes]:
    """PATH(m, D[begin:end]): from below, by descending and reversing."""
    siblings: list[bytes] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if leaf_index < middle:
            siblings.append(_range_root(nodes, middle, end))
            end = middle
        else:
            siblings.append(_range_root(nodes, begin, middle))
            begin = middle
    siblings.reverse()
    return siblings


def consistency_proof(
    nodes: NodeReader, *, old_size: TreeSize, new_size: TreeSize
) -> tuple[bytes, ...]:
    """The hashes that show that the old tree is a prefix of the new one (RFC 9162 §2.1.4.1).

    0 < old_size ≤ new_size; equal sizes need no hashes. Raises ValueError outside that range.
    """
    if not 0 < old_size <= new_size:
        raise ValueError(f"no consistency proof leads from size {old_size} to {new_size}")
    begin, end = 0, int(new_size)
    siblings: list[bytes] = []
    while end != old_size:
        middle = begin + _split(end - begin)
        if old_size <= middle:
            siblings.append(_range_root(nodes, middle, end))
            end = middle
        else:
            siblings.append(_range_root(nodes, begin, middle))
            begin = middle
    if begin:
        siblings.append(_range_root(nodes, begin, end))
    siblings.reverse()
    return tuple(siblings)


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (≥ 2) (RFC 9162 §2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(nodes: NodeReader, begin: int, end: int) -> bytes:
    """Root over leaves [begin, end), begin a multiple of the largest power of two ≤ end − begin."""
    pieces: list[bytes] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        pieces.append(nodes(level, begin >> level))
        begin += 1 << level
    root = pieces.pop()
    while pieces:
        root = node_hash(pieces.pop(), root)
    return root
