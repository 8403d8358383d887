"""C2SP signed notes: a short text, and signature lines that anybody can add to.

    <text, one or more lines, each ending in a line feed>
    <empty line>
    — <key name> <base64 of (key id ‖ signature)>

The key id is the first 4 bytes of SHA-256(key name ‖ 0x0A ‖ signature type ‖ public key); the types
used here are 0x01 (Ed25519 over the text), 0x04 (a cosignature with a timestamp) and, by witnesses
of other ledgers, 0x06 (one with ML-DSA-44). A verifier skips lines of keys that it does not know,
so every reader can have its own idea of who matters.
Source: c2sp.org/signed-note.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import Malformed

ED25519_TYPE = 0x01
COSIGNATURE_TYPE = 0x04

NOTE_BYTES_MAX = 1024 * 1024
"""Limit of a note, in bytes."""

SIGNATURES_MAX = 1_100
"""Limit of the signature lines on one note."""

_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: key_id has 4 bytes, signature whatever its type prescribes."""

    key_name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note: text ends with a line feed and is exactly what signatures are over."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        lines = [
            f"{_DASH}{line.key_name} "
            f"{base64.b64encode(line.key_id + line.signature).decode('ascii')}\n"
            for line in self.signatures
        ]
        return self.text + b"\n" + "".join(lines).encode()


def key_id(key_name: str, signature_type: int, public_key: bytes) -> bytes:
    """The 4 bytes that tell a reader which key a signature line is by."""
    data = key_name.encode() + b"\n" + bytes([signature_type]) + public_key
    return sha256(data).digest()[:4]


def verifier_key(key_name: str, signature_type: int, public_key: bytes) -> str:
    """The verifier key as note tools take it: name+hex key id+base64 of (type ‖ public key)."""
    encoded = base64.b64encode(bytes([signature_type]) + public_key).decode("ascii")
    return f"{key_name}+{key_id(key_name, signature_type, public_key).hex()}+{encoded}"


def parse_note(data: bytes) -> Note:
    """A note from its bytes; no signature is checked. Raises Malformed."""
    if len(data) > NOTE_BYTES_MAX:
        raise Malformed("note", f"{len(data)} bytes, at most {NOTE_BYTES_MAX} allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("note", "it is not UTF-8") from None
    if any(character < " " and character != "\n" for character in text):
        raise Malformed("note", "it contains a control character")
    body, separator, tail = text.rpartition("\n\n")
    if not separator or not body or not tail.endswith("\n"):
        raise Malformed("note", "no empty line separates its text from its signatures")
    return Note((body + "\n").encode(), signature_lines(tail[:-1].split("\n")))


def signature_lines(lines: Sequence[str]) -> tuple[NoteSignature, ...]:
    """Signature lines, without their line feeds; nothing is checked. Raises Malformed."""
    if len(lines) > SIGNATURES_MAX:
        raise Malformed("note", f"{len(lines)} signatures, at most {SIGNATURES_MAX} allowed")
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space or not name or "+" in name:
            raise Malformed("note", f"unreadable signature line {line[:40]!r}")
        try:
            raw = base64.b64decode(encoded.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise Malformed("note", "a signature line is not base64") from None
        if len(raw) < 5 or base64.b64encode(raw).decode("ascii") != encoded:
            raise Malformed("note", "a signature line is too short or spelled in a second way")
        signatures.append(NoteSignature(name, raw[:4], raw[4:]))
    return tuple(signatures)
