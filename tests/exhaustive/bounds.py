"""How far an exploration goes. Within these bounds it leaves nothing out."""

from dataclasses import dataclass, field

from consensus import Configuration, NodeId, Settings

NODES: tuple[NodeId, ...] = (b"n1", b"n2", b"n3")
WHOLE = Configuration(NODES)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Each number is of the whole run, over all nodes, unless it says otherwise.

    terms: no node ever has one above it. entries: proposed by clients, beside the empty entry with
    which each term opens. crashes: each with a restart, at any moment. late_writes: how often a
    write is still under way when its node goes on; otherwise it lands at once. beats: rounds of
    heartbeats. lapses: how often a leader finds that it hears no quorum, or, where that matters, a
    follower that it hears no leader. timeouts: campaigns begun, those for a vote before the vote
    among them. compactions: of a node's log. transfers: of leadership, beside that of a leader that
    votes no more. reads: that a leader is asked for. target: the voters that a leader may change
    to, jointly; empty: no change.
    """

    terms: int = 2
    entries: int = 1
    crashes: int = 0
    late_writes: int = 0
    beats: int = 0
    lapses: int = 0
    timeouts: int = 3
    compactions: int = 0
    transfers: int = 0
    reads: int = 0
    founding: Configuration = WHOLE
    target: tuple[NodeId, ...] = ()
    settings: Settings = field(default_factory=Settings)

    def __str__(self) -> str:
        numbers = [name for name in self.__slots__ if isinstance(getattr(self, name), int)]
        said = [f"{getattr(self, name)} {name.replace('_', ' ')}" for name in numbers]
        return ", ".join(said) + (", one change of voters" if self.target else "")


PLAIN = Settings(pre_vote=False, check_quorum=False)
"""Without the two rules that only forbid: what is safe without them is the more so with them."""

ALONE = Configuration((b"n1",), (), (b"n2", b"n3"))
PAIR = Configuration((b"n1", b"n2"), (), (b"n3",))
"""Two voters, and a learner that is to be the third."""

SMALL = {
    "one term": Bounds(
        terms=1, entries=0, timeouts=2, crashes=1, late_writes=1, lapses=1, settings=PLAIN
    ),
    "one crash": Bounds(terms=2, entries=0, timeouts=2, crashes=1, settings=PLAIN),
    "asked first": Bounds(terms=2, entries=0, timeouts=2),
    "one entry": Bounds(terms=1, entries=1, timeouts=1, beats=1, settings=PLAIN),
    "one entry, one crash": Bounds(terms=1, entries=1, timeouts=1, crashes=1, settings=PLAIN),
    "handed over": Bounds(terms=2, entries=0, timeouts=1, transfers=1),
    "compacted": Bounds(terms=1, entries=1, timeouts=1, compactions=1, settings=PLAIN),
    "a read": Bounds(terms=2, entries=0, timeouts=2, reads=1, settings=PLAIN),
    "other voter": Bounds(
        terms=2,
        entries=0,
        timeouts=2,
        founding=Configuration((b"n1",), (), (b"n2",)),
        target=(b"n2",),
        settings=PLAIN,
    ),
    "other voter, one crash": Bounds(
        terms=2,
        entries=0,
        timeouts=2,
        crashes=1,
        founding=Configuration((b"n1",), (), (b"n2",)),
        target=(b"n2",),
        settings=PLAIN,
    ),
    "promoted in one term": Bounds(
        terms=1, entries=0, timeouts=1, founding=PAIR, target=NODES, settings=PLAIN
    ),
}
"""Explored by `make test`."""

LARGE = {
    "an entry": Bounds(terms=2, entries=1, timeouts=2, settings=PLAIN),
    "an entry and heartbeats": Bounds(terms=2, entries=1, timeouts=2, beats=1, settings=PLAIN),
    "late writes": Bounds(terms=2, entries=0, timeouts=2, crashes=1, late_writes=1, settings=PLAIN),
    "three terms": Bounds(terms=3, entries=0, timeouts=3, settings=PLAIN),
    "asked and unheard": Bounds(terms=2, entries=0, timeouts=3, lapses=1),
    "other voters": Bounds(
        terms=2, entries=0, timeouts=2, founding=ALONE, target=(b"n2", b"n3"), settings=PLAIN
    ),
    "compacted": Bounds(terms=2, entries=0, timeouts=2, compactions=1, settings=PLAIN),
    "two entries": Bounds(terms=1, entries=2, timeouts=1, settings=PLAIN),
    "other voters, one crash": Bounds(
        terms=2,
        entries=0,
        timeouts=2,
        crashes=1,
        founding=ALONE,
        target=(b"n2", b"n3"),
        settings=PLAIN,
    ),
    "promoted": Bounds(terms=2, entries=0, timeouts=2, founding=PAIR, target=NODES, settings=PLAIN),
    "promoted, one crash": Bounds(
        terms=1, entries=0, timeouts=1, crashes=1, founding=PAIR, target=NODES, settings=PLAIN
    ),
}
"""Explored by `make exhaustive`."""
