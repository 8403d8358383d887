"""Vectors of trees: the Merkle tree, its tiles, the state's prefix tree, growing lists."""

from collections.abc import Iterator

from builders import signer
from vectors.plain import Vector, packed, vector
from vectors.sample import PAGES, STATE, STATE_ROOT

from ledger.list_heads import ListHead
from ledger.notes import ED25519_TYPE, key_id
from ledger.state_proofs import EMPTY
from ledger.state_tree import StateTree
from ledger.tiles import encode_entries, entries_path, tile_path, tile_root
from ledger.tree import (
    CompactRange,
    NodeReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)
from ledger.types import LeafIndex, TreeSize


def hash_vectors() -> Iterator[Vector]:
    """The two domains of RFC 6962's hash."""
    yield vector("hash/leaf", "hash", "Leaf hash of 'leaf 0'.", leaf_hash(b"leaf 0"))
    left, right = leaf_hash(b"leaf 0"), leaf_hash(b"leaf 1")
    yield vector("hash/node", "hash", "Node over 'leaf 0' and 'leaf 1'.", node_hash(left, right))
    name, key = "example.org/witness", signer("witness").public_key
    yield vector(
        "hash/key-id",
        "hash",
        "A note's key id for an Ed25519 key (type 1).",
        key_id(name, ED25519_TYPE, key),
        key_name=name,
        public_key=key,
    )


def state_vectors() -> Iterator[Vector]:
    """A state of a hundred keys, its pages, and proofs under its root."""
    tree = StateTree(PAGES.get)
    for path in sorted(PAGES)[:2]:
        yield vector(
            f"state-page/{path.hex()}",
            "state page",
            "A page of the state whose keys are 'key 0' … 'key 99' with values 'value 0' ….",
            PAGES[path],
            path=path,
        )
    yield vector(
        "state-root/hundred-keys",
        "state root",
        "The commitment to that state.",
        STATE_ROOT,
        keys=[key.decode() for key in STATE],
        values=[value.decode() for value in STATE.values()],
    )
    yield vector(
        "state-root/empty",
        "state root",
        "The commitment to no key at all.",
        EMPTY,
        keys=[],
        values=[],
    )
    absent = {tree.prove(b"no key %d" % number).other is None: number for number in range(100)}
    for name, key, value in (
        ("presence", b"key 42", b"value 42"),
        ("absence-other-leaf", b"no key %d" % absent[False], None),
        ("absence-nothing", b"no key %d" % absent[True], None),
    ):
        yield packed(
            f"state-proof/{name}",
            "state proof",
            "A key's value, or its absence where value_bytes is null.",
            tree.prove(key),
            key=key,
            value_bytes=value if value is None else value.hex(),
            root=STATE_ROOT,
        )
    for name, count in (("empty", 0), ("seven", 7)):
        head = ListHead().append(b"item %d" % number for number in range(count))
        yield packed(
            f"list-head/{name}",
            "list head",
            f"The head of a list of {count} items: 'item 0', 'item 1' ….",
            head,
            items=[f"item {number}" for number in range(count)],
            root=head.root(),
        )


def _nodes(leaves: list[bytes]) -> NodeReader:
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def tree_vectors() -> Iterator[Vector]:
    """The RFC 6962 trees over 'leaf 0', 'leaf 1' … of 0 to 20 leaves, and proofs about some."""
    leaves = [leaf_hash(b"leaf %d" % number) for number in range(20)]
    for size in range(21):
        grown = CompactRange().extend(leaves[:size])
        yield vector(
            f"tree/size-{size:02d}",
            "tree root",
            f"The tree over the {size} leaves 'leaf 0', 'leaf 1' …: root and compact range.",
            grown.root(),
            size=size,
            compact_range=[digest.hex() for digest in grown.hashes],
        )
    nodes = _nodes(leaves)
    for size in (1, 2, 3, 7, 8, 13, 20):
        inclusion = [
            inclusion_proof(nodes, leaf_index=LeafIndex(at), tree_size=TreeSize(size))
            for at in range(size)
        ]
        consistency = [
            consistency_proof(nodes, old_size=TreeSize(old), new_size=TreeSize(size))
            for old in range(1, size + 1)
        ]
        yield vector(
            f"tree-proofs/size-{size:02d}",
            "tree proofs",
            "Inclusion proofs of leaf 0, 1 … and consistency proofs from size 1, 2 … in that tree.",
            root_of(leaves[:size]),
            size=size,
            inclusion=[[digest.hex() for digest in proof] for proof in inclusion],
            consistency=[[digest.hex() for digest in proof] for proof in consistency],
        )


def tile_vectors() -> Iterator[Vector]:
    """Tiles, entry bundles and their paths."""
    leaves = [b"leaf %d" % number for number in range(256)]
    hashes = [leaf_hash(data) for data in leaves]
    yield vector(
        "tile/partial",
        "tile",
        "The partial level 0 tile of a tree of 5 leaves 'leaf 0' …: 5 leaf hashes.",
        b"".join(hashes[:5]),
        path=tile_path(level=0, index=0, width=5),
        width=5,
    )
    full = b"".join(hashes)
    yield vector(
        "tile/full",
        "tile",
        "The full level 0 tile over 'leaf 0' … 'leaf 255'; its root is level 1's first hash.",
        full,
        path=tile_path(level=0, index=0),
        width=256,
        root=tile_root(full),
    )
    yield vector(
        "entry-bundle/partial",
        "entry bundle",
        "The first 5 leaves' data, each behind its length in two bytes.",
        encode_entries(leaves[:5]),
        path=entries_path(index=0, width=5),
        leaves=[data.decode() for data in leaves[:5]],
    )
    for index in (0, 999, 1_000, 1_234_067):
        path = tile_path(level=0, index=index).removeprefix("tile/0/")
        yield vector(
            f"tile-path/{index}", "tile path", "A tile's index.", path.encode(), index=index
        )
