"""A static export as a source (`audit.export`): leaves, attachments and certificates."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from audit.verify import Unreadable
from ledger import store_keys
from ledger.checkpoints import from_note
from ledger.errors import Malformed
from ledger.notes import parse_note
from ledger.tiles import TILE_WIDTH, entries_path, index_path, parse_entries

_AGAIN = "Fetch the folder again, or let `concordat audit export` write another."


class ExportSource:
    """A folder that `concordat audit export` wrote. Use as a context manager.

    What its checkpoint counts has to be there: part of an export is no shorter ledger.
    """

    whole = False

    def __init__(self, folder: Path) -> None:
        """Raises Unreadable if it has no checkpoint."""
        self._folder = folder
        try:
            checkpoint, _ = from_note(parse_note((folder / "checkpoint").read_bytes()))
        except (OSError, Malformed) as error:
            raise Unreadable(f"{folder} is no export: its checkpoint: {error}", _AGAIN) from None
        self._size = checkpoint.tree_size
        self._bundle: tuple[int, list[bytes]] = (-1, [])

    def __enter__(self) -> "ExportSource":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`; None also for every key that an export does not have."""
        prefix, rest = key[:1], key[1:]
        if len(rest) != 8:
            return None
        number = store_keys.read_number(rest)
        if prefix == store_keys.LEAF:
            found = self._leaves(number // TILE_WIDTH)
            place = number % TILE_WIDTH
            return found[place] if place < len(found) else None
        if prefix == store_keys.ATTACHED:
            return self._read(f"attached/{index_path(number)}")
        if prefix == store_keys.CERTIFICATE:
            return self._read(f"certificates/{number}")
        return None

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        for prefix in (store_keys.ATTACHED, store_keys.CERTIFICATE, store_keys.LEAF):
            if start < bytes([prefix[0] + 1]) and prefix < stop:
                for number in self._numbers(prefix):
                    key = prefix + number.to_bytes(8, "big")
                    value = self.get(key) if start <= key < stop else None
                    if value is not None:
                        yield key, value

    def damage(self) -> Iterable[tuple[str, str]]:
        """An export has no checksums of its own."""
        return ()

    def _numbers(self, prefix: bytes) -> Iterable[int]:
        """Leaf indexes or heights that may be there, in order."""
        if prefix != store_keys.CERTIFICATE:
            return range(self._size)
        folder = self._folder / "certificates"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit() and len(name) < 20)

    def _leaves(self, number: int) -> list[bytes]:
        if self._bundle[0] == number:
            return self._bundle[1]
        width = min(TILE_WIDTH, self._size - number * TILE_WIDTH)
        if width <= 0:
            return []
        data = self._read(entries_path(index=number, width=width))
        if data is None and width < TILE_WIDTH:
            data = self._read(entries_path(index=number))
        if data is None:
            name = entries_path(index=number, width=width)
            raise Unreadable(f"{self._folder} is incomplete: it lacks {name}", _AGAIN)
        try:
            found = parse_entries(data)[:width]
        except Malformed as error:
            raise Unreadable(f"{self._folder}: {error}", _AGAIN) from None
        if len(found) < width:
            raise Unreadable(f"{self._folder}: {len(found)} of {width} leaves in a bundle", _AGAIN)
        self._bundle = (number, found)
        return found

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(f"{self._folder / name}: {error.strerror}") from None
