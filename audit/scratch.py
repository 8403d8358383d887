"""What a replay knows, in bounded memory: the newest part in memory, the rest in a scratch store.

A ledger's state may outgrow memory, and so may the nonces of a long ledger's records. Both are
written to a `Scratch` only between blocks (`Bounded.unsaved`), together, so that what a scratch
store holds is always the knowledge after one block. Without a scratch store all stays in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from heapq import merge
from typing import Protocol

from ledger.recent import Recent

UNSAVED_MAX = 16_384
"""So many values of one table wait in memory before they are written."""

RECENT_MAX = 32_768
"""Limit of the written values of one table that are kept in memory as well."""

RUN_PAIRS = 262_144
"""So many nonces are in memory before they become a sorted run in the scratch store."""

CHUNK_PAIRS = 1_024
"""Nonces in one value of a run; one chunk of each run is in memory while runs are merged."""

_PAIR_BYTES = 48
_ROW_BYTES = _PAIR_BYTES + 8


class Scratch(Protocol):
    """A private key-value store for one audit."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop, in order."""

    def write(self, puts: Mapping[bytes, bytes]) -> None:
        """Writes all of them, or after a crash none."""

    def clear(self, prefix: bytes) -> None:
        """Removes every key that begins with this byte."""


class Table:
    """Values by key, of which `scratch` holds all but the newest; prefix: one byte of its own."""

    def __init__(self, scratch: Scratch | None, prefix: bytes) -> None:
        self._scratch = scratch
        self._prefix = prefix
        self._unsaved: dict[bytes, bytes] = {}
        self._recent: Recent[bytes, bytes] = Recent(RECENT_MAX)

    @property
    def is_full(self) -> bool:
        """Whether what it holds in memory is to be written."""
        return self._scratch is not None and len(self._unsaved) >= UNSAVED_MAX

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, None if there is none."""
        value = self._unsaved.get(key)
        if value is not None or self._scratch is None:
            return value
        value = self._recent.get(key)
        if value is None:
            value = self._scratch.get(self._prefix + key)
            if value is not None:
                self._recent.put(key, value)
        return value

    def update(self, values: Mapping[bytes, bytes]) -> None:
        """Sets keys to values."""
        self._unsaved.update(values)

    def unsaved(self) -> dict[bytes, bytes]:
        """What is to be written to the scratch store, by its keys there; then it counts as so."""
        puts = {self._prefix + key: value for key, value in self._unsaved.items()}
        for key, value in self._unsaved.items():
            self._recent.put(key, value)
        self._unsaved.clear()
        return puts

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value, in no order that means anything."""
        yield from self._unsaved.items()
        if self._scratch is not None:
            for key, value in self._scratch.scan(self._prefix, bytes([self._prefix[0] + 1])):
                if key[1:] not in self._unsaved:
                    yield key[1:], value


class Nonces:
    """Pairs of record key (32 bytes) and nonce (16 bytes), each of which a ledger has once.

    The newest `RUN_PAIRS` are in memory, where a repetition is seen at once; older ones lie in
    sorted runs, and a repetition across runs is seen when all are merged at the end.
    """

    def __init__(self, scratch: Scratch | None, prefix: bytes) -> None:
        self._scratch = scratch
        self._prefix = prefix
        self._pairs: dict[bytes, int] = {}
        self.runs: list[bytes] = []
        """A digest of each run that the scratch store has."""

    @property
    def is_full(self) -> bool:
        """Whether what it holds in memory is to be written."""
        return self._scratch is not None and len(self._pairs) >= RUN_PAIRS

    def seen(self, record_key: bytes, nonce: bytes) -> bool:
        """Whether the pair is among the newest."""
        return record_key + nonce in self._pairs

    def add(self, record_key: bytes, nonce: bytes, leaf_index: int) -> None:
        """The record at `leaf_index` has the pair."""
        self._pairs[record_key + nonce] = leaf_index

    def unsaved(self) -> dict[bytes, bytes]:
        """The next run, by its chunks' keys in the scratch store; then it counts as written."""
        rows = [pair + index.to_bytes(8, "big") for pair, index in sorted(self._pairs.items())]
        self._pairs.clear()
        chunks = [rows[at : at + CHUNK_PAIRS] for at in range(0, len(rows), CHUNK_PAIRS)]
        run = len(self.runs)
        puts = {self._key(run, at): b"".join(chunk) for at, chunk in enumerate(chunks)}
        if puts:
            self.runs.append(sha256(b"".join(rows)).digest())
        return puts

    def restore(self, runs: Sequence[bytes]) -> bool:
        """Whether the scratch store holds runs with these digests; then it continues them."""
        for run, digest in enumerate(runs):
            found = sha256()
            for row in self._rows(run):
                found.update(row)
            if found.digest() != digest:
                return False
        self.runs = list(runs)
        return True

    def repeated(self) -> Iterator[int]:
        """Leaf indexes of records whose pair an earlier run's record has already."""
        if not self.runs:
            return
        newest = (pair + index.to_bytes(8, "big") for pair, index in sorted(self._pairs.items()))
        before = b""
        for row in merge(newest, *(self._rows(run) for run in range(len(self.runs)))):
            if row[:_PAIR_BYTES] == before:
                yield int.from_bytes(row[_PAIR_BYTES:], "big")
            before = row[:_PAIR_BYTES]

    def _rows(self, run: int) -> Iterator[bytes]:
        assert self._scratch is not None
        for _, chunk in self._scratch.scan(self._key(run, 0), self._key(run + 1, 0)):
            for at in range(0, len(chunk), _ROW_BYTES):
                yield chunk[at : at + _ROW_BYTES]

    def _key(self, run: int, chunk: int) -> bytes:
        return self._prefix + run.to_bytes(4, "big") + chunk.to_bytes(4, "big")
