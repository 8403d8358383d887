"""Serving certified blocks to peers that are behind the Raft log: the snapshots of Raft §7.

A certificate covers every block before it, but is judged by the voters in force before its own. So
what is served runs up to the next change of voters, under the certificate of that very block, or
else under the newest certificate: then whoever knows the voters at its own end can check it all.
"""

from collections.abc import Iterator

from ledger import store_keys
from ledger.certificates import Certificate, parse_certificate
from ledger.recent import Recent
from ledger.records import record_bytes
from ledger.tiles import TILE_ROOTS_MAX, TileRoots, node_reader
from ledger.tree import NodeReader, consistency_proof
from ledger.types import Height, LeafIndex, NodeId, TreeSize
from node.chain import Chain
from node.messages import BLOCKS_MAX, BlocksWanted, CertifiedBlocks, ServedBlock
from node.ports import StoreReader

BLOCKS_BYTES_MAX = 1024 * 1024
"""About the bytes of records in one answer; a single larger block still goes."""

ANSWERS_PER_TICK_MAX = 16
"""Answers that one peer gets in a tick; what it asks beyond is not answered."""


class BlockServer:
    """Reads what is durable; keeps one certificate's tree at hand for the next question."""

    def __init__(self, store: StoreReader, chain: Chain) -> None:
        self._store = store
        self._chain = chain
        self._answers: dict[NodeId, int] = {}
        self._target: Certificate | None = None
        self._target_from = 0
        self._nodes: NodeReader | None = None
        self._roots: TileRoots = Recent(TILE_ROOTS_MAX)

    def tick(self) -> None:
        """A tick has passed: everyone may ask again."""
        self._answers.clear()

    def answer(
        self, peer: NodeId, wanted: BlocksWanted, newest: Certificate | None
    ) -> CertifiedBlocks | None:
        """The next blocks for a peer; None if it asks too often.

        newest: the newest durable certificate.
        """
        count = self._answers.get(peer, 0)
        if count >= ANSWERS_PER_TICK_MAX:
            return None
        self._answers[peer] = count + 1
        target = self._certificate_after(wanted.height, newest)
        if target is None or wanted.tree_size > target.tree_size:
            return CertifiedBlocks(wanted.height, (), b"", (), ())
        blocks = tuple(self._blocks(wanted.height + 1, target.height))
        end = self._tree_size_at(Height(wanted.height + len(blocks)))
        return CertifiedBlocks(
            wanted.height,
            blocks,
            target.to_bytes(),
            self._path(end, target),
            self._path(wanted.tree_size, target) if wanted.tree_size else (),
        )

    def _certificate_after(self, height: int, newest: Certificate | None) -> Certificate | None:
        """Of the first change of voters above `height`, else the newest; None if it is not above.

        The one chosen last serves on for every height up to its own, so its tree is read once.
        """
        if self._target is not None and self._target_from <= height < self._target.height:
            return self._target
        start = store_keys.certificate_key(Height(height + 1))
        chosen = newest
        for _, value in self._store.scan(start, bytes([store_keys.CERTIFICATE[0] + 1])):
            certificate = parse_certificate(value)
            if self._chain.changes_voters(Height(certificate.height)):
                chosen = certificate
                break
        if chosen is None or chosen.height <= height:
            return None
        self._target, self._target_from = chosen, height
        self._nodes = node_reader(
            TreeSize(chosen.tree_size),
            leaf=self._chain.leaf,
            tile=self._chain.tile,
            roots=self._roots,
        )
        return chosen

    def _blocks(self, first: int, last: int) -> Iterator[ServedBlock]:
        size = 0
        for height in range(first, min(last, first + BLOCKS_MAX - 1) + 1):
            header = self._chain.header(Height(height))
            records = tuple(
                record_bytes(self._chain.leaf(LeafIndex(at)), self._attached(at))
                for at in range(header.tree_size, header.tree_size + header.record_count)
            )
            size += sum(map(len, records)) + 512
            if height > first and size > BLOCKS_BYTES_MAX:
                return
            yield ServedBlock(records, header.to_bytes())

    def _attached(self, leaf_index: int) -> bytes | None:
        return self._store.get(store_keys.attached_key(LeafIndex(leaf_index)))

    def _tree_size_at(self, height: Height) -> int:
        header = self._chain.header(height)
        return header.tree_size + header.record_count + 1

    def _path(self, size: int, target: Certificate) -> tuple[bytes, ...]:
        assert self._nodes is not None
        return consistency_proof(
            self._nodes, old_size=TreeSize(size), new_size=TreeSize(target.tree_size)
        )
