"""A ledger as static files: C2SP tlog-tiles, and beside them what full verification needs.

    checkpoint                    the newest certificate as a signed note
    tile/<level>/<index>          hashes (c2sp.org/tlog-tiles), partial ones with .p/<width>
    tile/entries/<index>          leaves, likewise
    genesis.json                  the genesis file
    certificates/<height>         every kept certificate up to that, in its own bytes
    attached/<leaf index>         what is attached to records, as far as it is held

Any web server can serve it. Tiles are made from the leaves here, and nothing is written unless they
lead to the certified root.
"""

from collections.abc import Iterator

from audit.forks import Readable, leaves
from ledger import store_keys
from ledger.certificates import Certificate, parse_certificate
from ledger.errors import Malformed
from ledger.genesis import GenesisFile
from ledger.tiles import (
    LEVELS_MAX,
    TILE_WIDTH,
    RightEdge,
    encode_entries,
    entries_path,
    index_path,
    tile_path,
)
from ledger.tree import CompactRange, leaf_hash
from ledger.types import Height, LeafIndex, TreeSize


class Unexportable(Exception):
    """The ledger cannot be exported. remedy: what to do now."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


def exported(source: Readable, genesis: GenesisFile) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of all files, the checkpoint last. Raises Unexportable, Unreadable."""
    certificates = list(_certificates(source))
    if not certificates:
        raise Unexportable("no block is certified", "Wait until a majority has signed one.")
    newest = certificates[-1]
    if newest.ledger_id != genesis.ledger_id:
        raise Unexportable("it is another ledger than this genesis'", "Give the ledger's genesis.")
    yield "genesis.json", genesis.to_json()
    yield from _tree(source, newest)
    for certificate in certificates:
        yield f"certificates/{certificate.height}", certificate.to_bytes()
    stop = store_keys.attached_key(LeafIndex(newest.tree_size))
    for key, attached in source.scan(store_keys.ATTACHED, stop):
        yield f"attached/{index_path(store_keys.read_number(key[1:]))}", attached
    yield "checkpoint", newest.to_note().to_bytes()


def _certificates(source: Readable) -> Iterator[Certificate]:
    """Those up to the end of the leaves."""
    size = sum(1 for _ in leaves(source))
    for _, value in source.scan(
        store_keys.certificate_key(Height(0)), bytes([store_keys.CERTIFICATE[0] + 1])
    ):
        try:
            certificate = parse_certificate(value)
        except Malformed:
            continue
        if certificate.tree_size <= size:
            yield certificate


def _tree(source: Readable, certificate: Certificate) -> Iterator[tuple[str, bytes]]:
    edge = RightEdge(TreeSize(0), [])
    tree = CompactRange()
    bundle: list[bytes] = []
    index = 0
    for leaf, _ in zip(leaves(source), range(certificate.tree_size), strict=False):
        bundle.append(leaf)
        if len(bundle) < TILE_WIDTH:
            continue
        tree, files = _full(edge, tree, bundle)
        yield from files
        yield entries_path(index=index), encode_entries(bundle)
        bundle = []
        index += 1
    hashes = [leaf_hash(leaf) for leaf in bundle]
    tree = tree.extend(hashes)
    edge.extend(hashes)
    if tree.root() != certificate.root:
        raise Unexportable(
            "its leaves do not lead to the certified root",
            "Run `concordat audit verify` on it; it names what is damaged.",
        )
    if bundle:
        yield entries_path(index=index, width=len(bundle)), encode_entries(bundle)
    for level in range(LEVELS_MAX):
        partial = edge.partial(level)
        if partial:
            number = certificate.tree_size >> (8 * (level + 1))
            width = len(partial) // 32
            yield tile_path(level=level, index=number, width=width), partial


def _full(
    edge: RightEdge, tree: CompactRange, bundle: list[bytes]
) -> tuple[CompactRange, list[tuple[str, bytes]]]:
    hashes = [leaf_hash(leaf) for leaf in bundle]
    files = [
        (tile_path(level=level, index=index), tile) for level, index, tile in edge.extend(hashes)
    ]
    return tree.extend(hashes), files
