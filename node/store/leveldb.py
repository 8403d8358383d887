"""The store on LevelDB: opened with paranoid checks, written in synced batches only.

Each batch carries its number and a hash that chains it to all batches before:

    mark `batch` = number (8 bytes) ‖ SHA-256(chain before ‖ number ‖ digest of the batch)

so a store that silently dropped its tail cannot look whole. An unsynced LevelDB write can leave a
store that does not open after power loss, so there is none; and what a power loss leaves of the one
that was under way is cut before LevelDB sees it (`node.store.torn_end`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import plyvel
import structlog

from ledger import store_keys
from node.errors import StoreCorrupt, StoreInUse, Unavailable
from node.ports import Batch
from node.store.torn_end import cut_torn_end

WRITE_BUFFER_BYTES = 16 * 1024 * 1024
BLOCK_CACHE_BYTES = 8 * 1024 * 1024
OPEN_FILES_MAX = 500

log = structlog.get_logger("concordat")


def open_database(path: Path, *, mode: int = 0o777, **options: Any) -> Any:
    """A LevelDB of this node's, opened with paranoid checks, created where there is none.

    mode: of a folder that is made. options: LevelDB's. Raises StoreInUse, StoreCorrupt,
    Unavailable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        for cut in cut_torn_end(path):
            log.warning("a torn end was cut", **asdict(cut))
        return plyvel.DB(
            str(path), create_if_missing=True, paranoid_checks=True, compression=None, **options
        )
    except plyvel.CorruptionError as error:
        raise StoreCorrupt(f"{path}: {error}") from None
    except (plyvel.Error, OSError) as error:
        if "lock" in str(error).lower():
            raise StoreInUse(f"{path} is in use by another process") from None
        raise Unavailable(f"{path}: {error}", remedy="See to the disk.") from None


class LevelStore:
    """One node's store. Reads are safe from any thread; writes come one at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the store. Raises StoreInUse, StoreCorrupt or Unavailable."""
        self.path = path
        self._db = open_database(
            path,
            write_buffer_size=WRITE_BUFFER_BYTES,
            lru_cache_size=BLOCK_CACHE_BYTES,
            max_open_files=OPEN_FILES_MAX,
            bloom_filter_bits=10,
        )
        mark = self.get(store_keys.BATCH_MARK)
        if mark is not None and len(mark) != 40:
            raise StoreCorrupt("the batch mark is damaged")
        self.batch_number = 0 if mark is None else int.from_bytes(mark[:8], "big")
        self._chain = bytes(32) if mark is None else mark[8:]

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise StoreCorrupt(f"reading failed: {error}") from None
        return value

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        return _scan(self._db, start, stop, reverse=reverse)

    def write(self, batch: Batch) -> None:
        """Writes all of the batch, synced. Raises Unavailable; the node must then stop (P42)."""
        self.prepare(batch)()

    def prepare(self, batch: Batch) -> Callable[[], None]:
        """The write of a batch, to be called once, from any thread, before the next is prepared.

        LevelDB lets go of the interpreter for every key it is given: in a thread of its own that
        is a fight for it with every key, so a small batch is better prepared beforehand. The write
        raises as `write` does.
        """
        assert batch.number == self.batch_number + 1, "batches are numbered without gaps"
        chain = sha256(self._chain + batch.number.to_bytes(8, "big") + batch_digest(batch)).digest()
        writes = self._db.write_batch(sync=True)
        for key, value in batch.puts.items():
            writes.put(key, value)
        for key in batch.deletes:
            writes.delete(key)
        writes.put(store_keys.BATCH_MARK, batch.number.to_bytes(8, "big") + chain)

        def write() -> None:
            try:
                writes.write()
            except (plyvel.Error, OSError) as error:
                raise Unavailable(
                    f"writing to {self.path} failed: {error}",
                    remedy="Make room or replace the disk, then start the node again.",
                ) from None
            self.batch_number = batch.number
            self._chain = chain

        return write

    def snapshot(self) -> "Snapshot":
        """The store as of now, for as long as it is held."""
        return Snapshot(self._db.snapshot())

    def close(self) -> None:
        """Closes the store; every write has landed."""
        self._db.close()


class Snapshot:
    """What was durable at one moment; later writes are not seen."""

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Any) -> None:
        self._snapshot = snapshot

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        try:
            value: bytes | None = self._snapshot.get(key)
        except plyvel.Error as error:
            raise StoreCorrupt(f"reading failed: {error}") from None
        return value

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        return _scan(self._snapshot, start, stop, reverse=reverse)

    def close(self) -> None:
        """Lets the store reclaim what only this snapshot still shows."""
        self._snapshot.close()


def batch_digest(batch: Batch) -> bytes:
    """SHA-256 over the batch's puts and deletes, each with its lengths, in order."""
    digest = sha256()
    _digest_puts(digest, batch.puts)
    for key in batch.deletes:
        digest.update(b"-" + len(key).to_bytes(4, "big") + key)
    return digest.digest()


def _digest_puts(digest: Any, puts: Mapping[bytes, bytes]) -> None:
    for key, value in puts.items():
        head = b"+" + len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        digest.update(head + key)
        digest.update(value)


def _scan(
    source: Any, start: bytes, stop: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    try:
        with source.iterator(
            start=start, stop=stop, reverse=reverse, verify_checksums=True
        ) as found:
            yield from found
    except plyvel.Error as error:
        raise StoreCorrupt(f"reading failed: {error}") from None
