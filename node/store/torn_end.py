"""What a power loss leaves of the write that was under way: found, set aside and cut off.

Every write is synced before anybody is told of it, and the next begins only then. So of one record
at most, the last of the newest log or of the manifest, any part may be missing; LevelDB calls that
damage, or skips it in silence. Here it is told apart from damage to what was acknowledged (P43):

* Torn is a record that is not whole, in the newest file, behind which no other record begins.
* Everything else that contradicts its checksum is damage: nothing is touched, and the node stops.

A damaged record that happens to be the last cannot be told from a torn one. Cutting it makes the
store go back by one write, which the watermark and the peers notice (`node.store.watermark`, A7).
"""

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

from audit.sources.leveldb_files import (
    BLOCK_BYTES,
    FIRST,
    FULL,
    HEADER_BYTES,
    LogDamage,
    fragment_fault,
    live_logs,
    log_records,
    manifest_path,
    read_live,
)
from node.errors import StoreCorrupt, StoreInUse

_KINDS = re.compile(bytes(f"[\\x{FULL:02x}\\x{FIRST:02x}]", "ascii"))


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut. kept: the file beside, with the `size` bytes that stood at `offset`."""

    file: str
    offset: int
    size: int
    kept: Path


def cut_torn_end(folder: Path) -> list[Cut]:
    """Makes the logs of a store that nobody has open whole again; what was cut, as a rule nothing.

    To be called before this process has the store open: its end lets go of LevelDB's lock (POSIX).
    Raises StoreCorrupt on damage that is no torn end, StoreInUse. OSError passes through.
    """
    if not (folder / "CURRENT").exists():
        return []
    with (folder / "LOCK").open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(f"{folder} is in use by another process") from None
        return _mend_all(folder)


def _mend_all(folder: Path) -> list[Cut]:
    manifest = manifest_path(folder)
    if manifest is None:
        raise StoreCorrupt(f"{folder}: CURRENT does not name a manifest that is there")
    of_manifest = _mend(manifest)
    live = read_live(folder)
    logs = live_logs(folder, live)
    first = folder / f"{live.log_number:06d}.log"
    if of_manifest is not None and live.log_number and first not in logs:
        raise StoreCorrupt(f"{manifest}: its end is damaged, and no torn one: {first.name} is gone")
    for older in logs[:-1]:
        _check_whole(older)
    cuts = [of_manifest, *(_mend(path) for path in logs[-1:])]
    return [cut for cut in cuts if cut is not None]


def _check_whole(path: Path) -> None:
    found = _first_damage(path.read_bytes())
    if found is not None:
        raise StoreCorrupt(f"{path}: at {found[0]}: {found[1].what}")


def _mend(path: Path) -> Cut | None:
    content = path.read_bytes()
    found = _first_damage(content)
    if found is None:
        return None
    offset, damage = found
    if _begins_after(content, offset):
        raise StoreCorrupt(f"{path}: at {offset}: {damage.what}, and whole records follow")
    end = damage.began
    kept = path.with_name(f"{path.name}.torn-{end}")
    _write_synced(kept, content[end:])
    with path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    _sync_folder(path.parent)
    return Cut(path.name, end, len(content) - end, kept)


def _first_damage(content: bytes) -> tuple[int, LogDamage] | None:
    for offset, record in log_records(content):
        if isinstance(record, LogDamage):
            return offset, record
    return None


def _begins_after(content: bytes, offset: int) -> bool:
    """Whether a whole fragment that begins a record stands anywhere behind `offset`."""
    for match in _KINDS.finditer(content, offset + HEADER_BYTES):
        place = match.start() - (HEADER_BYTES - 1)
        inside = BLOCK_BYTES - place % BLOCK_BYTES >= HEADER_BYTES
        if inside and not fragment_fault(content, place):
            return True
    return False


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
