"""The ledger's numbers and names, each with a type of its own.

A Raft index, a block's height, a leaf's place and a tree's size are all integers, and confusing
two of them is the classic mistake of ledgers. They are therefore distinct types, converted only by
the named functions below. Sizes count, indexes start from 0, heights from 0 (genesis).
"""

from typing import Annotated, NewType, TypeAlias

from msgspec import Meta

Height = NewType("Height", int)
"""A block's place in the chain; genesis is 0. Equal to the block's Raft index from 1 on."""

LeafIndex = NewType("LeafIndex", int)
"""A leaf's place in the Merkle tree, from 0 (RFC 9162 §2.1.1)."""

TreeSize = NewType("TreeSize", int)
"""How many leaves a tree has (RFC 9162 §2.1.1); the next leaf's index."""

HASH_BYTES = 32

Hash: TypeAlias = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
"""A SHA-256 value, 32 bytes."""

PublicKey: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An Ed25519 public key as in RFC 8032 §5.1.5, 32 bytes."""

Signature: TypeAlias = Annotated[bytes, Meta(min_length=64, max_length=64)]
"""An Ed25519 signature as in RFC 8032 §5.1.6, 64 bytes."""

NodeId: TypeAlias = PublicKey
"""A node is its checkpoint key: the identifier *is* the public key."""

Natural: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An integer from 0 to 2⁶³ − 1: what every counter, size, height and time in a format may be."""

Identifier: TypeAlias = Annotated[str, Meta(pattern=r"\A[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")]
"""A short name for machines: lower-case ASCII letters, digits and inner hyphens, 1 to 64."""


def next_leaf_index(tree_size: TreeSize) -> LeafIndex:
    """The index that the next appended leaf gets: a tree of n leaves has indexes 0 … n − 1."""
    return LeafIndex(tree_size)


def size_through(leaf_index: LeafIndex) -> TreeSize:
    """The size of the smallest tree that holds the leaf at `leaf_index`."""
    return TreeSize(leaf_index + 1)


def height_of_entry(raft_index: int) -> Height:
    """The height of the block that the Raft entry at `raft_index` (≥ 1) makes: the same number."""
    if raft_index < 1:
        raise ValueError(f"a Raft index starts from 1, not {raft_index}")
    return Height(raft_index)


def next_height(height: Height) -> Height:
    """The height of the block that follows the one at `height`."""
    return Height(height + 1)
