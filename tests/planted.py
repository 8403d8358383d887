"""Looks for planted strings, and their digests, in everything that nodes wrote.

Searched are: every byte of every file; every record of every LevelDB log, put together where it
lies in pieces; every key and value of every store, as LevelDB itself reads them. No store
compresses (`node.store.leveldb`), so a table's blocks are as they are in the file.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import plyvel

from audit.sources.leveldb_files import log_records


def written(folder: Path, *, without: Collection[str] = ()) -> Iterator[tuple[str, bytes]]:
    """What nodes wrote below a folder, with its place. without: names of files and folders that
    are somebody else's, as a department's own source is."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(without)
    ]
    for path in files:
        content = path.read_bytes()
        place = str(path.relative_to(folder))
        yield place, content
        if path.suffix == ".log" and (path.parent / "CURRENT").exists():
            for offset, record in log_records(content):
                if isinstance(record, bytes):
                    yield f"{place}, record at {offset}", record
    for store in [path.parent for path in files if path.name == "CURRENT"]:
        with closing(plyvel.DB(str(store), create_if_missing=False)) as db:
            for key, value in db:
                yield f"{store.relative_to(folder)}: {key.hex()}", key + b"\x00" + value


def needles(texts: Sequence[str]) -> list[bytes]:
    """The texts, and the SHA-256 of each: raw, in hexadecimal digits, in both kinds of base64."""
    found = []
    for text in texts:
        data = text.encode()
        digest = sha256(data).digest()
        encoded = [b64encode(digest)[:42], urlsafe_b64encode(digest)[:42]]
        found += [data, digest, digest.hex().encode(), digest.hex().upper().encode(), *encoded]
    return found


def betrayed(contents: Iterator[tuple[str, bytes]], texts: Sequence[str]) -> tuple[int, list[str]]:
    """How many bytes were searched, and each place that holds a text or a digest of one."""
    wanted = needles(texts)
    searched = 0
    found = []
    for place, content in contents:
        searched += len(content)
        found += [f"{place}: {needle!r}" for needle in wanted if needle in content]
    return searched, found
