"""A data directory as a source: its files are checked as they are, and read through a private copy.

Opening a LevelDB store writes to it, so it is never opened in place. Tables are hard-linked into a
temporary folder, because LevelDB never changes one in place; everything else is copied.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import plyvel

from audit.sources.leveldb_files import check_files
from audit.verify import Unreadable


class DirectorySource:
    """A stopped node's data directory, or a copy of one. Use as a context manager."""

    whole = True

    def __init__(self, folder: Path) -> None:
        """Raises Unreadable if there is no store, or LevelDB cannot open the copy of it."""
        self._folder = folder
        if not (folder / "CURRENT").is_file():
            raise Unreadable(f"{folder} is no data directory: it has no file CURRENT")
        self._damages = list(check_files(folder))
        self._copy = Path(tempfile.mkdtemp(prefix="concordat-audit-"))
        try:
            self._db: Any = self._open()
        except BaseException:
            shutil.rmtree(self._copy, ignore_errors=True)
            raise

    def __enter__(self) -> "DirectorySource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the private copy."""
        if self._db is not None:
            self._db.close()
        shutil.rmtree(self._copy, ignore_errors=True)

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        try:
            value: bytes | None = self._opened().get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise Unreadable(str(error)) from None
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        try:
            with self._opened().iterator(start=start, stop=stop, verify_checksums=True) as found:
                yield from found
        except plyvel.Error as error:
            raise Unreadable(str(error)) from None

    def damage(self) -> Iterable[tuple[str, str]]:
        """Every damage in its files."""
        for damage in self._damages:
            yield f"file {damage.file}, byte {damage.offset}", damage.what

    def _opened(self) -> Any:
        if self._db is None:
            raise Unreadable("LevelDB does not open a copy of it")
        return self._db

    def _open(self) -> Any:
        """None if LevelDB refuses; the damages that were found say why."""
        for path in self._folder.iterdir():
            target = self._copy / path.name
            if path.suffix in (".ldb", ".sst"):
                _link(path, target)
            elif path.is_file() and path.name not in ("LOCK", "LOG", "LOG.old"):
                shutil.copyfile(path, target)
        try:
            return plyvel.DB(str(self._copy), create_if_missing=False, paranoid_checks=True)
        except (plyvel.Error, OSError) as error:
            if self._damages:
                return None
            raise Unreadable(f"LevelDB does not open it: {error}") from None


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
