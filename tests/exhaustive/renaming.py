"""What a node holds as a plain value, and the same with the nodes' names exchanged.

Two clusters that differ in names alone behave alike, so only one of them is explored. For that, a
node's whole state becomes a value of tuples, frozensets, numbers and bytes, in which names are
found wherever they stand: in node ids, in signatures, and in hashes, which are tokens for a
history.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import cache
from itertools import permutations
from operator import attrgetter
from types import FunctionType, MethodType
from typing import Any

import msgspec

from consensus import Configuration, Entry, NodeId, Settings
from consensus.ready import Outgoing
from exhaustive.bounds import NODES, Bounds

Value = Any
"""A tree of tuples and frozensets over int, bytes, str, bool and None."""

Renaming = dict[bytes, bytes]


class Histories:
    """Hashes as tokens: one for each history, so that none collide, and each can be renamed."""

    def __init__(self, names: tuple[NodeId, ...], renamings: list[tuple[NodeId, ...]]) -> None:
        self._tokens: dict[tuple[bytes, int, NodeId, bytes], bytes] = {}
        self._parts: dict[bytes, tuple[bytes, int, NodeId, bytes]] = {}
        self.renamings: list[Renaming] = []
        for images in renamings:
            self.renamings.append(dict(zip(names, images, strict=True)))

    def token(self, entry: Entry, previous_hash: bytes) -> bytes:
        """The token of the history that ends with `entry`."""
        return self._of((previous_hash, entry.term, entry.proposer, entry.data))

    def _of(self, parts: tuple[bytes, int, NodeId, bytes]) -> bytes:
        token = self._tokens.get(parts)
        if token is None:
            token = b"#%d" % len(self._tokens)
            self._tokens[parts] = token
            self._parts[token] = parts
            for renaming in self.renamings:
                previous, term, proposer, data = parts
                previous = renaming.get(previous, previous)
                renaming[token] = self._of((previous, term, renaming[proposer], data))
        return token

    def previous(self, token: bytes) -> bytes:
        """The history without its last entry."""
        return self._parts[token][0]

    def extends(self, token: bytes, earlier: bytes) -> bool:
        """Whether a history is another, or goes on from it."""
        while token != earlier:
            if token not in self._parts:
                return False
            token = self.previous(token)
        return True


HISTORIES: list[Histories] = []
"""The histories of the exploration under way; a core under exploration finds its hashes here."""


def token_of(entry: Entry, previous_hash: bytes) -> bytes:
    """An entry's hash while exploring; a function of this module, so that a node can be pickled."""
    return HISTORIES[-1].token(entry, previous_hash)


def symmetries(bounds: Bounds) -> list[tuple[NodeId, ...]]:
    """The renamings that leave the bounds as they are; the first one changes nothing."""

    def kept(images: tuple[NodeId, ...], group: tuple[NodeId, ...]) -> bool:
        return {images[NODES.index(node)] for node in group} == set(group)

    founding = bounds.founding
    groups = (founding.voters, founding.incoming, founding.learners, bounds.target)
    return [each for each in permutations(NODES) if all(kept(each, group) for group in groups)]


def value_of(thing: Any, seen: set[int] | None = None) -> Value:
    """A thing and everything it holds as a value; equal values behave alike.

    What is held in several places is said once, in the place that comes first. Messages on their
    way out are a set: to send one twice is to send it once, for it may arrive often anyway.
    """
    if thing is None or isinstance(thing, int | bytes | str):
        return thing
    if isinstance(thing, msgspec.Struct):
        return value_of_struct(thing)
    seen = set() if seen is None else seen
    if isinstance(thing, Enum):
        return thing.name
    if isinstance(thing, list) and thing and isinstance(thing[0], Outgoing):
        return frozenset([value_of_struct(each) for each in thing])
    if isinstance(thing, tuple | list | deque):
        return tuple([value_of(each, seen) for each in thing])
    if isinstance(thing, dict):
        return frozenset([(value_of(key), value_of(held, seen)) for key, held in thing.items()])
    if isinstance(thing, set | frozenset):
        return frozenset([value_of(each, seen) for each in thing])
    if id(thing) in seen:
        return type(thing).__name__
    seen.add(id(thing))
    return (type(thing).__name__, *[value_of(each, seen) for each in _attributes(thing)])


@cache
def value_of_struct(thing: msgspec.Struct) -> Value:
    """The value of something that never changes, worked out once."""
    if isinstance(thing, Configuration):
        return ("Configuration", *map(frozenset, msgspec.structs.astuple(thing)))
    return (type(thing).__name__, *[value_of(each) for each in msgspec.structs.astuple(thing)])


def _attributes(thing: Any) -> tuple[Any, ...]:
    """What a thing holds, in the order of the names, but for functions and settings."""
    kind = type(thing)
    names = (kind, *getattr(thing, "__dict__", ()))
    getter = _GETTERS.get(names)
    if getter is None:
        slots = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
        held = [
            name
            for name in sorted({*slots, *getattr(thing, "__dict__", ())})
            if not isinstance(getattr(thing, name), FunctionType | MethodType | Settings)
        ]
        getter = _GETTERS[names] = attrgetter("__class__", *held)
    return getter(thing)[1:]


_GETTERS: dict[tuple[Any, ...], Callable[[Any], tuple[Any, ...]]] = {}
"""How to read all that a kind of thing holds, by the kind and the names it has beside its slots."""


def renamed(value: Value, renaming: Renaming) -> Value:
    """The value with every name exchanged."""
    if isinstance(value, bytes):
        return renaming.get(value, value)
    if isinstance(value, tuple):
        return tuple([renamed(each, renaming) for each in value])
    if isinstance(value, frozenset):
        return frozenset([renamed(each, renaming) for each in value])
    return value
