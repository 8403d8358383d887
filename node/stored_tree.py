"""The Merkle tree as a store holds it: leaves and full tiles, from which any proof is made."""

from ledger import store_keys
from ledger.tiles import TileRoots, node_reader
from ledger.tree import NodeReader
from ledger.types import LeafIndex, TreeSize
from node.ports import StoreReader


def stored_leaf(reader: StoreReader, index: int) -> bytes:
    """A leaf below the certified size."""
    leaf = reader.get(store_keys.leaf_key(LeafIndex(index)))
    assert leaf is not None, "what is certified is stored"
    return leaf


def stored_nodes(reader: StoreReader, size: TreeSize, roots: TileRoots) -> NodeReader:
    """The hashes of the tree of `size` leaves, at most as large as the certified one.

    roots: of the store's full tiles, as far as they are known.
    """

    def tile(level: int, index: int) -> bytes:
        stored = reader.get(store_keys.tile_key(level=level, index=index))
        assert stored is not None, "what is certified is stored"
        return stored

    return node_reader(size, leaf=lambda index: stored_leaf(reader, index), tile=tile, roots=roots)
