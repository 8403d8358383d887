"""The state's prefix tree as it is stored and updated: pages of four levels, a batch at a time.

`ledger.state_proofs` defines the commitment. A page stands at every fourth depth where two keys or
more remain and holds sixteen slots, one per next four bits of the key's hash:

    page = which slots are used (2 bytes) ‖ which of those are forks (2 bytes) ‖ the slots in order
    slot = a fork's commitment (32 bytes; its page is one further down)
         | a single key: SHA-256(key) ‖ SHA-256(value) (64 bytes)

A page's path is its depth in half-bytes (1 byte) and the key hash's first half-bytes, padded with
zero bits. Keys are never removed, so a fork never becomes a single key again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias

from ledger.errors import Malformed
from ledger.recent import Recent
from ledger.state_proofs import EMPTY, OtherLeaf, StateProof

CACHED_PAGES_MAX = 16_384
"""Limit of the pages that a tree keeps decoded, about 3 KiB each."""

_SLOTS = 16
_LEVELS = 4
_LEAF_BYTES = 64
_FORK_BYTES = 32
_FORK = 2
_CHILDREN = tuple((node, 2 * node, 2 * node + 1) for node in range(_SLOTS))
"""The inner nodes of a page's tree, each with its children."""

ABOVE_MAX = 8_192
"""Limit of the sets of slots for which the nodes above them are remembered, about 300 bytes each;
there are 2,516 sets of at most four slots."""


@lru_cache(ABOVE_MAX)
def _above(numbers: int) -> tuple[tuple[int, int, int], ...]:
    """The nodes above some slots, each once, from below, with their children.

    numbers: a bit for each slot.
    """
    nodes = {
        (_SLOTS + number) >> level
        for number in range(_SLOTS)
        if numbers >> number & 1
        for level in range(1, _LEVELS + 1)
    }
    return tuple(_CHILDREN[node] for node in sorted(nodes, reverse=True))


Slots: TypeAlias = dict[int, bytes]
"""Used slots by number: 32 bytes are a fork's commitment, 64 a single key's two hashes."""


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What a batch of changes makes: the new root, and the pages to store by path."""

    root: bytes
    pages: dict[bytes, bytes]


class _Page:
    """A page with every commitment in it, so that a change hashes one path of four.

    The sixteen slots are the leaves of a binary tree whose node n has the children 2n and 2n + 1,
    slot s being node 16 + s. Invariant between calls of `settle`: commitments has each node's, and
    keys says how many keys are below it: 0, 1 (then its commitment is that key's) or `_FORK`.
    """

    __slots__ = ("commitments", "forks", "keys", "slots", "used")

    def __init__(self, slots: Slots) -> None:
        self.slots = [b""] * _SLOTS
        self.used = self.forks = 0
        self.commitments = [EMPTY] * (2 * _SLOTS)
        self.keys = [0] * (2 * _SLOTS)
        for number, slot in slots.items():
            self.put(number, slot)
        if slots:
            self.settle(self.used)

    def put(self, number: int, slot: bytes) -> None:
        """Fills a slot; its ancestors wait for `settle`."""
        self.slots[number] = slot
        self.used |= 1 << number
        if len(slot) == _LEAF_BYTES:
            self.keys[_SLOTS + number] = 1
            self.commitments[_SLOTS + number] = sha256(b"\x01" + slot).digest()
        else:
            self.keys[_SLOTS + number] = _FORK
            self.forks |= 1 << number
            self.commitments[_SLOTS + number] = slot

    def settle(self, numbers: int) -> None:
        """Hashes what is above some filled slots, each node once, from below. numbers: their bits.

        A node with one key below has that key's commitment; any other, the hash of both children.
        """
        commitments, keys = self.commitments, self.keys
        for node, left, right in _above(numbers):
            one, other = commitments[left], commitments[right]
            if one is EMPTY and keys[right] == 1:
                keys[node], commitments[node] = 1, other
            elif other is EMPTY and keys[left] == 1:
                keys[node], commitments[node] = 1, one
            else:
                keys[node] = _FORK
                commitments[node] = sha256(b"\x02" + one + other).digest()

    def root(self) -> bytes:
        """The whole page's commitment."""
        return self.commitments[1]

    def to_bytes(self) -> bytes:
        """The page as it is stored."""
        marks = self.used << 16 | self.forks
        return marks.to_bytes(4, "big") + b"".join(self.slots)


class StateTree:
    """The state's commitment over stored pages.

    read_page: a page by its path, None where there is none. It must already show the pages of every
    earlier update. cached_pages_max: pages kept decoded, CACHED_PAGES_MAX unless told otherwise.
    """

    __slots__ = ("_pages", "_read_page")

    def __init__(
        self,
        read_page: Callable[[bytes], bytes | None],
        *,
        cached_pages_max: int | None = None,
    ) -> None:
        self._read_page = read_page
        self._pages: Recent[bytes, _Page] = Recent(cached_pages_max or CACHED_PAGES_MAX)

    def root(self) -> bytes:
        """The commitment to every key and value, 32 bytes; EMPTY for none."""
        return self._page(_path(b"", 0)).root()

    def update(self, changes: Mapping[bytes, bytes]) -> StateUpdate:
        """Set keys to values, new or not. Each page that changes is hashed once."""
        pages: dict[bytes, bytes] = {}
        leaves = sorted(
            [sha256(key).digest() + sha256(value).digest() for key, value in changes.items()]
        )
        if not leaves:
            return StateUpdate(self.root(), pages)
        return StateUpdate(self._update(0, leaves, pages), pages)

    def prove(self, key: bytes) -> StateProof:
        """That `key` has its value, or that there is no such key."""
        key_hash = sha256(key).digest()
        siblings: list[bytes] = []
        depth = 0
        while True:
            page = self._page(_path(key_hash, depth))
            slot_node = _SLOTS + _half_byte(key_hash, depth)
            for level in range(_LEVELS, -1, -1):
                at = slot_node >> level
                if page.keys[at] == 0:
                    return StateProof(tuple(siblings), None)
                if page.keys[at] == 1:
                    return _end(key_hash, _single_below(page, at), siblings)
                if level:
                    siblings.append(page.commitments[slot_node >> (level - 1) ^ 1])
            depth += 1

    def _update(self, depth: int, leaves: list[bytes], pages: dict[bytes, bytes]) -> bytes:
        """Puts sorted leaves, all below one page, into it; its commitment."""
        path = _path(leaves[0], depth)
        page = self._page(path)
        numbers = 0
        for number, group in _by_half_byte(leaves, depth):
            numbers |= 1 << number
            slot = page.slots[number]
            if len(slot) == _FORK_BYTES:
                fork = self._update(depth + 1, group, pages)
                page.slots[number] = page.commitments[_SLOTS + number] = fork
                continue
            if slot and slot[:32] not in [leaf[:32] for leaf in group]:
                group = sorted([*group, slot])
            if len(group) == 1:
                page.put(number, group[0])
            else:
                page.put(number, self._update(depth + 1, group, pages))
        page.settle(numbers)
        pages[path] = page.to_bytes()
        return page.root()

    def _page(self, path: bytes) -> _Page:
        page = self._pages.get(path)
        if page is None:
            stored = self._read_page(path)
            page = _Page({} if stored is None else parse_page(stored))
            self._pages.put(path, page)
        return page


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


def _single_below(page: _Page, node: int) -> bytes:
    """The two hashes of the one key below a node."""
    while node < _SLOTS:
        node = 2 * node if page.keys[2 * node] else 2 * node + 1
    return page.slots[node - _SLOTS]


def _end(key_hash: bytes, leaf: bytes, siblings: list[bytes]) -> StateProof:
    other = None if leaf[:32] == key_hash else OtherLeaf(leaf[:32], leaf[32:])
    return StateProof(tuple(siblings), other)


def _by_half_byte(leaves: list[bytes], depth: int) -> list[tuple[int, list[bytes]]]:
    """Sorted leaves by the half-byte at a depth, in order."""
    if len(leaves) == 1:
        return [(_half_byte(leaves[0], depth), leaves)]
    at, shift = depth >> 1, 0 if depth & 1 else 4
    groups: list[tuple[int, list[bytes]]] = []
    last = -1
    for leaf in leaves:
        number = leaf[at] >> shift & 0x0F
        if number == last:
            groups[-1][1].append(leaf)
        else:
            groups.append((number, [leaf]))
            last = number
    return groups


def _half_byte(key_hash: bytes, depth: int) -> int:
    byte = key_hash[depth >> 1]
    return byte & 0x0F if depth & 1 else byte >> 4


def _path(key_hash: bytes, depth: int) -> bytes:
    whole = key_hash[: depth >> 1]
    if depth & 1:
        whole += bytes([key_hash[depth >> 1] & 0xF0])
    return bytes([depth]) + whole
