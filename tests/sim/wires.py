"""The wires: who is connected to whom, and what becomes of a message on its way.

A message travels between nodes that each name the other as a member, as TLS with pinned keys has
it (`node.peers`): whoever does not know a node neither dials it nor lets it in.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from consensus.messages import AppendReply, HeartbeatReply
from ledger.codec import encode
from node.messages import PEER_MESSAGE, CertifiedBlocks
from sim.processes import Process

if TYPE_CHECKING:
    from sim.world import World

ANSWERS_KEPT = 24
"""The newest answers of one node to another of which late copies may come."""


class Wires:
    """Every link of one world, each direction apart.

    cuts: links, as (from, to), that lose everything. filters: links that lose one kind of message.
    answers: the newest of one kind on each link, of which late copies may come.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.cuts: set[tuple[bytes, bytes]] = set()
        self.filters: dict[tuple[bytes, bytes], type] = {}
        self.answers: dict[tuple[bytes, bytes, type], deque[tuple[Any, int]]] = {}
        self._sent = 0
        self._newest_arrived: dict[tuple[bytes, bytes], int] = {}

    def connect(self, one: bytes, other: bytes) -> None:
        """A connection between two processes comes up, if each knows the other; both hear of it."""
        processes = self._world.processes
        near, far = processes.get(one), processes.get(other)
        if near is None or far is None:
            return
        if other[:32] not in near.peers or one[:32] not in far.peers:
            return
        version = min(near.version, far.version)
        self._world.give(one, near.replica.connected, other[:32], version)
        if processes.get(one) is near and processes.get(other) is far:
            self._world.give(other, far.replica.connected, one[:32], version)

    def members_changed(self, place: bytes, process: Process) -> None:
        """A process names other members than before: those that are new to it are dialled."""
        before, process.peers = process.peers, frozenset(process.replica.members)
        fresh = process.peers - before
        for other in list(self._world.processes):
            if other[:32] in fresh and other[:32] != place[:32]:
                self._world.at(5, self.connect, place, other)

    def fetch(self, place: bytes, process: Process) -> None:
        """Whom no voter answers asks anyone at all for certified blocks (`node.fetching`)."""
        world = self._world
        wanted = process.replica.blocks_wanted()
        if wanted is None:
            return
        other = world.tape.choice(world.nodes)
        asked = world.processes.get(other)
        cut = (place, other) in self.cuts or (other, place) in self.cuts
        cut = cut or self.filters.get((other, place)) is CertifiedBlocks
        if other == place or asked is None or asked.paused or cut or place not in asked.peers:
            return
        answer = asked.replica.blocks_for(place, wanted)
        if answer is not None and answer.blocks:
            delay = world.tape.between(*world.options.delay_ms)
            world.at(delay, self._fetched, place, process.life, answer)

    def _fetched(self, place: bytes, life: int, answer: CertifiedBlocks) -> None:
        process = self._world.alive(place, life)
        if process is not None and not process.paused:
            self._world.count("fetched-outside")
            self._world.give(place, process.replica.fetched, answer)

    def send(self, place: bytes, process: Process, peer: bytes, message: Any) -> None:
        """A replica sends a message."""
        world = self._world
        if peer not in process.peers:
            return
        if place[:32] not in world.liars:
            world.watch.sending(place, peer, message)
        if world.options.wire:
            message = PEER_MESSAGE.decode(encode(message))
        if world.lying is None:
            self._post(place, peer, message)
            return
        if place[:32] in world.liars:
            message = world.lying.speak(place, message)
        for target in world.lying.places_of(peer):
            if message is not None and world.lying.hears(place, target):
                self._post(place, target, message)

    def _post(self, place: bytes, peer: bytes, message: Any) -> None:
        world, options, tape = self._world, self._world.options, self._world.tape
        self._sent += 1
        number = self._sent
        if type(message) in (HeartbeatReply, AppendReply):
            said = self.answers.setdefault((place, peer, type(message)), deque(maxlen=ANSWERS_KEPT))
            said.append((message, number))
        if tape.chance(options.loss):
            world.count("loss", step=False)
        else:
            delay = tape.between(*options.delay_ms)
            if tape.chance(options.long_delay):
                delay += tape.below(10 * options.timeout_ms)
                world.count("long-delay", step=False)
            world.at(delay, self.arrive, place, peer, message, number)
            if tape.chance(options.duplication):
                world.count("duplication", step=False)
                delay = tape.between(*options.delay_ms)
                world.at(delay, self.arrive, place, peer, message, number)
        if tape.chance(options.late_copy):
            world.count("late-copy", step=False)
            delay = tape.below(10 * options.timeout_ms)
            world.at(delay, self.arrive, place, peer, message, number)

    def arrive(self, place: bytes, peer: bytes, message: Any, number: int) -> None:
        """A message is at the end of its way, if nothing cuts it off."""
        process = self._world.processes.get(peer)
        if process is None or place[:32] not in process.peers:
            return
        link = (place[:32], peer[:32])
        if link not in self.cuts and self.filters.get(link) is not type(message):
            self._receive(place, peer, message, number)

    def arrive_late(self, place: bytes, peer: bytes, message: Any, number: int) -> None:
        """One more copy of what was said long ago comes, however the link is by now."""
        process = self._world.processes.get(peer)
        if process is not None and place[:32] in process.peers:
            self._world.count("late-copy", step=False)
            self._receive(place, peer, message, number)

    def _receive(self, place: bytes, peer: bytes, message: Any, number: int) -> None:
        world = self._world
        process = world.processes[peer]
        if process.paused:
            process.inbox.append((self._receive, (place, peer, message, number)))
            return
        link = (place, peer)
        if number < self._newest_arrived.get(link, 0):
            world.counts["reordering"] += 1
        else:
            self._newest_arrived[link] = number
        world.steps += 1
        world.counts["delivery"] += 1
        if type(message) is CertifiedBlocks and message.blocks:
            world.counts["caught-up-by-blocks"] += 1
        process.heard[place[:32]] = process.ticks
        if peer[:32] in world.liars:
            world.give(peer, process.replica.receive, place[:32], message)
            return
        before = world.watch.receiving(process.replica, place[:32], message)
        world.give(peer, process.replica.receive, place[:32], message)
        if before is not None and world.processes.get(peer) is process:
            world.watch.received(process.replica, message, before)
