"""Who may have to agree, now or soon: every set of voters that is or may come into force.

Faults that take a node for good, and decisions that change the voters, must leave a majority of
each of these sets (`can_spare`), or nothing could ever go on and a run would prove nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.consortium import node as node_state
from contracts.consortium import nodes as members_of
from contracts.consortium import target_voters
from node.replica import Replica

if TYPE_CHECKING:
    from sim.world import World

Set = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision would do to the target voters."""

    joining: frozenset[bytes] = frozenset()
    leaving: frozenset[bytes] = frozenset()

    def of(self, voters: Set) -> Set:
        """The voters after it."""
        return tuple(sorted({*voters, *self.joining} - self.leaving))


class Electorate:
    """What is known of the voters of one world.

    height, time_ms: of the last block that any honest node has executed; members, target, in_force:
    as of it. past: every set that was ever in force; ever_members: everyone who ever took part.
    pending: changes that are proposed and not settled. changed: by height, who was in force before
    a block that changed that; its certificate needs a majority of them.
    """

    def __init__(self, world: "World", voters: Set) -> None:
        self._world = world
        self.height = self.time_ms = 0
        self.members: tuple[bytes, ...] = world.nodes
        self.ever_members: dict[bytes, None] = dict.fromkeys(world.nodes)
        self.target: Set = voters
        self.in_force: tuple[Set, ...] = (voters,)
        self.past: dict[Set, None] = {voters: None}
        self.pending: dict[bytes, Change] = {}
        self.changed: dict[int, tuple[Set, ...]] = {}
        self._left: dict[bytes, tuple[Set, ...]] = {}

    def executed(self, place: bytes, replica: Replica) -> None:
        """Some node has executed a block that nobody had executed: most often the leader."""
        tip, view = replica.chain.tip, replica.chain.view
        before, now = self.in_force, tip.voters.sets()
        if any(place in voters for voters in before) and all(place not in voters for voters in now):
            self._world.count("leader-left", step=False)
        self.height, self.time_ms = tip.height, tip.time_ms
        if before != now:
            self.changed[tip.height] = before
        self.in_force = now
        self.target = target_voters(view)
        self.members = members_of(view)
        self.ever_members.update(dict.fromkeys(self.members))
        self.past.update(dict.fromkeys(self.in_force))

    def ended(self, place: bytes, replica: Replica) -> None:
        """A process ended; when it comes back, these are the voters that it knows of."""
        self._left[place] = replica.chain.tip.voters.sets()

    def sets(self) -> dict[Set, None]:
        """Every set that may be asked, in no order that matters."""
        world = self._world
        found = dict.fromkeys((*self.in_force, *self._targets()))
        certified = max(world.certified.get(place, 0) for place in world.processes or world.nodes)
        for height, before in self.changed.items():
            if height > certified:
                found.update(dict.fromkeys(before))
        for place in world.nodes:
            if world.may_live(place):
                process = world.processes.get(place)
                known = self._left.get(place, ())
                found.update(
                    dict.fromkeys(
                        known if process is None else process.replica.chain.tip.voters.sets()
                    )
                )
        return found

    def _targets(self) -> Iterator[Set]:
        """What the target may be, whichever of the pending changes are decided."""
        found = [self.target]
        for change in self.pending.values():
            found += [change.of(target) for target in found]
        return iter(found)

    def can_bear(self, change: Change) -> bool:
        """Whether, with this change proposed too, every decision leaves a living majority."""
        living = {node for node in self._world.nodes if self._world.may_live(node)}
        targets = [*self._targets()]
        targets += [change.of(target) for target in targets]
        return all(2 * len(living.intersection(voters)) > len(voters) for voters in targets)

    def majority_of_all(self, nodes: Iterable[bytes]) -> bool:
        """Whether these nodes are a majority of each set of which the living are one."""
        among = set(nodes)
        living = {node for node in self._world.nodes if self._world.may_live(node)}
        return all(
            2 * len(among.intersection(voters)) > len(voters)
            for voters in self.sets()
            if 2 * len(living.intersection(voters)) > len(voters)
        )

    def can_spare(self, node: bytes) -> bool:
        """Whether a node may be lost for good."""
        living = [each for each in self._world.nodes if self._world.may_live(each)]
        return self.majority_of_all([each for each in living if each != node])

    def has_left(self, node: bytes) -> bool:
        """Whether a node was a member once and is none any more."""
        return node in self.ever_members and node not in self.members

    @property
    def has_its_target(self) -> bool:
        """Whether the voters in force are those that were decided."""
        return self.in_force == (self.target,)

    @property
    def is_settled(self) -> bool:
        """Whether the voters are those that were decided, everywhere."""
        return (
            not self.pending
            and self.in_force == (self.target,)
            and set(self.sets()) == {self.target}
        )


def is_gone(replica: Replica, node: bytes) -> bool:
    """Whether this ledger says that a node has left for good."""
    known = node_state(replica.chain.view, node)
    return known is not None and known.retired_height is not None
