"""A cluster of production replicas on virtual time, driven by one random source.

Everything outside `node.replica` is here: clocks, disks, wires, processes. A seed reproduces a run
to the byte. Faults: messages lost, doubled, delayed and reordered; links cut, also one way; nodes
crashed at any moment with whatever was not yet durable, and started again; clocks that are apart;
disks of different speed.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
from builders import START_MS, Consortium

from consensus import Raft, Role, Settings
from consensus.messages import VoteReply, VoteRequest
from consensus.types import Tick
from ledger.codec import encode
from ledger.signatures import verify
from ledger.store_keys import entry_key
from node import ports
from node.messages import PEER_MESSAGE
from node.replica import Replica, ReplicaSettings

TICK_MS = 10


class Disk:
    """A store that only ever holds whole batches: what was durable at the last crash."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.batch_number = 0

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted((key for key in self.values if start <= key < stop), reverse=reverse)
        return iter([(key, self.values[key]) for key in keys])

    def write(self, batch: ports.Batch) -> None:
        assert batch.number == self.batch_number + 1, "batches are numbered without gaps"
        self.batch_number = batch.number
        self.values.update(batch.puts)
        for key in batch.deletes:
            self.values.pop(key, None)


class FastSigner:
    """Stands in for Ed25519 where a run is about something else: a keyed digest of the message."""

    def __init__(self, checkpoint_key: bytes, proposal_key: bytes) -> None:
        self.checkpoint_key = checkpoint_key
        self.proposal_key = proposal_key

    def sign_checkpoint(self, message: bytes) -> bytes:
        return fast_sign(self.checkpoint_key, message)

    def sign_proposal(self, message: bytes) -> bytes:
        return fast_sign(self.proposal_key, message)


def fast_sign(public_key: bytes, message: bytes) -> bytes:
    return 2 * sha256(public_key + message).digest()


def fast_check(public_key: bytes, message: bytes, signature: bytes) -> bool:
    return signature == fast_sign(public_key, message) or verify(public_key, message, signature)


@dataclass
class Options:
    """What a seed draws for its run (swarm testing): probabilities, and times in milliseconds."""

    nodes: int = 5
    loss: float = 0.0
    duplication: float = 0.0
    delay_ms: tuple[int, int] = (0, 3)
    long_delay: float = 0.0
    disk_ms: tuple[int, int] = (0, 3)
    verify_ms: tuple[int, int] = (0, 2)
    clock_skew_ms: int = 0
    crash: float = 0.0
    cut: float = 0.0
    restart_ms: int = 1_500
    election_ticks: int = 10

    @classmethod
    def drawn(cls, random: Random) -> "Options":
        return cls(
            nodes=random.choice([1, 3, 3, 5, 5]),
            loss=random.choice([0.0, 0.02, 0.1, 0.3]),
            duplication=random.choice([0.0, 0.1, 0.5]),
            delay_ms=random.choice([(0, 1), (0, 5), (1, 40)]),
            long_delay=random.choice([0.0, 0.02]),
            disk_ms=random.choice([(0, 1), (0, 5), (2, 60)]),
            verify_ms=random.choice([(0, 1), (0, 20)]),
            clock_skew_ms=random.choice([0, 50, 1500]),
            crash=random.choice([0.0, 0.005, 0.02, 0.1]),
            cut=random.choice([0.0, 0.01, 0.03, 0.2]),
            restart_ms=random.choice([10, 100, 1_500]),
            election_ticks=random.choice([4, 10]),
        )


@dataclass
class Process:
    """A running replica; its life number tells late completions of an earlier life apart."""

    replica: Replica
    life: int
    settled: dict[bytes, ports.Accepted | ports.Rejected] = field(default_factory=dict)


class World:
    """The cluster, the clock and the dice."""

    def __init__(self, seed: int, options: Options, *, settings: ReplicaSettings | None = None):
        self.random = Random(seed)
        self.options = options
        departments = ("civil-affairs", "health", "housing", "tourism", "transport")
        self.consortium = Consortium(departments[: options.nodes], voter_count=options.nodes)
        self.settings = settings or ReplicaSettings(
            consensus=Settings(election_ticks=Tick(options.election_ticks))
        )
        self.now_ms = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self.nodes = tuple(sorted(self.consortium.node_ids))
        self.department_of = dict(
            zip(self.consortium.node_ids, self.consortium.departments, strict=True)
        )
        self.disks = {node: Disk() for node in self.nodes}
        self.skew = {
            node: self.random.randint(-options.clock_skew_ms, options.clock_skew_ms) // 2
            for node in self.nodes
        }
        self.processes: dict[bytes, Process] = {}
        self.lives = dict.fromkeys(self.nodes, 0)
        self.cuts: set[tuple[bytes, bytes]] = set()
        self.acknowledged: dict[bytes, ports.Accepted] = {}
        self.rejected: dict[bytes, ports.Rejected] = {}
        self.certified: dict[bytes, int] = dict.fromkeys(self.nodes, 0)
        self.leaders: dict[int, bytes] = {}
        self.alarms: list[tuple[bytes, ports.Alarm]] = []
        self.barriers: list[tuple[int, int | None]] = []
        self.votes: dict[tuple[bytes, int], bytes] = {}
        self.signed: dict[tuple[bytes, int], bytes] = {}
        self.matches: dict[tuple[bytes, int, bytes], int] = {}
        self.believed: dict[int, bytes] = {}
        self.must_see: dict[int, int] = {}
        self.disks_go_back = False
        self.trace = sha256()
        for node in self.nodes:
            self.start(node)

    # Time and processes.

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, action))

    def run(self, until_ms: int, *, stop: Callable[[], bool] | None = None) -> bool:
        """Lets events happen up to a moment; whether `stop` came true before."""
        while self._queue and self._queue[0][0] <= until_ms:
            when, _, action = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, when)
            action()
            if stop is not None and stop():
                return True
        self.now_ms = max(self.now_ms, until_ms)
        return False

    def start(self, node: bytes) -> None:
        assert node not in self.processes
        self.lives[node] += 1
        life = self.lives[node]
        description = next(
            entry
            for department in self.consortium.genesis_file.genesis.departments
            for entry in department.nodes
            if entry.node_id == node
        )
        world = self

        class _Clock:
            def now_ms(self) -> int:
                return START_MS + 10_000 + world.now_ms + world.skew[node]

        replica = Replica(
            genesis=self.consortium.genesis_file,
            node_id=node,
            store=self.disks[node],
            last_batch_number=self.disks[node].batch_number,
            clock=_Clock(),
            signer=FastSigner(node, description.proposal_key),
            check=fast_check,
            random_ticks=self.random.randrange,
            settings=self.settings,
        )
        self.processes[node] = Process(replica, life)
        if replica.certificate is not None:
            assert replica.certificate.height >= self.certified[node], "a certificate was lost"
            self.certified[node] = replica.certificate.height
        self.at(self.random.randrange(TICK_MS), lambda: self._tick(node, life))
        for other in self.nodes:
            if other != node and other in self.processes:
                replica.connected(other)
                self.carry_out(node)
                self.processes[other].replica.connected(node)
                self.carry_out(other)

    def crash(self, node: bytes) -> None:
        """The process ends now; what was being written is lost, or has landed unheard."""
        del self.processes[node]

    def alive(self, node: bytes, life: int) -> Replica | None:
        process = self.processes.get(node)
        return process.replica if process is not None and process.life == life else None

    def _tick(self, node: bytes, life: int) -> None:
        replica = self.alive(node, life)
        if replica is not None:
            replica.tick()
            self.carry_out(node)
            self.at(TICK_MS, lambda: self._tick(node, life))

    # Effects.

    def carry_out(self, node: bytes) -> None:
        process = self.processes[node]
        while True:
            effects = process.replica.effects()
            if not effects:
                break
            for effect in effects:
                self._carry_out(node, process, effect)
        self._observe(node, process.replica)

    def _carry_out(self, node: bytes, process: Process, effect: Any) -> None:
        match effect:
            case ports.Send():
                self._watch_votes(node, effect.peer, effect.message)
                self._send(node, effect.peer, encode(effect.message))
            case ports.Persist():
                self._persist(node, process.life, effect.batch)
            case ports.Verify():
                results = [fast_check(j.public_key, j.message, j.signature) for j in effect.jobs]
                self.at(
                    self.random.randint(*self.options.verify_ms),
                    lambda: self._verified(node, process.life, effect.token, results),
                )
            case ports.Settled():
                if isinstance(effect.outcome, ports.Accepted):
                    self.acknowledged.setdefault(effect.record_id, effect.outcome)
                    assert self.acknowledged[effect.record_id] == effect.outcome
                else:
                    self.rejected[effect.record_id] = effect.outcome
            case ports.Certified():
                assert effect.height >= self.certified[node], "certified heights only rise"
                self.certified[node] = effect.height
            case ports.BarrierReady():
                self.barriers.append((effect.token, effect.height))
                if effect.height is not None:
                    must = self.must_see.get(effect.token, 0)
                    assert effect.height >= must, "a read does not see what was acknowledged"
            case ports.Alarm():
                self.alarms.append((node, effect))

    def _send(self, sender: bytes, receiver: bytes, data: bytes) -> None:
        options, random = self.options, self.random
        self.trace.update(sha256(data).digest() + self.now_ms.to_bytes(8, "big"))
        copies = 0 if random.random() < options.loss else 1
        if copies and random.random() < options.duplication:
            copies = 2
        for _ in range(copies):
            delay = random.randint(*options.delay_ms)
            if random.random() < options.long_delay:
                delay += random.randrange(2_000)
            self.at(delay, lambda: self._arrive(sender, receiver, data))

    def _arrive(self, sender: bytes, receiver: bytes, data: bytes) -> None:
        process = self.processes.get(receiver)
        if process is None or (sender, receiver) in self.cuts:
            return
        process.replica.receive(sender, PEER_MESSAGE.decode(data))
        self.carry_out(receiver)

    def _persist(self, node: bytes, life: int, batch: ports.Batch) -> None:
        def done() -> None:
            replica = self.alive(node, life)
            if replica is not None:
                self.disks[node].write(batch)
                self._heard(node, life, batch.number)

        self.at(self.random.randint(*self.options.disk_ms), done)

    def _heard(self, node: bytes, life: int, number: int) -> None:
        """The write has landed; a crash may still come before the replica hears of it."""
        if self.random.random() < self.options.crash and len(self.processes) > 1:
            self.crash(node)
            self.at(self.random.randrange(self.options.restart_ms), lambda: self._restart(node))
            return
        replica = self.alive(node, life)
        assert replica is not None
        replica.persisted(number)
        self.carry_out(node)

    def _restart(self, node: bytes) -> None:
        if node not in self.processes:
            self.start(node)

    def _verified(self, node: bytes, life: int, token: int, results: list[bool]) -> None:
        replica = self.alive(node, life)
        if replica is not None:
            replica.verified(token, results)
            self.carry_out(node)

    # Faults.

    def disturb(self) -> None:
        """One random fault, as often as the options say."""
        random = self.random
        if random.random() < self.options.crash:
            node = random.choice(self.nodes)
            if node in self.processes:
                self.crash(node)
                self.at(random.randrange(self.options.restart_ms), lambda: self._restart(node))
        if random.random() < self.options.crash / 20:
            for node in list(self.processes):
                self.crash(node)
            for node in self.nodes:
                self.at(random.randrange(500), lambda node=node: self._restart(node))
        if random.random() < self.options.cut:
            self._cut_some()

    def _cut_some(self) -> None:
        random = self.random
        kind = random.choice(["heal", "isolate", "halves", "one-way"])
        if kind == "heal":
            self.heal()
        elif kind == "isolate":
            lone = random.choice(self.nodes)
            self.cuts = {
                (a, b) for a in self.nodes for b in self.nodes if (a == lone) != (b == lone)
            }
        elif kind == "halves":
            side = {node for node in self.nodes if random.random() < 0.5}
            self.cuts = {
                (a, b) for a in self.nodes for b in self.nodes if (a in side) != (b in side)
            }
        else:
            self.cuts.add((random.choice(self.nodes), random.choice(self.nodes)))

    def heal(self) -> None:
        self.cuts.clear()
        for node, process in list(self.processes.items()):
            for other in self.nodes:
                if other != node and node in self.processes:
                    process.replica.connected(other)
                    self.carry_out(node)

    def calm(self) -> None:
        """No more faults; everything that is down starts."""
        self.options.loss = self.options.duplication = self.options.long_delay = 0.0
        self.options.crash = self.options.cut = 0.0
        self.options.delay_ms = (0, 3)
        self.options.disk_ms = (0, 3)
        for node in self.nodes:
            self._restart(node)
        self.heal()

    # Clients.

    def submit(self, node: bytes, raw: bytes) -> bytes | ports.Rejected | None:
        process = self.processes.get(node)
        if process is None:
            return None
        taken = process.replica.submit(raw)
        self.carry_out(node)
        return taken

    def read(self, node: bytes, token: int) -> None:
        """A client wants to read all that anybody was told to be there by now."""
        process = self.processes.get(node)
        if process is not None:
            heights = [place.height for place in self.acknowledged.values()]
            self.must_see[token] = max(heights, default=0)
            process.replica.read_barrier(token)
            self.carry_out(node)

    # What must hold after every step.

    def _watch_votes(self, node: bytes, peer: bytes, message: Any) -> None:
        """A vote counts when it leaves: one a term, for ever."""
        if isinstance(message, VoteRequest):
            voted_for = node
        elif isinstance(message, VoteReply) and message.granted:
            voted_for = peer
        else:
            return
        known = self.votes.setdefault((node, message.term), voted_for)
        assert known == voted_for, f"two votes in term {message.term}"

    def _observe(self, node: bytes, replica: Replica) -> None:
        raft = replica.raft
        if raft.role is Role.LEADER:
            known = self.leaders.setdefault(raft.term, node)
            assert known == node, f"two leaders in term {raft.term}"
        assert raft.applied_index <= raft.commit_index <= raft.last_index
        tip = replica.chain.tip
        assert tip.time_ms < START_MS + 12_000 + self.now_ms + self.options.clock_skew_ms
        for peer in self.nodes:
            progress = raft.progress(peer)
            if progress is not None:
                match = progress.match
                place = (node, raft.term, peer)
                assert match >= self.matches.get(place, 0), "a match index went back"
                self.matches[place] = match
                self._check_match(raft, peer, match)
                window = self.settings.consensus.in_flight_messages_max
                assert len(progress.in_flight) <= window, "more in flight than the window"

    def _check_match(self, raft: Raft, peer: bytes, match: int) -> None:
        """What a leader believes a peer to hold is on that peer's disk, byte for byte."""
        if match and not self.disks_go_back:
            stored = self.disks[peer].get(entry_key(match))
            assert stored is not None, "a leader counts an entry that its peer does not hold"
            if match not in self.believed or self.believed[match] != stored:
                held = msgspec.msgpack.decode(stored)
                assert held[1] == raft.entry(match).hash, "a leader counts another entry"
                self.believed[match] = stored
