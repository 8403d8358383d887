"""Tiles: what a growing tree stores, and proofs read back from what is stored."""

import pytest
from hypothesis import given, settings
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


@settings(max_examples=30)
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


def test_a_leaf_may_complete_tiles_of_every_level() -> None:
    row = [leaf_hash(b"%d" % number) for number in range(255)]
    edge = RightEdge(TreeSize(256**8 - 1), [row] * 8)
    assert edge.partial(0) == edge.partial(7) == b"".join(row)
    full = edge.extend([leaf_hash(b"last")])
    index = 256**8
    assert [(level, at) for level, at, _ in full] == [
        (level, index // 256 ** (level + 1) - 1) for level in range(8)
    ]
    last = leaf_hash(b"last")
    for _, _, tile in full:
        assert tile == b"".join([*row, last])
        last = root_of([*row, last])
    assert [edge.partial(level) for level in range(8)] == [b""] * 8
    assert edge.size == 256**8


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "'' is no tile index"),
        ("1", "'1' is no tile index"),
        ("1/000", "'1/000' is no tile index"),
        ("abc", "'abc' is no tile index"),
        ("x001", "'x001' is no tile index"),
        ("٠٠٠", "'٠٠٠' is no tile index"),
        ("x000/001", "'x000/001' is a second spelling of '001'"),
        ("001/000", "'001/000' is a second spelling of 'x001/000'"),
    ],
)
def test_what_is_wrong_with_an_index_path_is_said(path: str, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_index_path(path)
    assert str(caught.value) == f"tile path: {why}"


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (b"\x00", "it ends within entry 0"),
        (b"\x00\x01a\x00\x02b", "it ends within entry 1"),
        (b"\x00\x00\x01", "it ends within entry 1"),
        (bytes(2 * 257), "257 entries, at most 256 allowed"),
    ],
)
def test_what_is_wrong_with_an_entry_bundle_is_said(bundle: bytes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_entries(bundle)
    assert str(caught.value) == f"entry bundle: {why}"


def test_a_bundle_holds_256_entries_of_any_length() -> None:
    leaves = [bytes(number) for number in range(256)]
    assert parse_entries(encode_entries(leaves)) == leaves
    long = [b"x" * 300]
    assert encode_entries(long) == b"\x01\x2c" + long[0]


def test_what_is_wrong_with_a_tile_is_said() -> None:
    with pytest.raises(Malformed) as caught:
        tile_root(bytes(32))
    assert str(caught.value) == "tile: 32 bytes instead of 8192"
    with pytest.raises(Malformed) as caught:
        hashes_of(bytes(33))
    assert str(caught.value) == "tile: 33 bytes are no whole number of hashes"


def test_what_lies_in_a_full_tile_is_read_from_no_leaf() -> None:
    stored = Stored(600)
    read: list[LeafIndex] = []

    def leaf(index: LeafIndex) -> bytes:
        read.append(index)
        return stored.leaf(index)

    reader = node_reader(TreeSize(600), leaf=leaf, tile=stored.tile)
    for index in (0, 255, 256, 511):
        assert reader(0, index) == stored.hashes[index]
    assert read == []
    assert reader(0, 512) == stored.hashes[512]
    assert read == list(range(512, 600))
