"""Checkpoints: what a node vouches for when it has executed a block.

    concordat/<ledger id, hex>            the origin (c2sp.org/tlog-checkpoint)
    <tree size, decimal>
    <root hash, base64>
    height <height, decimal>              an extension line

Each node signs as a C2SP cosigner (c2sp.org/tlog-cosignature): the signature is over
"cosignature/v1", a line "time <Unix seconds>" and the checkpoint, under the key name
`<origin>/<node id, hex>`. The node id is the public key, so nothing else is needed to check it.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed, ProofMismatch
from ledger.notes import COSIGNATURE_TYPE, Note, NoteSignature, key_id
from ledger.proofs import roots_from_consistency
from ledger.signatures import verify
from ledger.types import HASH_BYTES, NodeId, TreeSize

ORIGIN_PREFIX = "concordat/"


def origin(ledger_id: bytes) -> str:
    """The ledger's name for transparency-log tools."""
    return ORIGIN_PREFIX + ledger_id.hex()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree at the end of the block at `height`: its size, ≥ 1, and its root, 32 bytes."""

    ledger_id: bytes
    height: int
    tree_size: int
    root: bytes

    def body(self) -> bytes:
        """The checkpoint's text, ending in a line feed."""
        root = base64.b64encode(self.root).decode("ascii")
        return (
            f"{origin(self.ledger_id)}\n{self.tree_size}\n{root}\nheight {self.height}\n"
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A node's signature on a checkpoint, made at `timestamp_s` (Unix seconds) by its clock."""

    node_id: NodeId
    timestamp_s: int
    signature: bytes


def parse_checkpoint(text: bytes) -> Checkpoint:
    """A checkpoint of any Concordat ledger from its text. Raises Malformed."""
    try:
        lines = text.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("checkpoint", "it is not ASCII") from None
    if len(lines) != 5 or lines[4] or not lines[3].startswith("height "):
        raise Malformed("checkpoint", "it needs origin, size, root and height, a line each")
    try:
        checkpoint = Checkpoint(
            ledger_id=bytes.fromhex(lines[0].removeprefix(ORIGIN_PREFIX)),
            height=int(lines[3].removeprefix("height ")),
            tree_size=int(lines[1]),
            root=base64.b64decode(lines[2], validate=True),
        )
    except (ValueError, binascii.Error):
        raise Malformed("checkpoint", "a line is unreadable") from None
    if (
        checkpoint.body() != text
        or len(checkpoint.ledger_id) != HASH_BYTES
        or len(checkpoint.root) != HASH_BYTES
        or not 0 < checkpoint.height < 2**63
        or not 0 < checkpoint.tree_size < 2**63
    ):
        raise Malformed("checkpoint", "it is not the one accepted spelling")
    return checkpoint


def cosignature_message(checkpoint: Checkpoint, timestamp_s: int) -> bytes:
    """What a node signs (c2sp.org/tlog-cosignature, Ed25519)."""
    return f"cosignature/v1\ntime {timestamp_s}\n".encode("ascii") + checkpoint.body()


def check_cosignature(checkpoint: Checkpoint, cosignature: Cosignature) -> bool:
    """Whether the node it names made this signature on this checkpoint."""
    message = cosignature_message(checkpoint, cosignature.timestamp_s)
    return verify(cosignature.node_id, message, cosignature.signature)


def cosigner_name(ledger_id: bytes, node_id: NodeId) -> str:
    """The key name under which a node's signature stands on a note."""
    return f"{origin(ledger_id)}/{node_id.hex()}"


def to_note(checkpoint: Checkpoint, cosignatures: Sequence[Cosignature]) -> Note:
    """The checkpoint and its cosignatures as a note for transparency-log tools."""
    lines = []
    for entry in cosignatures:
        name = cosigner_name(checkpoint.ledger_id, entry.node_id)
        raw = entry.timestamp_s.to_bytes(8, "big") + entry.signature
        lines.append(NoteSignature(name, key_id(name, COSIGNATURE_TYPE, entry.node_id), raw))
    return Note(checkpoint.body(), tuple(lines))


def from_note(note: Note) -> tuple[Checkpoint, tuple[Cosignature, ...]]:
    """The checkpoint of a note and its nodes' cosignatures; other keys' lines are skipped.

    No signature is checked. Raises Malformed if the text is no checkpoint.
    """
    checkpoint = parse_checkpoint(note.text)
    prefix = origin(checkpoint.ledger_id) + "/"
    cosignatures = []
    for line in note.signatures:
        if not line.key_name.startswith(prefix) or len(line.signature) != 72:
            continue
        try:
            node_id = bytes.fromhex(line.key_name.removeprefix(prefix))
        except ValueError:
            continue
        if (
            line.key_name == cosigner_name(checkpoint.ledger_id, node_id)
            and key_id(line.key_name, COSIGNATURE_TYPE, node_id) == line.key_id
        ):
            timestamp_s = int.from_bytes(line.signature[:8], "big")
            if timestamp_s >= 2**63:
                continue
            cosignatures.append(Cosignature(node_id, timestamp_s, line.signature[8:]))
    return checkpoint, tuple(cosignatures)


def contradict(one: Checkpoint, other: Checkpoint, path: Sequence[bytes] = ()) -> bool:
    """Whether no single ledger can have both checkpoints.

    They contradict if heights or sizes are equal and the rest differs, if the higher one has no
    larger tree (every block adds its own header), or if `path`, a consistency path from the smaller
    size, leads into the larger root but to another root at the smaller size. A path that does not
    lead into the larger root proves nothing.
    """
    if one.ledger_id != other.ledger_id or one == other:
        return False
    if (one.height < other.height) is not (one.tree_size < other.tree_size) or (
        one.height == other.height or one.tree_size == other.tree_size
    ):
        return True
    small, large = (one, other) if one.tree_size < other.tree_size else (other, one)
    if not path:
        return False
    return _other_old_root(small, large, path)


def _other_old_root(small: Checkpoint, large: Checkpoint, path: Sequence[bytes]) -> bool:
    """Whether `path` starts at another old root than `small` names and ends in `large`'s.

    Where the old tree is one complete subtree its root is itself the first hash of the path, so it
    has to be given in full: path[0] is then the true old root.
    """
    complete = small.tree_size & (small.tree_size - 1) == 0
    start, rest = (path[0], path[1:]) if complete else (small.root, path)
    try:
        old_root, new_root = roots_from_consistency(
            old_size=TreeSize(small.tree_size),
            old_root=start,
            new_size=TreeSize(large.tree_size),
            proof=rest,
        )
    except ProofMismatch:
        return False
    return new_root == large.root and old_root != small.root
