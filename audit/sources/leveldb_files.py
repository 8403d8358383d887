"""LevelDB's files, byte by byte, against their own checksums; nothing of LevelDB is used here.

LevelDB drops a damaged tail of its log in silence, so opening a store proves little. This reads
the formats themselves (LevelDB's `doc/log_format.md`, `doc/table_format.md` and version edits):

* `CURRENT` must be exactly "MANIFEST-nnnnnn" and a line feed, and that file must exist.
* A log (`*.log`, `MANIFEST-*`) is blocks of 32 KiB of records: masked CRC-32C (4) ‖ length (2) ‖
  type (1) ‖ data; what is left of a block when fewer than 7 bytes are is zero.
* A table (`*.ldb`, `*.sst`) is blocks, each with a type byte and a masked CRC-32C, named by the
  index and meta-index, and a footer whose padding is zero. Together they cover the whole file.
* The manifest names the live tables with their sizes, and the oldest live log.

Files that the manifest does not name (`LOG`, `LOG.old`, `LOCK`, tables and logs that are no longer
live) hold nothing that LevelDB reads, so a change in them changes nothing: `uncovered` lists them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c

BLOCK_BYTES = 32 * 1024
HEADER_BYTES = 7
FOOTER_BYTES = 48
TRAILER_BYTES = 5
MAGIC = 0xDB4775248B80FB57
_MASK = 0xA282EAD8

FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
ENDS_WITHIN = "the log ends within a record: it was cut, or its writer was killed"


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that contradicts its checksum or its format. offset: bytes into the file."""

    file: str
    offset: int
    what: str


@dataclass(frozen=True, slots=True)
class LogDamage:
    """A record of a log that is not whole. began: where it begins, bytes into the file."""

    began: int
    what: str


class _Broken(Exception):
    """A structure that cannot be read on."""


@dataclass(slots=True)
class Live:
    """What the manifest says is in force. tables: number to size in bytes."""

    tables: dict[int, int] = field(default_factory=dict)
    log_number: int = 0
    previous_log_number: int = 0


def check_files(folder: Path) -> Iterator[Damage]:
    """Every damage in the live files of a store."""
    try:
        manifest = manifest_path(folder)
    except OSError as error:
        yield Damage("CURRENT", 0, f"it cannot be read: {error.strerror}")
        return
    if manifest is None:
        yield Damage("CURRENT", 0, "it does not name a manifest that is there")
        return
    live = Live()
    yield from _check_manifest(manifest, live)
    for table, size in sorted(live.tables.items()):
        yield from _check_live_table(folder, table, size)
    for path in live_logs(folder, live):
        yield from _check_log(path)


def uncovered(folder: Path) -> list[tuple[str, str]]:
    """Files whose bytes nothing checks, and why that does not matter."""
    live = read_live(folder)
    names = {f"{number:06d}.ldb" for number in live.tables}
    names |= {f"{number:06d}.sst" for number in live.tables}
    names |= {path.name for path in live_logs(folder, live)}
    names |= {"CURRENT", (folder / "CURRENT").read_text(encoding="ascii").strip()}
    reasons = {"LOCK": "an empty file that is locked", "LOG": "LevelDB's diary, never read"}
    return [
        (path.name, reasons.get(path.name.partition(".")[0], "not live by the manifest"))
        for path in sorted(folder.iterdir())
        if path.name not in names
    ]


def read_live(folder: Path) -> Live:
    """What the manifest says, as far as it can be read."""
    live = Live()
    manifest = manifest_path(folder)
    if manifest is not None:
        list(_check_manifest(manifest, live))
    return live


def manifest_path(folder: Path) -> Path | None:
    """The manifest that is in force; None if CURRENT names none that is there. OSError passes."""
    current = (folder / "CURRENT").read_bytes()
    named = re.fullmatch(rb"(MANIFEST-[0-9]{6,})\n", current)
    path = folder / named[1].decode() if named else folder
    return path if path.is_file() else None


def live_logs(folder: Path, live: Live) -> list[Path]:
    """The logs that LevelDB replays when it opens the store."""
    return [
        path
        for path in sorted(folder.glob("*.log"))
        if path.stem.isdigit()
        and (int(path.stem) >= live.log_number or int(path.stem) == live.previous_log_number)
    ]


def _check_manifest(path: Path, live: Live) -> Iterator[Damage]:
    for offset, record in log_records(path.read_bytes()):
        if isinstance(record, LogDamage):
            yield Damage(path.name, offset, record.what)
            continue
        try:
            _apply_edit(record, live)
        except (_Broken, IndexError) as error:
            yield Damage(path.name, offset, f"a version edit is unreadable: {error}")


def _check_log(path: Path) -> Iterator[Damage]:
    for offset, record in log_records(path.read_bytes()):
        if isinstance(record, LogDamage):
            yield Damage(path.name, offset, record.what)
        elif len(record) < 12:
            yield Damage(path.name, offset, "a write batch is too short")


def log_records(data: bytes) -> Iterator[tuple[int, bytes | LogDamage]]:
    """(offset, record) of each whole record of a log's bytes, or (offset, what is wrong there)."""
    place = 0
    parts: list[bytes] = []
    began = 0
    while place < len(data):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < HEADER_BYTES:
            if any(data[place : place + left]):
                yield place, LogDamage(place, "the padding of a block is not zero")
            place += left
            continue
        if not parts:
            began = place
        fault = fragment_fault(data, place)
        kind = data[place + 6 : place + 7]
        if not fault and kind[0] not in ((MIDDLE, LAST) if parts else (FULL, FIRST)):
            fault = f"a record of type {kind[0]} has no place here"
        if fault:
            yield place, LogDamage(began, fault)
            return
        content = place + HEADER_BYTES
        place = content + int.from_bytes(data[place + 4 : place + 6], "little")
        parts.append(data[content:place])
        if kind[0] in (FULL, LAST):
            yield began, b"".join(parts)
            parts = []
    if parts:
        yield began, LogDamage(began, ENDS_WITHIN)


def fragment_fault(data: bytes, place: int) -> str:
    """Why no whole fragment of a record stands at this place of a log; empty if one does."""
    size = int.from_bytes(data[place + 4 : place + 6], "little")
    end = place + HEADER_BYTES + size
    if place + HEADER_BYTES > len(data) or end > len(data):
        return ENDS_WITHIN
    if HEADER_BYTES + size > BLOCK_BYTES - place % BLOCK_BYTES:
        return "a record reaches beyond its block"
    if int.from_bytes(data[place : place + 4], "little") != _masked(data[place + 6 : end]):
        return "a record's checksum does not fit"
    return ""


def _apply_edit(record: bytes, live: Live) -> None:
    place = 0
    while place < len(record):
        tag, place = _varint(record, place)
        if tag in (2, 3, 4, 9):
            value, place = _varint(record, place)
            if tag == 2:
                live.log_number = value
            elif tag == 9:
                live.previous_log_number = value
        elif tag == 1:
            _, place = _text(record, place)
        elif tag == 5:
            _, place = _varint(record, place)
            _, place = _text(record, place)
        elif tag == 6:
            _, place = _varint(record, place)
            number, place = _varint(record, place)
            live.tables.pop(number, None)
        elif tag == 7:
            _, place = _varint(record, place)
            number, place = _varint(record, place)
            size, place = _varint(record, place)
            _, place = _text(record, place)
            _, place = _text(record, place)
            live.tables[number] = size
        else:
            raise _Broken(f"unknown tag {tag}")


def _check_live_table(folder: Path, number: int, size: int) -> Iterator[Damage]:
    path = folder / f"{number:06d}.ldb"
    if not path.is_file():
        path = folder / f"{number:06d}.sst"
    if not path.is_file():
        yield Damage(f"{number:06d}.ldb", 0, "the manifest names it and it is not there")
        return
    data = path.read_bytes()
    if len(data) != size or size < FOOTER_BYTES:
        yield Damage(path.name, 0, f"it has {len(data)} bytes, the manifest says {size}")
        return
    try:
        yield from _check_table(path.name, data)
    except (_Broken, IndexError) as error:
        yield Damage(path.name, 0, f"it cannot be read: {error}")


def _check_table(name: str, data: bytes) -> Iterator[Damage]:
    footer_at = len(data) - FOOTER_BYTES
    footer = data[footer_at:]
    if int.from_bytes(footer[40:], "little") != MAGIC:
        yield Damage(name, footer_at, "the footer is no table's")
        return
    place = 0
    meta, place = _handle(footer, place)
    index, place = _handle(footer, place)
    if any(footer[place:40]):
        yield Damage(name, footer_at + place, "the footer's padding is not zero")
    blocks = [meta, index]
    for outer in (index, meta):
        damage = _check_block(name, data, outer)
        if damage is not None:
            yield damage
            return
        blocks += [_handle(value, 0)[0] for value in _block_values(data, outer)]
    covered = 0
    for offset, size in sorted(blocks):
        damage = _check_block(name, data, (offset, size))
        if damage is not None:
            yield damage
        if offset != covered:
            yield Damage(name, min(offset, covered), "its blocks do not join")
        covered = offset + size + TRAILER_BYTES
    if covered != footer_at:
        yield Damage(name, covered, "its blocks do not reach its footer")


def _check_block(name: str, data: bytes, handle: tuple[int, int]) -> Damage | None:
    offset, size = handle
    content = data[offset : offset + size + 1]
    trailer = data[offset + size + 1 : offset + size + TRAILER_BYTES]
    if len(trailer) < 4:
        return Damage(name, offset, "a block reaches beyond the file")
    if int.from_bytes(trailer, "little") != _masked(content):
        return Damage(name, offset, "a block's checksum does not fit")
    return None


def _block_values(data: bytes, handle: tuple[int, int]) -> Iterator[bytes]:
    """The values of an uncompressed block's entries."""
    offset, size = handle
    if data[offset + size] != 0:
        raise _Broken("an index is compressed; Concordat's stores are not")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    place = 0
    while place < end:
        _, place = _varint(block, place)
        unshared, place = _varint(block, place)
        length, place = _varint(block, place)
        place += unshared
        yield block[place : place + length]
        place += length


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    size, place = _varint(data, place)
    if place + size > len(data):
        raise _Broken("a text reaches beyond its record")
    return data[place : place + size], place + size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise _Broken("a number is too long")


def _masked(content: bytes) -> int:
    crc: int = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF
