"""The tree as C2SP tlog-tiles cuts it: tiles of 256 hashes, 8 levels high.

A tile at level L and index N holds the roots of the complete subtrees of height 8·L numbered
N·256 … N·256 + 255; at level 0 these are leaf hashes. A full tile never changes. A store keeps full
tiles only; the unfinished right edge is at most 255 hashes a level and is rebuilt from what is
stored below it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from ledger.errors import Malformed
from ledger.recent import Recent
from ledger.tree import NodeReader, leaf_hash, root_of
from ledger.types import HASH_BYTES, LeafIndex, TreeSize

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVELS_MAX = 8
"""Levels of tiles that a tree of up to 2⁶³ leaves has: 63 bits in steps of 8."""

StoredTile: TypeAlias = Callable[[int, int], bytes]
"""(level, index) → the full tile's 8,192 bytes."""

StoredLeaf: TypeAlias = Callable[[LeafIndex], bytes]
"""Leaf index → the leaf's data."""

TileRoots: TypeAlias = Recent[tuple[int, int], bytes]
"""(level, index) → the root over that full tile."""

TILE_ROOTS_MAX = 4_096
"""Limit of the tile roots that are kept: a proof asks for at most 255 a level."""


class RightEdge:
    """The unfinished tiles of a growing tree, and which tiles become full as it grows.

    Invariant: level L holds the ((size >> 8·L) mod 256) newest hashes of that level.
    """

    __slots__ = ("_levels", "size")

    def __init__(self, size: TreeSize, levels: Sequence[Sequence[bytes]]) -> None:
        self.size = size
        self._levels = [list(level) for level in levels]
        self._levels += [[] for _ in range(LEVELS_MAX - len(self._levels))]

    @classmethod
    def rebuild(cls, size: TreeSize, *, leaf: StoredLeaf, tile: StoredTile) -> "RightEdge":
        """The edge of a stored tree: from at most 255 leaves and 255 full tiles a level."""
        levels: list[list[bytes]] = []
        count = int(size)
        for level in range(LEVELS_MAX):
            begin = count - count % TILE_WIDTH
            if level == 0:
                hashes = [leaf_hash(leaf(LeafIndex(index))) for index in range(begin, count)]
            else:
                hashes = [tile_root(tile(level - 1, index)) for index in range(begin, count)]
            levels.append(hashes)
            count //= TILE_WIDTH
        return cls(size, levels)

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[int, int, bytes]]:
        """Append leaf hashes; the tiles that became full: (level, index, bytes), lowest first."""
        full: list[tuple[int, int, bytes]] = []
        edge = self._levels[0]
        for digest in leaves:
            edge.append(digest)
            self.size = TreeSize(self.size + 1)
            if len(edge) == TILE_WIDTH:
                self._complete(0, full)
        return full

    def _complete(self, level: int, full: list[tuple[int, int, bytes]]) -> None:
        while level < LEVELS_MAX and len(self._levels[level]) == TILE_WIDTH:
            hashes = self._levels[level]
            index = (self.size >> (TILE_HEIGHT * (level + 1))) - 1
            full.append((level, index, b"".join(hashes)))
            if level + 1 < LEVELS_MAX:
                self._levels[level + 1].append(root_of(hashes))
            hashes.clear()
            level += 1

    def partial(self, level: int) -> bytes:
        """The unfinished tile at `level`: at most 255 hashes, joined."""
        return b"".join(self._levels[level])


def tile_root(tile: bytes) -> bytes:
    """The root over a full tile's hashes, 32 bytes."""
    if len(tile) != TILE_BYTES:
        raise Malformed("tile", f"{len(tile)} bytes instead of {TILE_BYTES}")
    return root_of(hashes_of(tile))


def hashes_of(tile: bytes) -> list[bytes]:
    """A tile's hashes in order. Raises Malformed if it is no whole number of them."""
    if len(tile) % HASH_BYTES:
        raise Malformed("tile", f"{len(tile)} bytes are no whole number of hashes")
    return [tile[place : place + HASH_BYTES] for place in range(0, len(tile), HASH_BYTES)]


def node_reader(
    size: TreeSize, *, leaf: StoredLeaf, tile: StoredTile, roots: TileRoots | None = None
) -> NodeReader:
    """Reads the roots of complete subtrees of a stored tree with `size` leaves.

    What lies in a full tile is hashed up from that tile; what does not, from the leaves or the
    tiles below. Tiles are read once each per reader, so one serves one proof or a few.
    roots: those of full tiles of this very tree that other readers met; for this one to use and to
    add to. Without them a proof hashes up to 255 tiles a level.
    """
    seen: dict[tuple[int, int], list[bytes]] = {}

    def root(level: int, index: int) -> bytes:
        known = None if roots is None else roots.get((level, index))
        if known is None:
            known = tile_root(tile(level, index))
            if roots is not None:
                roots.put((level, index), known)
        return known

    def hashes(level: int, index: int) -> list[bytes]:
        known = seen.get((level, index))
        if known is None:
            begin = index * TILE_WIDTH
            end = min(begin + TILE_WIDTH, size >> (TILE_HEIGHT * level))
            if end - begin == TILE_WIDTH:
                known = hashes_of(tile(level, index))
            elif level == 0:
                known = [leaf_hash(leaf(LeafIndex(at))) for at in range(begin, end)]
            else:
                known = [root(level - 1, at) for at in range(begin, end)]
            seen[(level, index)] = known
        return known

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        begin = index << height
        row = hashes(tile_level, begin // TILE_WIDTH)
        place = begin % TILE_WIDTH
        part = row[place : place + (1 << height)]
        if len(part) != 1 << height:
            raise ValueError(f"subtree {level}/{index} is not complete in a tree of {size}")
        return root_of(part)

    return read


def tile_path(*, level: int, index: int, width: int = TILE_WIDTH) -> str:
    """A tile's path under tlog-tiles: `tile/L/N`, with `.p/W` for a partial one of `width`."""
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{index_path(index)}{partial}"


def entries_path(*, index: int, width: int = TILE_WIDTH) -> str:
    """An entry bundle's path under tlog-tiles: `tile/entries/N`, with `.p/W` for a partial one."""
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/entries/{index_path(index)}{partial}"


def index_path(index: int) -> str:
    """Groups of three digits, all but the last with a leading x: 1234067 → x001/x234/067."""
    groups = [f"{index % 1000:03d}"]
    index //= 1000
    while index:
        groups.append(f"x{index % 1000:03d}")
        index //= 1000
    return "/".join(reversed(groups))


def parse_index_path(path: str) -> int:
    """The index that `index_path` spells. Raises Malformed for any other spelling."""
    groups = path.split("/")
    index = 0
    for place, group in enumerate(groups):
        digits = group.removeprefix("x") if place < len(groups) - 1 else group
        if len(digits) != 3 or not (digits.isascii() and digits.isdigit()):
            raise Malformed("tile path", f"{path!r} is no tile index")
        index = index * 1000 + int(digits)
    if index_path(index) != path:
        raise Malformed("tile path", f"{path!r} is a second spelling of {index_path(index)!r}")
    return index


def encode_entries(leaves: Sequence[bytes]) -> bytes:
    """An entry bundle: each leaf's data behind its length in two bytes, big-endian."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in leaves)


def parse_entries(bundle: bytes) -> list[bytes]:
    """The leaves of an entry bundle, at most 256. Raises Malformed."""
    leaves: list[bytes] = []
    place = 0
    while place < len(bundle):
        end = place + 2 + int.from_bytes(bundle[place : place + 2], "big")
        if end > len(bundle):
            raise Malformed("entry bundle", f"it ends within entry {len(leaves)}")
        leaves.append(bundle[place + 2 : end])
        place = end
    if len(leaves) > TILE_WIDTH:
        raise Malformed("entry bundle", f"{len(leaves)} entries, at most {TILE_WIDTH} allowed")
    return leaves
