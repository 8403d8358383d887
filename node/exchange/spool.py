"""Results on their way, in chunks, encrypted: what a node holds of content, and for how long.

A result is written chunk by chunk and read chunk by chunk, so an exchange takes the same memory
whatever its size: up to MEMORY_BYTES it stays there, beyond it goes to a file without a name in the
spool folder, which is gone with the process. What stands in the file is encrypted in the form in
which sealed exchanges send it (`ledger.sealing`), under a key that is in memory alone.
"""

import secrets
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from ledger.sealing import CONTENT_KEY_BYTES, SealBroken, seal_of
from ledger.tree import leaf_hash

MEMORY_BYTES = 64 * 1024
"""Of one result, in bytes; a larger one goes to a file."""

CHUNKS_MAX = 4_096
"""Chunks of one result."""


class SpoolFull(Exception):
    """The spool's limit is reached, or the disk is full."""


class Discarded(Exception):
    """A result is read that is not needed, or not kept, any more."""


class Spool:
    """All results of one side of a node. bytes_max: of them together."""

    def __init__(self, folder: Path, *, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self.used_bytes = 0

    def begin(self, *, ledger_id: bytes, exchange_id: bytes) -> "Result":
        """A result to be written."""
        return Result(self, self._folder, ledger_id=ledger_id, exchange_id=exchange_id)

    def take(self, size_bytes: int) -> None:
        """So many bytes more are spooled. Raises SpoolFull."""
        if self.used_bytes + size_bytes > self._bytes_max:
            raise SpoolFull(f"{self._bytes_max} bytes of results are under way")
        self.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """A result is not wanted any more."""
        self.used_bytes -= size_bytes


class Result:
    """One result. Written with `add` and `finish` (or `add_sealed`), then read; `discard` ends it.

    hashes: leaf hashes of the chunks, in order; of ciphertexts if `sealed_hashes`. size_bytes: of
    the content. content_key: None where only the ciphertext is known.
    """

    def __init__(self, spool: Spool, folder: Path, *, ledger_id: bytes, exchange_id: bytes) -> None:
        self._spool = spool
        self._names = {"ledger_id": ledger_id, "exchange_id": exchange_id}
        self._file: tempfile.SpooledTemporaryFile[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            MEMORY_BYTES, dir=str(folder)
        )
        self._reading = threading.Lock()
        self._places: list[tuple[int, int]] = []
        self._held: bytes | None = None
        self._spooled = 0
        self.content_key: bytes | None = secrets.token_bytes(CONTENT_KEY_BYTES)
        self._seal = seal_of(self.content_key, **self._names)
        self.hashes: list[bytes] = []
        self.sealed_hashes: list[bytes] = []
        self.size_bytes = 0

    @property
    def count(self) -> int:
        """Chunks so far."""
        return len(self._places) + (self._held is not None)

    @property
    def is_small(self) -> bool:
        """Whether it is in memory, so that reading it takes no longer than asking a thread to."""
        return self.size_bytes <= MEMORY_BYTES

    @property
    def key_commitment(self) -> bytes:
        """The commitment to the content key."""
        return self._seal.commitment

    def add(self, chunk: bytes) -> None:
        """The next chunk. Raises SpoolFull. Blocking, if it goes to a file."""
        before, self._held = self._held, chunk
        if before is not None:
            self._write(before, last=False)

    def finish(self) -> None:
        """There are no more; there is at least one. Raises SpoolFull."""
        assert self._held is not None, "a result has a chunk"
        last, self._held = self._held, None
        self._write(last, last=True)

    def add_sealed(self, sealed: bytes) -> None:
        """The next chunk as it came, without its key. Raises SpoolFull."""
        self.content_key = None
        self.sealed_hashes.append(leaf_hash(sealed))
        self._append(sealed)

    def unseal(self, content_key: bytes, *, key_commitment: bytes) -> None:
        """The key of what came. Raises SealBroken if it is not the one committed to."""
        found = seal_of(content_key, **self._names)
        if found.commitment != key_commitment:
            raise SealBroken("the content key", "it is not the one that the receipt commits to")
        self.content_key, self._seal = content_key, found

    def sealed_chunk(self, number: int) -> bytes:
        """A chunk's ciphertext, 0 ≤ number < count. Raises Discarded."""
        place, length = self._places[number]
        with self._reading:
            if self._file.closed:
                raise Discarded("the result is not kept any more")
            self._file.seek(place)
            return self._file.read(length)

    def chunk(self, number: int) -> bytes:
        """A chunk, 0 ≤ number < count. Raises Discarded, and SealBroken if the one who sealed it
        cheated."""
        last = number == self.count - 1
        return self._seal.open(self.sealed_chunk(number), number=number, last=last)

    def discard(self) -> None:
        """Nothing of it is needed any more; may be called twice."""
        with self._reading:
            self._file.close()
        self._spool.give_back(self._spooled)
        self._spooled = 0

    def _write(self, chunk: bytes, *, last: bool) -> None:
        sealed = self._seal.seal(chunk, number=len(self._places), last=last)
        self.hashes.append(leaf_hash(chunk))
        self.sealed_hashes.append(leaf_hash(sealed))
        self.size_bytes += len(chunk)
        self._append(sealed)

    def _append(self, sealed: bytes) -> None:
        if len(self._places) >= CHUNKS_MAX:
            raise SpoolFull(f"a result has at most {CHUNKS_MAX} chunks")
        self._spool.take(len(sealed))
        self._spooled += len(sealed)
        place = sum(self._places[-1]) if self._places else 0
        try:
            self._file.seek(place)
            self._file.write(sealed)
        except OSError as error:
            raise SpoolFull(f"the spool cannot be written: {error.strerror}") from None
        self._places.append((place, len(sealed)))


def fits(chunk: bytes, number: int, hashes: Sequence[bytes]) -> bool:
    """Whether a chunk that came is the one that was announced for its place."""
    return number < len(hashes) and leaf_hash(chunk) == hashes[number]
