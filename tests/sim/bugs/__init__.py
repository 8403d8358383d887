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
from sim.bugs.membership import MEMBERSHIP
from sim.bugs.patching import Bug, Patch, seeded
from sim.bugs.replication import REPLICATION
from sim.bugs.storage import STORAGE

BUGS = (*ELECTIONS, *REPLICATION, *MEMBERSHIP, *STORAGE, *CLIENTS, *ACCOUNTABILITY)

HOLES: frozenset[str] = frozenset()
"""Names of bugs that are not caught yet: holes in the simulator."""


@contextmanager
def seeded_by_name(name: str) -> Iterator[None]:
    """The product with the bug of that name in it; "" is no bug."""
    if not name:
        yield
        return
    with seeded(next(bug for bug in BUGS if bug.name == name)):
        yield


__all__ = ["BUGS", "HOLES", "Bug", "Patch", "seeded", "seeded_by_name"]
