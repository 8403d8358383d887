"""Where everything lies in a node's key-value store: one prefix per kind, sorted as it is read.

Integers in keys are 8 bytes, big-endian, so that order by bytes is order by number. Everything but
the rows marked * is derived from the blocks, and an auditor re-derives and compares it.

| key                          | value                                                            |
|------------------------------|------------------------------------------------------------------|
| `a` leaf index               | what is attached to that record, as it came                      |
| `b` height                   | leaf index of the block's header (8 bytes): its records end there|
| `c` height *                 | certificate of that block (`ledger.certificates`)                |
| `d` SHA-256                  | leaf index (8) of the first record that carried this document    |
| `e` Raft index *             | Raft entry and its hash (`node.raft_log`)                        |
| `i` SHA-256(list key) number | one item of a growing list (`ledger.list_heads`)                 |
| `l` leaf index               | leaf's data                                                      |
| `m` name *                   | the node's own marks, below                                      |
| `n` record key, nonce        | leaf index (8): each pair is accepted once                       |
| `o` height *                 | the node's own checkpoint signature above the newest certificate |
| `p` page path                | page of the state tree (`ledger.state_tree`)                     |
| `r` record id                | leaf index (8), height (8)                                       |
| `t` level (1), index (8)     | full tile of the Merkle tree, 8,192 bytes (C2SP tlog-tiles)      |
| `v` state key                | state value                                                      |
| `w` node id *                | what that node has promised this one (`node.peer_memory`)        |
| `x` number *                 | evidence against a node                                          |
"""

from ledger.types import Height, LeafIndex

ATTACHED = b"a"
BLOCK = b"b"
CERTIFICATE = b"c"
DOCUMENT = b"d"
ENTRY = b"e"
LIST_ITEM = b"i"
LEAF = b"l"
MARK = b"m"
NONCE = b"n"
OWN_SIGNATURE = b"o"
STATE_PAGE = b"p"
RECORD = b"r"
TILE = b"t"
STATE_VALUE = b"v"
PROMISE = b"w"
EVIDENCE = b"x"

FORMAT_MARK = MARK + b"format"
"""`concordat-store/1`: the layout on this page."""

GENESIS_MARK = MARK + b"genesis"
"""The genesis' bytes, so that a store says which ledger it holds."""

HARD_STATE_MARK = MARK + b"hard-state"
"""Raft term, vote and commit index."""

TIP_MARK = MARK + b"tip"
"""The last executed block, its tree and state (`contracts.machine.Tip`)."""

SIGNED_MARK = MARK + b"signed"
"""The highest height whose checkpoint this node has signed (8 bytes)."""

STANDING_MARK = MARK + b"standing"
"""Why this node's key is spent; absent while it is not."""

BATCH_MARK = MARK + b"batch"
"""The newest batch's sequence number and the chain of batches' hashes, one hash per batch."""

FIRST_ENTRY_MARK = MARK + b"first-entry"
"""Where the kept Raft log starts: the index and term just before its first entry, and its hash."""


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def read_number(data: bytes) -> int:
    """The integer that 8 bytes of a key or value spell, big-endian."""
    if len(data) != 8:
        raise ValueError("a stored number has 8 bytes")
    return int.from_bytes(data, "big")


def attached_key(leaf_index: LeafIndex) -> bytes:
    """Key of what is attached to the record at `leaf_index`."""
    return ATTACHED + _number(leaf_index)


def block_key(height: Height) -> bytes:
    """Key of a block: its value is the leaf index of the block's header."""
    return BLOCK + _number(height)


def certificate_key(height: Height) -> bytes:
    """Key of the certificate kept for a block."""
    return CERTIFICATE + _number(height)


def document_key(digest: bytes) -> bytes:
    """Key that finds a document by its SHA-256."""
    return DOCUMENT + digest


def entry_key(raft_index: int) -> bytes:
    """Key of a Raft entry."""
    return ENTRY + _number(raft_index)


def list_item_key(list_digest: bytes, *, number: int) -> bytes:
    """Key of a growing list's item; list_digest is SHA-256 of the list head's state key."""
    return LIST_ITEM + list_digest + _number(number)


def leaf_key(leaf_index: LeafIndex) -> bytes:
    """Key of a leaf's data."""
    return LEAF + _number(leaf_index)


def nonce_key(record_key: bytes, nonce: bytes) -> bytes:
    """Key that remembers that a record key has used a nonce."""
    return NONCE + record_key + nonce


def own_signature_key(height: Height) -> bytes:
    """Key of the node's own signature for a height."""
    return OWN_SIGNATURE + _number(height)


def promise_key(node_id: bytes) -> bytes:
    """Key of what another node has promised this one."""
    return PROMISE + node_id


def state_page_key(path: bytes) -> bytes:
    """Key of a page of the state tree."""
    return STATE_PAGE + path


def record_key(record_id: bytes) -> bytes:
    """Key that finds a record by its id."""
    return RECORD + record_id


def tile_key(*, level: int, index: int) -> bytes:
    """Key of a full tile."""
    return TILE + level.to_bytes(1, "big") + _number(index)


def state_key(key: bytes) -> bytes:
    """Key of a state value."""
    return STATE_VALUE + key


def evidence_key(number: int) -> bytes:
    """Key of a piece of evidence."""
    return EVIDENCE + _number(number)
