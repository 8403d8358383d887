"""One node of a cluster without replicas: the real core, a disk, and the duties of its driver.

Entries are short texts. Three mean something to the driver: the empty one with which a leader opens
its term, `enter a b c` (the voters are to be a, b and c: joint from here) and `leave` (only they
are). Everything else is executed by being remembered.

Nothing here draws a random number or reads a clock, and a driver can be pickled as it stands: the
exploration takes a node back to any state it was in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consensus import (
    Configuration,
    Entry,
    EntryPoint,
    Logged,
    NodeId,
    ProposalRefused,
    Raft,
    Role,
    Settings,
    SnapshotWanted,
)
from consensus.memory import MemoryStorage
from consensus.ready import Evidence, Outgoing, ReadState, Unwritten, Verdict


@dataclass(frozen=True, slots=True)
class Write:
    """A write under way. applied, configuration: as executed when it was taken."""

    unwritten: Unwritten
    applied: int
    configuration: Configuration


EMPTY = b""
ENTER = b"enter "
LEAVE = b"leave"


class Disk(MemoryStorage):
    """What is durable: the core's log and hard state, and with them what was executed."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.applied = 0
        self.configuration = configuration

    def land(self, write: Write) -> None:
        """One write, all of it."""
        self.write(write.unwritten)
        self.applied = write.applied
        self.configuration = write.configuration


def chained_hash(entry: Entry, previous_hash: Any) -> Any:
    """Stands in for a hash: the whole history itself, so that nothing ever collides."""
    return (previous_hash, entry.term, entry.proposer, entry.data)


@dataclass(slots=True)
class PlainProposals:
    """The `Proposals` port without cryptography.

    A signature is its signer's name and the history that it goes on from. clock_ms: this
    node's clock, set by hand; a candidate or an entry more than LEAD_MS ahead is early.
    """

    LEAD_MS = 2_000

    node_id: NodeId
    entry_hash: Callable[[Entry, Any], Any] = chained_hash
    clock_ms: int = 0

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> Any:
        return (self.node_id, previous_hash)

    def check(self, entry: Entry, previous_hash: bytes) -> Verdict:
        genuine: Any = (entry.proposer, previous_hash)
        return Verdict.ACCEPT if entry.signature == genuine else Verdict.FORGED

    def sign_transfer(self, *, term: int, target: NodeId) -> Any:
        return (self.node_id, term, target)

    def check_transfer(
        self, *, leader: NodeId, term: int, target: NodeId, signature: bytes
    ) -> bool:
        genuine: Any = (leader, term, target)
        return signature == genuine

    def now_ms(self) -> int:
        return self.clock_ms

    def is_early(self, time_ms: int) -> bool:
        return time_ms > self.clock_ms + self.LEAD_MS

    def is_late(self, time_ms: int) -> bool:
        return time_ms < self.clock_ms - self.LEAD_MS


@dataclass(slots=True)
class Done:
    """What one input to a node led to: for the network, for the checks, for the reader."""

    messages: list[Outgoing] = field(default_factory=list)
    executed: list[Logged] = field(default_factory=list)
    reads: list[ReadState] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    snapshot: SnapshotWanted | None = None


class Driver:
    """A node. `turn()` after every input carries out what the core has ready.

    slow_disk: a write stays under way until `land()`; otherwise it has landed at once.
    """

    def __init__(
        self,
        node_id: NodeId,
        configuration: Configuration,
        settings: Settings,
        random_ticks: Callable[[int], int],
        *,
        entry_hash: Callable[[Entry, Any], Any] = chained_hash,
    ) -> None:
        self.node_id = node_id
        self.settings = settings
        self.random_ticks = random_ticks
        self.proposals = PlainProposals(node_id, entry_hash)
        self.disk = Disk(configuration)
        self.slow_disk = False
        self.start()

    def start(self) -> None:
        """Begins, or begins again after a crash, from what is on disk."""
        self.under_way: Write | None = None
        self.opened_term = 0
        self.raft = Raft(
            node_id=self.node_id,
            settings=self.settings,
            storage=self.disk,
            configuration=self.disk.configuration,
            applied=self.disk.applied,
            proposals=self.proposals,
            random_ticks=self.random_ticks,
        )

    def turn(self) -> Done:
        """Carries out what is ready until nothing comes any more."""
        done = Done()
        while self._once(done):
            pass
        return done

    def _once(self, done: Done) -> bool:
        raft = self.raft
        if raft.role is Role.LEADER and self.opened_term != raft.term:
            self.opened_term = raft.term
            opened = raft.propose(EMPTY)
            assert not isinstance(opened, ProposalRefused), "a new leader may open its term"
        ready = raft.ready()
        done.messages += ready.messages
        done.reads += ready.reads
        done.evidence += ready.evidence
        done.snapshot = ready.snapshot or done.snapshot
        for logged in ready.committed:
            self._execute(logged)
        done.executed += ready.committed
        unwritten = raft.take_unwritten()
        if unwritten is not None:
            self.under_way = Write(unwritten, raft.applied_index, raft.configuration)
            if not self.slow_disk:
                self.land()
        return bool(unwritten is not None or ready.messages or ready.committed)

    def land(self) -> None:
        """The write under way is durable."""
        assert self.under_way is not None, "no write is under way"
        self.disk.land(self.under_way)
        self.under_way = None
        self.raft.persisted()

    def propose(self, data: bytes) -> int | ProposalRefused:
        """Proposes a text; what changes the configuration is proposed as such."""
        changes = data.startswith(ENTER) or data == LEAVE
        return self.raft.propose(data, changes_configuration=changes)

    def install(self, other: "Driver") -> bool:
        """Takes over the state of another node, as certified blocks would bring it."""
        index = other.raft.applied_index
        if index == other.disk.start.index:
            point = other.disk.start
        else:
            logged = other.raft.entry(index)
            point = EntryPoint(index, logged.entry.term, logged.hash)
        return self.raft.install(point, other.raft.configuration)

    def _execute(self, logged: Logged) -> None:
        self.raft.applied_to(logged.entry.index)
        before = self.raft.configuration
        after = step(before, logged.entry.data)
        if after != before:
            self.raft.adopt(after)


def step(configuration: Configuration, data: bytes) -> Configuration:
    """The configuration after an entry; a step that is not due has no effect.

    Who is a voter no more stays as a learner, and a learner that becomes a voter is none.
    """
    if data.startswith(ENTER) and not configuration.incoming:
        incoming = tuple(sorted(data.removeprefix(ENTER).split()))
        learners = tuple(node for node in configuration.learners if node not in incoming)
        return Configuration(configuration.voters, incoming, learners)
    if data == LEAVE and configuration.incoming:
        voters = configuration.incoming
        learners = [node for node in configuration.members if node not in voters]
        return Configuration(voters, (), tuple(learners))
    return configuration
