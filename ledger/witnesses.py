"""Witnessing across ledgers: what a log sends to a witness, and what a witness signs.

    old <size of the checkpoint before>       POST <witness>/add-checkpoint (c2sp.org/tlog-witness)
    <hash, base64>                            zero to 63 lines: consistency proof (RFC 9162 §2.1.4)

    <checkpoint as a signed note>             of any log (c2sp.org/tlog-checkpoint)

A witness answers with signature lines (c2sp.org/tlog-cosignature): Ed25519 over "cosignature/v1", a
line "time <Unix seconds>" and the note's text; ML-DSA-44 over a `cosigned_message` that names the
witness, the origin, the size and the root, and no extension lines. Nothing here signs or asks.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.notes import (
    COSIGNATURE_TYPE,
    ED25519_TYPE,
    Note,
    NoteSignature,
    key_id,
    parse_note,
    signature_lines,
    verifier_key,
)
from ledger.signatures import verify
from ledger.types import HASH_BYTES

ML_DSA_44_TYPE = 0x06
"""Signature type of an ML-DSA-44 cosignature on a note."""

PUBLIC_KEY_BYTES = {ED25519_TYPE: 32, COSIGNATURE_TYPE: 32, ML_DSA_44_TYPE: 1312}
SIGNATURE_BYTES = {ED25519_TYPE: 64, COSIGNATURE_TYPE: 8 + 64, ML_DSA_44_TYPE: 8 + 2420}
"""By signature type; a cosignature begins with its time, 8 bytes."""

PROOF_HASHES_MAX = 63
"""Limit of the hashes in a consistency proof that a log may send."""

REQUEST_BYTES_MAX = 64 * 1024
"""Limit of an add-checkpoint request, in bytes."""

NAME_BYTES_MAX = 255
"""Limit of an origin and of a witness's name, in bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's or witness's public key as note tools write it (c2sp.org/signed-note)."""

    name: str
    signature_type: int
    public_key: bytes

    def __str__(self) -> str:
        return verifier_key(self.name, self.signature_type, self.public_key)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that signature lines by it carry."""
        return key_id(self.name, self.signature_type, self.public_key)

    def made(self, line: NoteSignature) -> bool:
        """Whether a signature line says that it is by this key."""
        return (line.key_name, line.key_id) == (self.name, self.key_id)


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """The tree head of any log. tree_size ≥ 0; root: 32 bytes."""

    origin: str
    tree_size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to a witness. old_size: of the checkpoint that the proof begins at."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def to_bytes(self) -> bytes:
        """The request's body."""
        hashes = "".join(f"{base64.b64encode(each).decode('ascii')}\n" for each in self.proof)
        return f"old {self.old_size}\n{hashes}\n".encode("ascii") + self.note.to_bytes()


def parse_verifier_key(text: str) -> VerifierKey:
    """A verifier key: name+key id+base64 of (type ‖ public key). Raises Malformed."""
    name, _, rest = text.partition("+")
    identifier, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed("verifier key", f"{text[:60]!r} has no base64 at its end") from None
    if not name or len(name.encode()) > NAME_BYTES_MAX or not raw:
        raise Malformed("verifier key", f"{text[:60]!r} is not name+key id+base64")
    if len(raw) - 1 != PUBLIC_KEY_BYTES.get(raw[0]):
        raise Malformed("verifier key", f"{name}: a key of type {raw[0]} is not of this length")
    known = VerifierKey(name, raw[0], raw[1:])
    if known.key_id.hex() != identifier:
        raise Malformed("verifier key", f"{name}: its key id is not that of its name and key")
    return known


def parse_log_checkpoint(text: bytes) -> LogCheckpoint:
    """Origin, size and root of any log's checkpoint; extension lines are skipped.

    Raises Malformed.
    """
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Malformed("checkpoint", "it is not UTF-8") from None
    if len(lines) < 4 or lines[-1] or "" in lines[:-1]:
        raise Malformed("checkpoint", "it needs origin, size and root, a line each")
    if len(lines[0].encode()) > NAME_BYTES_MAX:
        raise Malformed("checkpoint", f"its origin is longer than {NAME_BYTES_MAX} bytes")
    return LogCheckpoint(lines[0], _size(lines[1]), _hash(lines[2]))


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """A request to a witness; no signature and no proof is checked. Raises Malformed."""
    if len(body) > REQUEST_BYTES_MAX:
        raise Malformed("request", f"{len(body)} bytes, at most {REQUEST_BYTES_MAX} are allowed")
    head, separator, rest = body.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("request", "its first lines are not ASCII") from None
    if not separator or not first.startswith("old "):
        raise Malformed("request", "it does not begin with an old size, a proof and an empty line")
    if len(hashes) > PROOF_HASHES_MAX:
        raise Malformed("request", f"its proof has {len(hashes)} hashes")
    proof = tuple(_hash(line) for line in hashes)
    return AddCheckpoint(_size(first.removeprefix("old ")), proof, parse_note(rest))


def parse_cosignatures(body: bytes) -> tuple[NoteSignature, ...]:
    """A witness's answer: one or more signature lines. Raises Malformed."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("answer", "it is not UTF-8") from None
    if not text.endswith("\n"):
        raise Malformed("answer", "its last line does not end")
    return signature_lines(text[:-1].split("\n"))


def signed_by_log(note: Note, keys: Sequence[VerifierKey]) -> bool:
    """Whether one of a log's keys signed the note; a wrong signature by one of them spoils it."""
    found = False
    for line in note.signatures:
        for known in keys:
            if known.made(line):
                if not verify(known.public_key, note.text, line.signature):
                    return False
                found = True
    return found


def cosigned_text(text: bytes, *, timestamp_s: int) -> bytes:
    """What an Ed25519 cosigner signs of a note's text."""
    return f"cosignature/v1\ntime {timestamp_s}\n".encode("ascii") + text


def cosigned_message(name: str, checkpoint: LogCheckpoint, *, timestamp_s: int) -> bytes:
    """What an ML-DSA-44 cosigner signs of a whole tree. name: the cosigner's."""
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _short(name),
            timestamp_s.to_bytes(8, "big"),
            _short(checkpoint.origin),
            bytes(8),
            checkpoint.tree_size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def timestamp_of(line: NoteSignature) -> int:
    """When a cosignature was made, by its cosigner's clock, Unix seconds."""
    return int.from_bytes(line.signature[:8], "big")


def _short(text: str) -> bytes:
    raw = text.encode()
    assert 0 < len(raw) <= NAME_BYTES_MAX, "names are checked when they are read"
    return bytes([len(raw)]) + raw


def _size(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) < 20 and text == str(int(text))
    if not plain or int(text) >= 2**63:
        raise Malformed("checkpoint", f"{text[:40]!r} is no size")
    return int(text)


def _hash(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed("checkpoint", f"{text[:60]!r} is no base64") from None
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode("ascii") != text:
        raise Malformed("checkpoint", f"{text[:60]!r} is no hash of {HASH_BYTES} bytes")
    return raw
