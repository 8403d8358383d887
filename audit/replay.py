"""A ledger executed again from its leaves, block by block, and all that a store derives from it.

Nothing here trusts the store: state, state tree, lists, indexes and tiles are made anew from the
leaves alone, in memory or in a scratch store (`audit.scratch`), and only then compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from audit.progress import ProgressRefused
from audit.progress import Replayed as Known
from audit.scratch import Nonces, Scratch, Table
from contracts.consortium import genesis_state, step_between
from contracts.machine import Candidate, ExecutedBlock, Tip, execute_entry, genesis_tip
from contracts.state import View
from ledger import store_keys
from ledger.blocks import BlockHeader
from ledger.entries import Entry
from ledger.genesis import GenesisFile
from ledger.records import Record
from ledger.state_tree import StateTree
from ledger.tiles import LEVELS_MAX, RightEdge, hashes_of
from ledger.types import Height, LeafIndex, TreeSize


@dataclass(frozen=True, slots=True)
class Replayed:
    """One block executed again. stored: the keys and values that never change after it, if they
    are asked for."""

    block: ExecutedBlock
    stored: tuple[tuple[bytes, bytes], ...]


RESTORED_VALUES = 4_096
"""State values whose tree is made again at a time when a replay is continued."""


class Replay:
    """The ledger so far.

    state, pages: the state's values and its tree's pages, by their keys and paths.
    counts: how many keys of each kind (`ledger.store_keys`) a store has by now.
    """

    def __init__(
        self, genesis: GenesisFile, *, derive: bool = True, scratch: Scratch | None = None
    ) -> None:
        """derive: whether to make what a store derives from the blocks. scratch: an empty one, for
        what outgrows memory."""
        self._derive = derive
        self._scratch = scratch
        self._ledger_id = genesis.ledger_id
        self.state = Table(scratch, store_keys.STATE_VALUE)
        self.pages = Table(scratch, store_keys.STATE_PAGE)
        self._tree = StateTree(self.pages.get)
        founded = genesis_state(genesis.genesis)
        self.state.update(founded)
        update = self._tree.update(founded)
        self.pages.update(update.pages)
        self.tip: Tip = genesis_tip(genesis, state_root=update.root)
        self._edge = RightEdge(TreeSize(0), [])
        self._decoded: dict[bytes, Any] = {}
        self._nonces = Nonces(scratch, store_keys.NONCE)
        self._documents: set[bytes] = set()
        self.counts: dict[bytes, int] = {}

    def view(self) -> View:
        """The state as the contracts see it."""
        return self.state

    def execute(
        self, header: BlockHeader, records: Sequence[Record], signatures: Sequence[bool]
    ) -> Replayed:
        """Executes the next block's records, in order, as its header says it was made.

        signatures: whether each record's holds.
        """
        candidates = [
            Candidate(record, "", signature_valid=valid)
            for record, valid in zip(records, signatures, strict=True)
        ]
        return self.execute_judged(header, candidates, attachments_judged=False)

    def execute_judged(
        self, header: BlockHeader, candidates: Sequence[Candidate], *, attachments_judged: bool
    ) -> Replayed:
        """The same from candidates; attachments_judged: whether what is attached was judged.

        The configuration step is not in the leaves: if the header's voters differ from those before
        it, there is only one step that can have made them, and it counts only if it was due.
        What comes out has refused records, or another header, where the ledger is wrong.
        """
        block = execute_entry(
            ledger_id=self._ledger_id,
            tip=self.tip,
            term=header.term,
            entry_hash=header.entry_hash,
            entry=Entry(header.time_ms, step_between(self.tip.voters, header.voters), ()),
            candidates=candidates,
            view=self.state,
            state_tree=self._tree,
            nonce_used=self._nonces.seen,
            attachments_may_be_missing=True,
            attachments_judged=attachments_judged,
            decoded=self._decoded,
        )
        self.state.update(block.writes)
        self.pages.update(block.pages)
        self.tip = block.tip
        stored = tuple(self._stored(block)) if self._derive else ()
        for key, _ in stored:
            self.counts[key[:1]] = self.counts.get(key[:1], 0) + 1
        for index, record in enumerate(block.accepted, start=block.first_leaf_index):
            self._nonces.add(record.header.key, record.header.nonce, index)
        return Replayed(block, stored)

    @property
    def is_full(self) -> bool:
        """Whether what it holds in memory is to be written to the scratch store."""
        return self.state.is_full or self.pages.is_full or self._nonces.is_full

    def unsaved(self) -> dict[bytes, bytes]:
        """What is to be written to the scratch store; then it counts as written."""
        return self.state.unsaved() | self.pages.unsaved() | self._nonces.unsaved()

    def progress(self) -> Known:
        """What it knows beside what the scratch store holds once `unsaved` is written."""
        return Known(
            tip=self.tip,
            runs=tuple(self._nonces.runs),
            edge=tuple(self._edge.partial(level) for level in range(LEVELS_MAX)),
            documents=tuple(sorted(self._documents)),
            counts=tuple(sorted(self.counts.items())),
        )

    def restore(self, known: Known) -> None:
        """Continues an earlier replay whose tables the scratch store holds.

        The state's tree is made again from its values. Raises ProgressRefused if anything else
        comes out than what the earlier replay knew.
        """
        assert self._scratch is not None
        self._scratch.clear(store_keys.STATE_PAGE)
        self.state = Table(self._scratch, store_keys.STATE_VALUE)
        self.pages = Table(self._scratch, store_keys.STATE_PAGE)
        self._tree = StateTree(self.pages.get)
        values = self.state.items()
        while batch := dict(islice(values, RESTORED_VALUES)):
            self.pages.update(self._tree.update(batch).pages)
            self._scratch.write(self.pages.unsaved())
        if self._tree.root() != known.tip.state_root or not self._nonces.restore(known.runs):
            raise ProgressRefused("the scratch store holds another state than the progress says")
        self.tip = known.tip
        self._edge = RightEdge(
            TreeSize(known.tip.tree_size), [hashes_of(level) for level in known.edge]
        )
        self._documents = set(known.documents)
        self.counts = dict(known.counts)

    def repeated_nonces(self) -> Iterator[int]:
        """Leaf indexes of records whose nonce their key had used long before, which `execute` does
        not see."""
        return self._nonces.repeated()

    def _stored(self, block: ExecutedBlock) -> Iterator[tuple[bytes, bytes]]:
        """What a store keeps of the block for good."""
        height = block.height
        index = block.first_leaf_index
        for record in block.accepted:
            header = record.header
            place = index.to_bytes(8, "big")
            yield store_keys.leaf_key(index), record.leaf_bytes
            yield store_keys.record_key(record.record_id), place + height.to_bytes(8, "big")
            yield store_keys.nonce_key(header.key, header.nonce), place
            if record.attached is not None and header.attached is not None:
                yield store_keys.attached_key(index), record.attached
                digest = header.attached.digest
                if header.attached.form == "document" and digest not in self._documents:
                    self._documents.add(digest)
                    yield store_keys.document_key(digest), place
            index = LeafIndex(index + 1)
        yield store_keys.leaf_key(index), block.header_bytes
        yield store_keys.block_key(Height(height)), index.to_bytes(8, "big")
        for list_key, number, item in block.list_items:
            yield store_keys.list_item_key(sha256(list_key).digest(), number=number), item
        for level, tile, hashes in self._edge.extend(block.leaf_hashes):
            yield store_keys.tile_key(level=level, index=tile), hashes
