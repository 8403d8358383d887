"""The state's prefix tree as it is stored and updated: pages of four levels, a batch at a time.

`ledger.state_proofs` defines the commitment. A page stands at every fourth depth where two keys or
more remain and holds sixteen slots, one per next four bits of the key's hash:

    page = which slots are used (2 bytes) ‖ which of those are forks (2 bytes) ‖ the slots in order
    slot = a fork's commitment (32 bytes; its page is one further down)
         | a single key: SHA-256(key) ‖ SHA-256(value) (64 bytes)

A page's path is its depth in half-bytes (1 byte) and the key hash's first half-bytes, padded with
zero bits. Keys are never removed, so a fork never becomes a single key again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import TypeAlias

from ledger.errors import Malformed
from ledger.state_proofs import EMPTY, OtherLeaf, StateProof, fork_commitment, leaf_commitment

CACHED_PAGES_MAX = 16_384
"""Limit of the pages that a tree keeps decoded."""

_SLOTS = 16
_LEAF_BYTES = 64
_FORK_BYTES = 32

Slots: TypeAlias = dict[int, bytes]
"""Used slots by number: 32 bytes are a fork's commitment, 64 a single key's two hashes."""


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What a batch of changes makes: the new root, and the pages to store by path."""

    root: bytes
    pages: dict[bytes, bytes]


class StateTree:
    """The state's commitment over stored pages.

    read_page: a page by its path, None where there is none. It must already show the pages of every
    earlier update.
    """

    __slots__ = ("_cache", "_read_page")

    def __init__(self, read_page: Callable[[bytes], bytes | None]) -> None:
        self._read_page = read_page
        self._cache: dict[bytes, Slots] = {}

    def root(self) -> bytes:
        """The commitment to every key and value, 32 bytes; EMPTY for none."""
        return _fold(self._slots(_path(b"", 0)), 0, _SLOTS)

    def update(self, changes: Mapping[bytes, bytes]) -> StateUpdate:
        """Set keys to values, new or not. Each page that changes is hashed once."""
        pages: dict[bytes, bytes] = {}
        leaves = sorted(
            sha256(key).digest() + sha256(value).digest() for key, value in changes.items()
        )
        if not leaves:
            return StateUpdate(self.root(), pages)
        return StateUpdate(self._update(b"", 0, leaves, pages), pages)

    def prove(self, key: bytes) -> StateProof:
        """That `key` has its value, or that there is no such key."""
        key_hash = sha256(key).digest()
        siblings: list[bytes] = []
        depth = 0
        while True:
            slots = self._slots(_path(key_hash, depth))
            low, high = 0, _SLOTS
            number = _half_byte(key_hash, depth)
            while not _is_single(slots, low, high) and high - low > 1:
                middle = (low + high) // 2
                if number < middle:
                    siblings.append(_fold(slots, middle, high))
                    high = middle
                else:
                    siblings.append(_fold(slots, low, middle))
                    low = middle
            found = [slot for at, slot in slots.items() if low <= at < high]
            if not found:
                return StateProof(tuple(siblings), None)
            if len(found[0]) == _LEAF_BYTES:
                return _end(key_hash, found[0], siblings)
            depth += 1

    def _update(
        self, prefix: bytes, depth: int, leaves: list[bytes], pages: dict[bytes, bytes]
    ) -> bytes:
        """Puts sorted leaves below one page; its commitment. prefix: any key hash below it."""
        path = _path(prefix, depth)
        slots = self._slots(path).copy()
        for number, below in groupby(leaves, lambda leaf: _half_byte(leaf, depth)):
            group = list(below)
            slot = slots.get(number)
            if slot is not None and len(slot) == _FORK_BYTES:
                slots[number] = self._update(group[0], depth + 1, group, pages)
                continue
            if slot is not None and all(leaf[:32] != slot[:32] for leaf in group):
                group = sorted([*group, slot])
            if len(group) == 1:
                slots[number] = group[0]
            else:
                slots[number] = self._update(group[0], depth + 1, group, pages)
        self._remember(path, slots)
        pages[path] = _encode_page(slots)
        return _fold(slots, 0, _SLOTS)

    def _slots(self, path: bytes) -> Slots:
        slots = self._cache.get(path)
        if slots is None:
            page = self._read_page(path)
            slots = {} if page is None else parse_page(page)
            self._remember(path, slots)
        return slots

    def _remember(self, path: bytes, slots: Slots) -> None:
        self._cache[path] = slots
        if len(self._cache) > CACHED_PAGES_MAX:
            del self._cache[next(iter(self._cache))]


def parse_page(page: bytes) -> Slots:
    """A page's slots. Raises Malformed."""
    used = int.from_bytes(page[:2], "big")
    forks = int.from_bytes(page[2:4], "big")
    size = 4 + _LEAF_BYTES * used.bit_count() - (_LEAF_BYTES - _FORK_BYTES) * forks.bit_count()
    if forks & ~used or len(page) != size:
        raise Malformed("state page", "its length does not fit its slots")
    slots: Slots = {}
    place = 4
    for number in range(_SLOTS):
        if used >> number & 1:
            end = place + (_FORK_BYTES if forks >> number & 1 else _LEAF_BYTES)
            slots[number] = page[place:end]
            place = end
    return slots


def _encode_page(slots: Slots) -> bytes:
    used = sum(1 << number for number in slots)
    forks = sum(1 << number for number, slot in slots.items() if len(slot) == _FORK_BYTES)
    ordered: Iterable[bytes] = (slots[number] for number in sorted(slots))
    return used.to_bytes(2, "big") + forks.to_bytes(2, "big") + b"".join(ordered)


def _fold(slots: Slots, low: int, high: int) -> bytes:
    """Commitment of the slots numbered low … high − 1 (a power of two of them)."""
    inside = [number for number in slots if low <= number < high]
    if not inside:
        return EMPTY
    if len(inside) == 1:
        slot = slots[inside[0]]
        if len(slot) == _LEAF_BYTES:
            return leaf_commitment(slot[:32], slot[32:])
        if high - low == 1:
            return slot
    middle = (low + high) // 2
    return fork_commitment(_fold(slots, low, middle), _fold(slots, middle, high))


def _is_single(slots: Slots, low: int, high: int) -> bool:
    """Whether the range holds nothing, or one single key."""
    inside = [slot for number, slot in slots.items() if low <= number < high]
    return not inside or (len(inside) == 1 and len(inside[0]) == _LEAF_BYTES)


def _end(key_hash: bytes, leaf: bytes, siblings: list[bytes]) -> StateProof:
    other = None if leaf[:32] == key_hash else OtherLeaf(leaf[:32], leaf[32:])
    return StateProof(tuple(siblings), other)


def _half_byte(key_hash: bytes, depth: int) -> int:
    byte = key_hash[depth >> 1]
    return byte & 0x0F if depth & 1 else byte >> 4


def _path(key_hash: bytes, depth: int) -> bytes:
    whole = key_hash[: depth >> 1]
    if depth & 1:
        whole += bytes([key_hash[depth >> 1] & 0xF0])
    return bytes([depth]) + whole
