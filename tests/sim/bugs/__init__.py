"""Seeded bugs: one line broken on purpose, which the simulator's invariants must catch.

A patch names a function of the product, a text in its source and what stands there instead. It is
applied to the running interpreter only, and undone afterwards. Assertions next to the broken line
are switched off with it, so that it is an invariant of the whole cluster that speaks. Each bug
names its pitfall (P1 to P53 of the known mistakes of Raft implementations, A1 to A12 of
accountability).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sim.bugs.accountability import ACCOUNTABILITY
from sim.bugs.clients import CLIENTS
from sim.bugs.elections import ELECTIONS
from sim.bugs.patching import Bug, Patch, seeded
from sim.bugs.replication import REPLICATION
from sim.bugs.storage import STORAGE

BUGS = (*ELECTIONS, *REPLICATION, *STORAGE, *CLIENTS, *ACCOUNTABILITY)

HOLES = frozenset(
    {
        "a refusal of the pre-vote does not say of a later term",
        "a vote that comes twice counts twice",
        "whoever speaks from an older term is left in the dark",
        "an acknowledgement of an earlier term counts",
        "the completion of an overtaken write marks its successor durable",
        "a peer that was probed once is never probed again",
        "a leader accepts without limit what nobody commits",
        "what is being written survives its own truncation on disk",
        "a torn write counts as far as it got",
        "the damaged end of a store is cut off in silence",
        "the mark beside the keys is lost with its directory entry",
        "an entry that is read from another place is believed",
        "a new leader serves reads before it has committed in its term",
        "a read is confirmed by answers to an older round",
        "a leader confirms reads by itself",
        "a record is accepted each time it comes",
        "a store that went back is not noticed",
    }
)
"""Bugs that the 8 to 60 seeds tried so far did not catch; `make soak` tries more of them."""


@contextmanager
def seeded_by_name(name: str) -> Iterator[None]:
    """The product with the bug of that name in it; "" is no bug."""
    if not name:
        yield
        return
    with seeded(next(bug for bug in BUGS if bug.name == name)):
        yield


__all__ = ["BUGS", "HOLES", "Bug", "Patch", "seeded", "seeded_by_name"]
