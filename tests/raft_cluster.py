"""Raft cores without anything around them: one node fed by hand, or a cluster on a table.

Nothing here has a clock, a socket or a thread. A `Node` is a core with its disk and its state; a
`Cluster` carries messages in the order they were sent, unless a link is cut. Signatures are keyed
digests, so that a forged one is told apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from consensus import (
    Configuration,
    Entry,
    EntryPoint,
    HardState,
    Logged,
    ProposalRefused,
    Raft,
    Role,
    Settings,
    SnapshotWanted,
    Verdict,
)
from consensus import messages as m
from consensus.memory import MemoryStorage
from consensus.ready import Evidence, ReadState
from consensus.types import NO_HASH

A, B, C, D, E = b"a", b"b", b"c", b"d", b"e"
FIVE = Configuration((A, B, C, D, E))
THREE = Configuration((A, B, C))
ONE = Configuration((A,))

TURNS_MAX = 500
"""Turns without rest after which a node or a cluster goes round in circles."""

START = EntryPoint(0, 0, NO_HASH)


def digest(*parts: bytes | int) -> bytes:
    return sha256(b"\x00".join(str(part).encode() for part in parts)).digest()


class SignedProposals:
    """Signs as `node_id`; data that starts with "soon" is from the future, as is time 1."""

    def __init__(self, node_id: bytes) -> None:
        self.node_id = node_id
        self.signed: list[tuple[int, int, bytes]] = []

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
        self.signed.append((term, index, data))
        return digest(self.node_id, term, index, previous_hash, data)

    def entry_hash(self, entry: Entry, previous_hash: bytes) -> bytes:
        return digest(entry.term, entry.index, previous_hash, entry.data)

    def check(self, entry: Entry, previous_hash: bytes) -> Verdict:
        good = digest(entry.proposer, entry.term, entry.index, previous_hash, entry.data)
        if entry.signature != good:
            return Verdict.FORGED
        return Verdict.EARLY if entry.data.startswith(b"soon") else Verdict.ACCEPT

    def sign_transfer(self, *, term: int, target: bytes) -> bytes:
        return digest(self.node_id, b"transfer", term, target)

    def check_transfer(self, *, leader: bytes, term: int, target: bytes, signature: bytes) -> bool:
        return signature == digest(leader, b"transfer", term, target)

    def now_ms(self) -> int:
        return 0

    def is_early(self, time_ms: int) -> bool:
        return time_ms > 0

    def is_late(self, time_ms: int) -> bool:
        return time_ms < 0


def made(
    *terms: int, data: str = "", start: EntryPoint = START, by: Callable[[int], bytes] | None = None
) -> list[Logged]:
    """A log with an entry of each of these terms. by(term): its leader, A where it is None."""
    entries: list[Logged] = []
    previous = start.hash
    for index, term in enumerate(terms, start.index + 1):
        leader = A if by is None else by(term)
        proposals = SignedProposals(leader)
        content = f"{data}{index}@{term}".encode()
        signature = proposals.sign(term=term, index=index, previous_hash=previous, data=content)
        entry = Entry(term, index, content, leader, signature)
        previous = proposals.entry_hash(entry, previous)
        entries.append(Logged(entry, previous))
    return entries


def point(log: Sequence[Logged], index: int) -> EntryPoint:
    """The place of `index` in a log that begins at 1."""
    logged = log[index - 1]
    return EntryPoint(index, logged.entry.term, logged.hash)


def appended(
    log: Sequence[Logged], *, term: int, previous: int, last: int | None = None, commit: int = 0
) -> m.Append:
    """The append of a leader of `term` with this log, from after `previous` to `last`."""
    entries = tuple(logged.entry for logged in log[previous:last])
    before = log[previous - 1].entry.term if previous else 0
    return m.Append(term, previous, before, entries, commit)


@dataclass
class Executed:
    """A state: what was executed, and the configuration after each entry."""

    entries: list[Logged] = field(default_factory=list)
    configurations: list[Configuration] = field(default_factory=list)


class Node:
    """A core, its disk and its state. What is durable together is in `disk` and `kept`."""

    def __init__(
        self,
        node_id: bytes = A,
        configuration: Configuration = THREE,
        *,
        settings: Settings | None = None,
        log: Sequence[Logged] = (),
        start: EntryPoint = START,
        term: int = 0,
        vote: bytes | None = None,
        commit: int = 0,
        applied: int | None = None,
        draw: int = 0,
    ) -> None:
        self.node_id = node_id
        self.genesis = configuration
        self.settings = settings or Settings()
        self.draw = draw
        last = log[-1].entry.index if log else start.index
        entries = {logged.entry.index: logged for logged in log}
        self.disk = MemoryStorage(HardState(term, vote, commit), start, entries, last)
        self.steps: dict[bytes, Configuration] = {}
        done = commit if applied is None else applied
        self.kept: tuple[int, Executed] = (
            start.index,
            Executed(list(log[: done - start.index]), [configuration] * (done - start.index)),
        )
        self.boot()

    def boot(self) -> None:
        """Starts from what is durable."""
        self.first, state = self.kept
        self.state = Executed(list(state.entries), list(state.configurations))
        self.proposals = SignedProposals(self.node_id)
        self.messages: list[tuple[bytes, m.AnyMessage]] = []
        self.reads: list[ReadState] = []
        self.evidence: list[Evidence] = []
        self.wanted: SnapshotWanted | None = None
        self.flying: tuple[Any, Any] | None = None
        self.disk_works = True
        self.executes = True
        self.proposes = True
        self.raft = Raft(
            node_id=self.node_id,
            settings=self.settings,
            storage=self.disk,
            configuration=self.configuration,
            applied=self.applied,
            proposals=self.proposals,
            random_ticks=lambda n: min(self.draw, n - 1),
        )

    @property
    def applied(self) -> int:
        return self.first + len(self.state.entries)

    @property
    def configuration(self) -> Configuration:
        configurations = self.state.configurations
        return configurations[-1] if configurations else self.genesis

    @property
    def executed(self) -> list[bytes]:
        return [logged.entry.data for logged in self.state.entries]

    def write_begins(self) -> bool:
        """Takes what is to be written; whether there is something."""
        unwritten = self.raft.take_unwritten()
        if unwritten is None:
            return False
        state = Executed(list(self.state.entries), list(self.state.configurations))
        self.flying = (unwritten, (self.first, state))
        return True

    def write_lands(self, *, heard: bool = True) -> None:
        """What was taken is on the disk. heard: the core is told."""
        assert self.flying is not None
        unwritten, self.kept = self.flying
        self.flying = None
        self.disk.write(unwritten)
        if heard:
            self.raft.persisted()

    def turn(self) -> bool:
        """Does once what there is to do; whether there was something."""
        ready = self.raft.ready(hand_out=self.executes)
        self.messages += [(outgoing.to, outgoing.message) for outgoing in ready.messages]
        self.reads += ready.reads
        self.evidence += ready.evidence
        self.wanted = ready.snapshot or self.wanted
        for logged in ready.committed:
            self.execute(logged)
        soft = ready.soft_state
        if soft is not None and soft.role is Role.LEADER and self.proposes:
            self.raft.propose(b"")
        busy = bool(ready.messages or ready.committed)
        if self.disk_works and self.flying is None and self.write_begins():
            self.write_lands()
            busy = True
        return busy

    def execute(self, logged: Logged) -> None:
        assert logged.entry.index == self.applied + 1, "executed in order, once"
        step = self.steps.get(logged.entry.data)
        self.state.entries.append(logged)
        self.state.configurations.append(self.configuration if step is None else step)
        if step is not None:
            self.state.configurations[-1] = step
        self.raft.applied_to(logged.entry.index)
        if step is not None:
            self.raft.adopt(step)

    def settle(self) -> list[tuple[bytes, m.AnyMessage]]:
        """Everything that can be done alone; the messages that came out."""
        for _ in range(TURNS_MAX):
            if not self.turn():
                break
        else:
            raise AssertionError("a node alone finds no rest")
        sent, self.messages = self.messages, []
        return sent

    def hear(self, sender: bytes, *messages: m.AnyMessage) -> list[tuple[bytes, m.AnyMessage]]:
        """Messages from `sender`; what is sent after each."""
        sent = []
        for message in messages:
            self.raft.step(sender, message)
            sent += self.settle()
        return sent

    def ticks(self, count: int) -> list[tuple[bytes, m.AnyMessage]]:
        """Time passes; what is sent."""
        sent = []
        for _ in range(count):
            self.raft.tick()
            sent += self.settle()
        return sent

    def lead(self) -> list[tuple[bytes, m.AnyMessage]]:
        """Is elected by everyone it asks; what it sends as leader."""
        self.raft.campaign()
        self.settle()
        sent = []
        for voter in self.raft.configuration.voting:
            if voter != self.node_id and self.raft.role is Role.PRE_CANDIDATE:
                sent += self.hear(voter, m.PreVoteReply(self.raft.term + 1, True))
        for voter in self.raft.configuration.voting:
            if voter != self.node_id and self.raft.role is Role.CANDIDATE:
                sent += self.hear(voter, m.VoteReply(self.raft.term, True))
        sent += self.settle()
        assert self.raft.role is Role.LEADER
        return sent

    def acknowledge(self, peer: bytes, index: int) -> list[tuple[bytes, m.AnyMessage]]:
        """The peer says that it holds the log up to `index`; what is sent then."""
        reply = m.AppendReply(self.raft.term, index, self.raft.entry(index).hash)
        return self.hear(peer, reply)

    def acknowledge_at(self, peer: bytes, index: int) -> list[tuple[bytes, m.AnyMessage]]:
        """The same where the log begins, whose entry is gone."""
        assert index == self.disk.start.index
        return self.hear(peer, m.AppendReply(self.raft.term, index, self.disk.start.hash))

    def propose(self, data: bytes, **step: bool) -> int:
        index = self.raft.propose(data, **step)
        assert not isinstance(index, ProposalRefused), index
        return index

    def load(self, other: "Node", index: int) -> bool:
        """Takes another node's state as of `index`, as a driver that fetched and checked it."""
        count = index - other.first
        wanted = EntryPoint(index, *_place(other.state.entries[count - 1]))
        configuration = other.state.configurations[count - 1]
        if not self.raft.install(wanted, configuration):
            return False
        entries, configurations = other.state.entries[:count], other.state.configurations[:count]
        self.first, self.state = other.first, Executed(list(entries), list(configurations))
        return True


def _place(logged: Logged) -> tuple[int, bytes]:
    return logged.entry.term, logged.hash


def of(kind: Any, sent: Sequence[tuple[bytes, m.AnyMessage]], to: bytes | None = None) -> list[Any]:
    """The messages of a kind, to anyone or to one node."""
    return [each for peer, each in sent if isinstance(each, kind) and to in (None, peer)]


class Cluster:
    """Nodes and the table between them. `queue` holds what is under way."""

    def __init__(self, configuration: Configuration = THREE, **options: Any) -> None:
        self.nodes = {
            node: Node(node, configuration, draw=place, **options)
            for place, node in enumerate(configuration.members)
        }
        self.queue: list[tuple[bytes, bytes, m.AnyMessage]] = []
        self.cut: set[tuple[bytes, bytes]] = set()
        self.down: set[bytes] = set()
        self.leaders: dict[int, bytes] = {}
        self.round_trips = 0
        self.copies = 1

    def __getitem__(self, node: bytes) -> Node:
        return self.nodes[node]

    def steps(self, **named: Configuration) -> None:
        """Entries that change the configuration when they are executed."""
        for node in self.nodes.values():
            node.steps |= {name.encode(): step for name, step in named.items()}

    def isolate(self, *nodes: bytes) -> None:
        """Cuts these off from all others, both ways."""
        for one in self.nodes:
            for other in self.nodes:
                if (one in nodes) != (other in nodes):
                    self.cut.add((one, other))

    def heal(self) -> None:
        self.cut.clear()
        for node in self.nodes.values():
            for other in self.nodes:
                if other != node.node_id:
                    node.raft.reconnected(other)
        self.settle()

    def settle(self) -> None:
        """Until nothing is under way."""
        for _ in range(TURNS_MAX):
            for name, node in self.nodes.items():
                if name not in self.down:
                    self.queue += [(name, to, message) for to, message in node.settle()]
                    self.observe(node)
            if not self.queue:
                return
            under_way, self.queue = self.queue, []
            self.round_trips += 1
            for sender, to, message in under_way:
                self.deliver(sender, to, message)
        raise AssertionError("the cluster finds no rest")

    def deliver(self, sender: bytes, to: bytes, message: m.AnyMessage) -> None:
        if to in self.nodes and to not in self.down and (sender, to) not in self.cut:
            for _ in range(self.copies):
                self.nodes[to].raft.step(sender, message)

    def observe(self, node: Node) -> None:
        """What must hold after every step."""
        raft = node.raft
        if raft.role is Role.LEADER:
            assert self.leaders.setdefault(raft.term, node.node_id) == node.node_id
        assert raft.compacted_index <= raft.applied_index <= raft.commit_index <= raft.last_index

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            for name, node in self.nodes.items():
                if name not in self.down:
                    node.raft.tick()
            self.settle()

    def elect(self, name: bytes) -> Node:
        """Makes a node campaign now; it must win."""
        self.nodes[name].raft.campaign()
        self.settle()
        assert self.nodes[name].raft.role is Role.LEADER
        return self.nodes[name]

    def until_leader(self, ticks: int = 100) -> Node:
        """Lets time pass until somebody who is not cut off leads."""
        for _ in range(ticks):
            for name, node in self.nodes.items():
                if name not in self.down and node.raft.role is Role.LEADER:
                    return node
            self.tick()
        raise AssertionError("nobody leads")

    def write(self, leader: Node, *data: bytes) -> None:
        for each in data:
            leader.propose(each)
            self.settle()

    def change(self, leader: Node, name: str) -> None:
        """Proposes a step and lets it be executed everywhere."""
        leader.propose(name.encode(), changes_configuration=True)
        self.settle()

    def restart(self, name: bytes) -> None:
        """The process ends and starts again from its disk."""
        self.down.discard(name)
        self.nodes[name].boot()

    def agree(self, *names: bytes) -> None:
        """The states of these nodes, or of all, are prefixes of one."""
        logs = [self.nodes[name].executed for name in names or self.nodes]
        longest = max(logs, key=len)
        for log in logs:
            assert log == longest[: len(log)]
