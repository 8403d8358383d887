"""What this node must not fall behind, in a small file beside its keys, outside every backup.

The file has two slots that are written in turn, so a torn write leaves the other one:

    slot = SHA-256 of the rest (32) ‖ batch number ‖ term ‖ signed height (8 bytes each)
           ‖ 1 and the vote (32), or 33 zero bytes

It is written after a batch is durable and not synced: it may lag behind the store, never lead it.
"""

import os
from hashlib import sha256
from pathlib import Path

from node.errors import IdentityInvalid, StoreBehind, Unavailable
from node.ports import Watermark

_BODY_BYTES = 24 + 33
_SLOT_BYTES = 32 + _BODY_BYTES
_NOTHING = Watermark(batch_number=0, term=0, vote=None, signed_height=0)


class WatermarkFile:
    """The file, opened once. Raises IdentityInvalid if others may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"cannot open the watermark {path}: {error.strerror}") from None
        if os.fstat(self._file).st_mode & 0o077:
            os.close(self._file)
            raise IdentityInvalid(f"{path} can be read by others")

    def read(self) -> Watermark:
        """The newest mark that is whole; all zero if there is none."""
        content = os.pread(self._file, 2 * _SLOT_BYTES, 0)
        slots = [content[:_SLOT_BYTES], content[_SLOT_BYTES:]]
        marks = [mark for mark in map(_parse, slots) if mark is not None]
        return max(marks, key=lambda mark: mark.batch_number, default=_NOTHING)

    def write(self, mark: Watermark) -> None:
        """Replaces the older slot."""
        vote = bytes(33) if mark.vote is None else b"\x01" + mark.vote
        numbers = (mark.batch_number, mark.term, mark.signed_height)
        body = b"".join(number.to_bytes(8, "big") for number in numbers) + vote
        slot = sha256(body).digest() + body
        os.pwrite(self._file, slot, (mark.batch_number % 2) * _SLOT_BYTES)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def check_not_behind(mark: Watermark, *, batch_number: int, term: int, signed_height: int) -> None:
    """The store is at least as new as the mark. Raises StoreBehind."""
    if batch_number < mark.batch_number or term < mark.term or signed_height < mark.signed_height:
        raise StoreBehind(
            f"the store ends with batch {batch_number}, term {term}, checkpoint {signed_height}; "
            f"this node had reached batch {mark.batch_number}, term {mark.term}, "
            f"checkpoint {mark.signed_height}"
        )


def _parse(slot: bytes) -> Watermark | None:
    if len(slot) != _SLOT_BYTES or sha256(slot[32:]).digest() != slot[:32]:
        return None
    body = slot[32:]
    batch_number, term, signed_height = (
        int.from_bytes(body[at : at + 8], "big") for at in (0, 8, 16)
    )
    vote = body[25:] if body[24] else None
    return Watermark(batch_number, term, vote, signed_height)
