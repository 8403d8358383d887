"""A scratch store in a folder (`audit.scratch`), on LevelDB: a temporary one, or one to resume."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import plyvel

from audit.verify import Unreadable

WRITE_BUFFER_BYTES = 16 * 1024 * 1024
BLOCK_CACHE_BYTES = 32 * 1024 * 1024


_SIGN = "concordat-audit-progress"
"""A file that says what a kept folder is for: no other folder is ever written to."""


class ScratchFolder:
    """Use as a context manager. A temporary folder is removed at its end."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: to be kept, new or from an earlier audit; None for a temporary one.

        Raises Unreadable if it is none of these.
        """
        self._kept = folder is not None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="concordat-audit-"))
        try:
            if self._kept:
                _claim(self._folder)
            self._db: Any = plyvel.DB(
                str(self._folder / "scratch"),
                create_if_missing=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                bloom_filter_bits=10,
            )
        except (plyvel.Error, OSError) as error:
            self._remove()
            raise Unreadable(
                f"there is no scratch store in {folder}: {error}",
                "Check the path, who may read and write there, and the space that is left.",
            ) from None

    def __enter__(self) -> "ScratchFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._remove()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        with self._db.iterator(start=start, stop=stop) as found:
            yield from found

    def write(self, puts: Mapping[bytes, bytes]) -> None:
        """Writes all of them at once; to disk, if the folder is to be kept."""
        with self._db.write_batch(sync=self._kept) as batch:
            for key, value in puts.items():
                batch.put(key, value)

    def clear(self, prefix: bytes) -> None:
        """Removes every key that begins with this byte."""
        with (
            self._db.iterator(prefix=prefix, include_value=False) as keys,
            self._db.write_batch(transaction=True) as batch,
        ):
            for key in keys:
                batch.delete(key)

    def _remove(self) -> None:
        if not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)


def _claim(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _SIGN).exists():
        if any(folder.iterdir()):
            raise Unreadable(f"{folder} is neither empty nor the progress of an earlier audit")
        (folder / _SIGN).touch()
