"""Tiles: what a growing tree stores, and proofs read back from what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.proofs import check_consistency, check_inclusion
from ledger.recent import Recent
from ledger.tiles import (
    TILE_ROOTS_MAX,
    RightEdge,
    TileRoots,
    encode_entries,
    entries_path,
    hashes_of,
    node_reader,
    parse_entries,
    parse_index_path,
    tile_path,
    tile_root,
)
from ledger.tree import CompactRange, consistency_proof, inclusion_proof, leaf_hash, root_of
from ledger.types import LeafIndex, TreeSize


class Stored:
    """What a store keeps of a tree: leaves and full tiles."""

    def __init__(self, count: int) -> None:
        self.leaves = [b"%d" % number for number in range(count)]
        self.hashes = [leaf_hash(leaf) for leaf in self.leaves]
        edge = RightEdge(TreeSize(0), [])
        self.tiles = {(level, index): tile for level, index, tile in edge.extend(self.hashes)}
        self.edge = edge

    def leaf(self, index: LeafIndex) -> bytes:
        return self.leaves[index]

    def tile(self, level: int, index: int) -> bytes:
        return self.tiles[(level, index)]


@pytest.fixture(scope="module")
def stored() -> Stored:
    return Stored(66_000)


def test_full_tiles_are_written_once_each_and_only_when_full(stored: Stored) -> None:
    assert sorted(stored.tiles) == [
        *[(0, index) for index in range(66_000 // 256)],
        (1, 0),
    ]
    assert hashes_of(stored.tiles[(1, 0)])[3] == root_of(stored.hashes[768:1024])


def test_the_edge_is_rebuilt_from_what_is_stored(stored: Stored) -> None:
    rebuilt = RightEdge.rebuild(TreeSize(66_000), leaf=stored.leaf, tile=stored.tile)
    assert [rebuilt.partial(level) for level in range(8)] == [
        stored.edge.partial(level) for level in range(8)
    ]
    more = [leaf_hash(b"more %d" % number) for number in range(300)]
    assert rebuilt.extend(more) == RightEdge.rebuild(
        TreeSize(66_000), leaf=stored.leaf, tile=stored.tile
    ).extend(more)


@given(st.integers(1, 66_000), st.data())
def test_proofs_read_from_tiles_check_at_every_size(stored: Stored, size: int, draw) -> None:
    index = LeafIndex(draw.draw(st.integers(0, size - 1)))
    old = TreeSize(draw.draw(st.integers(1, size)))
    read = node_reader(TreeSize(size), leaf=stored.leaf, tile=stored.tile)
    root = CompactRange().extend(stored.hashes[:size]).root()
    check_inclusion(
        leaf_hash=stored.hashes[index],
        leaf_index=index,
        tree_size=TreeSize(size),
        proof=inclusion_proof(read, leaf_index=index, tree_size=TreeSize(size)),
        root=root,
    )
    check_consistency(
        old_size=old,
        old_root=CompactRange().extend(stored.hashes[:old]).root(),
        new_size=TreeSize(size),
        new_root=root,
        proof=consistency_proof(read, old_size=old, new_size=TreeSize(size)),
    )


def test_a_full_tile_whose_root_is_known_is_not_read_again(stored: Stored) -> None:
    read: list[tuple[int, int]] = []

    def tile(level: int, index: int) -> bytes:
        read.append((level, index))
        return stored.tile(level, index)

    roots: TileRoots = Recent(TILE_ROOTS_MAX)
    size = TreeSize(20_000)
    proofs = [
        inclusion_proof(
            node_reader(size, leaf=stored.leaf, tile=tile, roots=known),
            leaf_index=LeafIndex(19_999),
            tree_size=size,
        )
        for known in (None, roots, roots)
    ]
    tiles = [(0, index) for index in range(20_000 // 256)]
    assert read == tiles * 2, "without known roots, and before any is known"
    assert proofs[0] == proofs[1] == proofs[2]


def test_a_subtree_that_is_not_complete_cannot_be_read(stored: Stored) -> None:
    read = node_reader(TreeSize(300), leaf=stored.leaf, tile=stored.tile)
    with pytest.raises(ValueError, match="not complete"):
        read(6, 4)


def test_paths_are_spelled_in_groups_of_three_digits() -> None:
    assert tile_path(level=0, index=1234067) == "tile/0/x001/x234/067"
    assert tile_path(level=2, index=0, width=7) == "tile/2/000.p/7"
    assert entries_path(index=999) == "tile/entries/999"
    assert entries_path(index=1000, width=1) == "tile/entries/x001/000.p/1"


@given(st.integers(0, 2**55))
def test_an_index_path_reads_back(index: int) -> None:
    assert parse_index_path(tile_path(level=0, index=index).removeprefix("tile/0/")) == index


@pytest.mark.parametrize("path", ["", "1", "x001", "001/000", "x000/001", "x1/000", "x001/٠٠٠"])
def test_another_spelling_of_an_index_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_index_path(path)


@given(st.lists(st.binary(max_size=70), max_size=256))
def test_entry_bundles_read_back(leaves: list[bytes]) -> None:
    assert parse_entries(encode_entries(leaves)) == leaves


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bundle_or_malformed(data: bytes) -> None:
    try:
        leaves = parse_entries(data)
    except Malformed:
        return
    assert encode_entries(leaves) == data


def test_a_tile_or_bundle_of_a_wrong_length_is_malformed() -> None:
    with pytest.raises(Malformed, match="instead of"):
        tile_root(bytes(32))
    with pytest.raises(Malformed, match="whole number"):
        hashes_of(bytes(33))
    with pytest.raises(Malformed, match="at most 256"):
        parse_entries(bytes(2 * 257))
