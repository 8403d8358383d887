"""Blocks: what the ledger says of one executed entry.

A block's leaves are its accepted records in order and then its own header, which is therefore
covered by every checkpoint at or after it. The header links back by hash, names the tree before its
first record, the state after its last and the voters in force after it.

Genesis is height 0: it has no leaf and no header; block 1's previous hash is the ledger id.
"""

from hashlib import sha256
from typing import Annotated, Literal

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.records import LEAF_BYTES_MAX, RecordLeaf
from ledger.types import Hash, Natural, NodeId

VOTERS_MAX = 64
"""Limit of voters in one set. The node offers 3, 5 or 7."""

BLOCK_HEADER_BYTES_MAX = 8192
"""Limit of a block header, in bytes."""


class VoterSets(Format, frozen=True):
    """Who votes: `voters`, and while a change is joint also `incoming`; each sorted, no repeats.

    A majority means a majority of every set that is not empty.
    """

    voters: Annotated[tuple[NodeId, ...], Meta(min_length=1, max_length=VOTERS_MAX)]
    incoming: Annotated[tuple[NodeId, ...], Meta(max_length=VOTERS_MAX)] = ()

    def sets(self) -> tuple[tuple[NodeId, ...], ...]:
        """The sets of which each must agree."""
        return (self.voters, self.incoming) if self.incoming else (self.voters,)


class BlockHeader(Format, frozen=True, tag=2):
    """One block's header, and its last leaf.

    height: ≥ 1, the Raft index of its entry. term: the Raft term of its entry.
    previous_hash: the previous block's hash, the ledger id for height 1.
    entry_hash: hash of the Raft entry (`ledger.statements.entry_hash`), refused records included.
    time_ms: the entry's time, never before the previous block's.
    tree_size, tree_root: the Merkle tree before the block's first record.
    state_root: the state's commitment after the block's last record.
    voters: the sets in force after the block.
    record_count: accepted records; the header's own leaf is not counted.
    """

    version: Literal[1]
    ledger_id: Hash
    height: Natural
    previous_hash: Hash
    term: Natural
    entry_hash: Hash
    time_ms: Natural
    tree_size: Natural
    tree_root: Hash
    state_root: Hash
    voters: VoterSets
    record_count: Natural

    def to_bytes(self) -> bytes:
        """The header's leaf."""
        return encode(self)


Leaf = RecordLeaf | BlockHeader

_HEADER: Decoder[BlockHeader] = Decoder(
    BlockHeader, what="block header", bytes_max=BLOCK_HEADER_BYTES_MAX
)
_LEAF: Decoder[Leaf] = Decoder(
    Leaf, what="leaf", bytes_max=max(LEAF_BYTES_MAX, BLOCK_HEADER_BYTES_MAX)
)


def block_hash(header_bytes: bytes) -> bytes:
    """A block's hash, 32 bytes: SHA-256 of its header's leaf."""
    return sha256(header_bytes).digest()


def parse_block_header(data: bytes) -> BlockHeader:
    """A block header from its leaf. Raises Malformed."""
    return _HEADER.decode(data)


def parse_any_leaf(data: bytes) -> Leaf:
    """Whichever leaf `data` is: a record's or a block header. Raises Malformed."""
    return _LEAF.decode(data)


def reread_leaf(data: bytes) -> Leaf:
    """The leaf of bytes that `parse_any_leaf` has accepted before; nothing is checked again."""
    return _LEAF.reread(data)
