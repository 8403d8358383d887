"""Two ledgers leaf by leaf: the same, one a prefix of the other, or forked, and where.

Pure: bytes come from a `Readable`. What is compared is what a checkpoint covers, the leaves; roots
and paths are made from them, so nothing that a store says about itself counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, Protocol

from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.checkpoints import Checkpoint
from ledger.errors import Malformed
from ledger.tree import CompactRange, NodeReader, consistency_proof, leaf_hash
from ledger.types import LeafIndex, TreeSize

Relation = Literal["same", "prefix", "fork", "unknown"]


class Readable(Protocol):
    """A store, an export or a simulator's disk: where a ledger's keys and values are."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop, in order."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a ledger ends: the tree after its last whole block. height 0: there is no block."""

    height: int
    tree_size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two ledgers relate.

    common: the last block that both have; height 0 if they share none.
    leaf_index: of the first leaf in which they differ, or that one of them lacks; None if none.
    ends: of the one and the other. shorter: 0 or 1 if that one is a prefix of the other.
    """

    relation: Relation
    common: End
    leaf_index: LeafIndex | None
    ends: tuple[End, End]
    shorter: int | None


class _Walk:
    """One ledger's blocks while its leaves go by."""

    def __init__(self) -> None:
        self._tree = CompactRange()
        self.end = End(0, 0, self._tree.root())

    def take(self, leaf: bytes) -> None:
        """The next leaf."""
        self._tree = self._tree.append(leaf_hash(leaf))
        header = _header(leaf)
        if header is not None:
            self.end = End(header.height, self._tree.size, self._tree.root())


def _header(leaf: bytes) -> BlockHeader | None:
    try:
        parsed = parse_any_leaf(leaf)
    except Malformed:
        return None
    return parsed if isinstance(parsed, BlockHeader) else None


def leaves(store: Readable) -> Iterator[bytes]:
    """Every leaf from the first on, up to the first gap."""
    stop = bytes([store_keys.LEAF[0] + 1])
    for index, (key, leaf) in enumerate(store.scan(store_keys.LEAF, stop)):
        if key != store_keys.leaf_key(LeafIndex(index)):
            return
        yield leaf


def ledger_of(store: Readable) -> bytes | None:
    """The ledger id that a store's first block names; None if it has no block."""
    for leaf in leaves(store):
        header = _header(leaf)
        if header is not None:
            return header.ledger_id
    return None


def compare(one: Readable, other: Readable) -> Comparison:
    """How two ledgers relate, and where they part. Reads every leaf of both, once."""
    walks = (_Walk(), _Walk())
    common = walks[0].end
    parted: LeafIndex | None = None
    missing = [False, False]
    for index, pair in enumerate(zip_longest(leaves(one), leaves(other))):
        if parted is None and pair[0] != pair[1]:
            parted = LeafIndex(index)
            missing = [leaf is None for leaf in pair]
        for walk, leaf in zip(walks, pair, strict=True):
            if leaf is not None:
                walk.take(leaf)
        if parted is None:
            common = walks[0].end
    ends = (walks[0].end, walks[1].end)
    if parted is None:
        return Comparison("same", common, None, ends, None)
    shorter = missing.index(True) if any(missing) else None
    relation: Relation = "fork" if shorter is None else "prefix"
    return Comparison(relation, common, parted, ends, shorter)


def place(checkpoint: Checkpoint, store: Readable) -> Relation:
    """How a checkpoint relates to a ledger: its end, a prefix of it, of a fork of it, or unknown.

    Unknown: the ledger ends before the checkpoint's tree does.
    """
    roots = roots_at(store, [checkpoint.tree_size])
    if checkpoint.tree_size not in roots:
        return "unknown"
    if roots[checkpoint.tree_size] != checkpoint.root:
        return "fork"
    more = store.get(store_keys.leaf_key(LeafIndex(checkpoint.tree_size))) is not None
    return "prefix" if more else "same"


def roots_at(store: Readable, sizes: Sequence[int]) -> dict[int, bytes]:
    """The ledger's root at each of these sizes that it reaches. Reads its leaves once, if any."""
    wanted = sorted(set(sizes), reverse=True)
    roots: dict[int, bytes] = {}
    if not wanted:
        return roots
    tree = CompactRange()
    for leaf in leaves(store):
        tree = tree.append(leaf_hash(leaf))
        if tree.size == wanted[-1]:
            roots[wanted.pop()] = tree.root()
            if not wanted:
                break
    return roots


def full_path(store: Readable, *, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """A consistency path in full (`ledger.checkpoints.contradict`), from the ledger's leaves.

    In full: where the old tree is one complete subtree, its root comes first. The ledger has at
    least new_size leaves, 0 < old_size < new_size. Memory is bounded: the subtrees on the path are
    found first, then hashed while the leaves go by once.
    """
    ranges: dict[tuple[int, int], CompactRange] = {}

    def note(level: int, index: int) -> bytes:
        ranges[level, index] = CompactRange()
        return bytes(32)

    _path(note, old_size=old_size, new_size=new_size)
    spans = sorted((index << level, (index + 1) << level, level, index) for level, index in ranges)
    at = 0
    for number, leaf in enumerate(leaves(store)):
        while at < len(spans) and number >= spans[at][1]:
            at += 1
        if at == len(spans):
            break
        begin, _, level, index = spans[at]
        if number >= begin:
            ranges[level, index] = ranges[level, index].append(leaf_hash(leaf))
    return _path(
        lambda level, index: ranges[level, index].root(), old_size=old_size, new_size=new_size
    )


def _path(nodes: NodeReader, *, old_size: int, new_size: int) -> tuple[bytes, ...]:
    proof = consistency_proof(nodes, old_size=TreeSize(old_size), new_size=TreeSize(new_size))
    if old_size & (old_size - 1) == 0:
        return (nodes(old_size.bit_length() - 1, 0), *proof)
    return proof
