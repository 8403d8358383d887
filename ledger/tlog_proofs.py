"""C2SP tlog-proof: a leaf's way to a checkpoint, as transparency-log tools exchange it.

    c2sp.org/tlog-proof@v1
    extra <base64>                    optional; here the leaf itself, so that the file stands alone
    index <decimal>
    <hash, base64>                    the inclusion path, lowest first, a line each
                                      (an empty line)
    <the checkpoint, a signed note>

Nothing authenticates `extra`; the path does, for it starts from the hash of what `extra` says.
Source: c2sp.org/tlog-proof.
"""

import base64
import binascii
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.notes import NOTE_BYTES_MAX, Note, parse_note
from ledger.types import HASH_BYTES

FIRST_LINE = "c2sp.org/tlog-proof@v1"

TLOG_PROOF_BYTES_MAX = NOTE_BYTES_MAX + 64 * 1024
"""Limit of a whole proof, in bytes."""

PATH_LINES_MAX = 63
"""Limit of the hashes in a path."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """extra: opaque, None if there is none. path: 32 bytes each, the leaf's sibling first."""

    index: int
    path: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The file's content."""
        lines = [FIRST_LINE]
        if self.extra is not None:
            lines.append(f"extra {_text(self.extra)}")
        lines.append(f"index {self.index}")
        lines += [_text(digest) for digest in self.path]
        return "\n".join(lines).encode("ascii") + b"\n\n" + self.note.to_bytes()


def parse_tlog_proof(data: bytes) -> TlogProof:
    """A proof from its bytes, in the one spelling that `to_bytes` writes. Raises Malformed."""
    if len(data) > TLOG_PROOF_BYTES_MAX:
        raise Malformed("tlog-proof", f"{len(data)} bytes, at most {TLOG_PROOF_BYTES_MAX} allowed")
    head, _, rest = data.partition(b"\n\n")
    try:
        _, *lines = head.decode("ascii").split("\n")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = base64.b64decode(lines.pop(0).removeprefix("extra "), validate=True)
        number = lines.pop(0).removeprefix("index ") if lines else ""
        index = int(number)
        path = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (UnicodeDecodeError, binascii.Error, ValueError):
        raise Malformed("tlog-proof", "a line is unreadable") from None
    proof = TlogProof(index, path, parse_note(rest), extra)
    if (
        not 0 <= index < 2**63
        or len(path) > PATH_LINES_MAX
        or any(len(digest) != HASH_BYTES for digest in path)
        or proof.to_bytes() != data
    ):
        raise Malformed("tlog-proof", "it is not the one accepted spelling")
    return proof


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
