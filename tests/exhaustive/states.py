"""The states of single nodes, numbered, and what each input makes of them.

A step of a cluster is a step of one node, and that depends on nothing but the node's own state and
the input. So the real core runs once for each pair of these that is ever met; everything else is
arithmetic on numbers. Of states that differ in names alone, the core runs for one.
"""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scenarios.driver import ENTER, LEAVE, Done, Driver

from consensus import NodeId, Role, SoftState, Term
from consensus import messages as m
from consensus.types import NO_HASH
from exhaustive.bounds import NODES, Bounds
from exhaustive.renaming import (
    HISTORIES,
    Histories,
    Renaming,
    Value,
    renamed,
    symmetries,
    token_of,
    value_of,
)

TIMEOUT, BEAT, LAPSE, LAND, CRASH, PROPOSE, CHANGE, LEAVING, COMPACT, READ = range(-1, -11, -1)
"""Inputs beside letters, which are numbered from 0."""

TRANSFER = -11
"""Handing over to the node at place p is the input TRANSFER - p."""


NAMES = {
    TIMEOUT: "times out",
    BEAT: "sends heartbeats",
    LAPSE: "hears nobody",
    LAND: "finishes a write",
    CRASH: "crashes and restarts",
    PROPOSE: "proposes an entry",
    CHANGE: "changes the voters",
    LEAVING: "leaves joint",
    COMPACT: "compacts its log",
    READ: "is asked for a read",
}


def named(given: int) -> str:
    """An input that is no letter, in words."""
    return NAMES.get(given, "hands over")


UNTOLD = SoftState(Role.FOLLOWER, Term(0), None)
"""What the drivers here make nothing of."""


def no_ticks(below: int) -> int:
    """Time is abstract: a timer runs out when the exploration says so."""
    return 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the invariants look at. Histories are tokens.

    log, durable: term and token by index from 1; None where it is compacted.
    match: each peer's match index, for a leader.
    """

    node: NodeId
    term: int
    role: str
    leader: NodeId | None
    committed: int
    applied: bytes
    log: tuple[tuple[int, bytes] | None, ...]
    durable: tuple[tuple[int, bytes] | None, ...]
    durable_term: int
    durable_commit: int
    match: tuple[tuple[NodeId, int], ...]
    sets: tuple[frozenset[NodeId], ...]
    joint: bool
    writing: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Where an input leads. letters: those that are sent, as bits. executed: tokens, in order.

    reads: the indexes that reads were given; -1 for one that was refused.
    """

    state: int
    letters: int
    executed: tuple[bytes, ...]
    reads: tuple[int, ...]


class States:
    """Numbers for the states of nodes and for letters, and the core that leads from one to another.

    Each state is known under all its names at once: `state_images[s][r]` is state s renamed by the
    renaming r; so are letters.
    """

    def __init__(self, bounds: Bounds, *, symmetric: bool = True) -> None:
        """symmetric: the core runs once for all that differs in names alone."""
        self.bounds = bounds
        self.images = symmetries(bounds) if symmetric else [NODES]
        self.inverse = [self._inverse(each) for each in self.images]
        self.histories = Histories(NODES, self.images)
        HISTORIES[:] = [self.histories]
        self.facts: list[Facts] = []
        self.state_images: list[tuple[int, ...]] = []
        self.letters: list[tuple[NodeId, NodeId, m.AnyMessage]] = []
        self.receiver: list[int] = []
        self.letters_to = [0 for _ in NODES]
        self.place: list[int] = []
        self.letter_images: list[tuple[int, ...]] = []
        self._state_of: dict[Value, int] = {}
        self._letter_of: dict[Value, int] = {}
        self._source: list[tuple[int, int]] = []
        self._pickled: dict[int, bytes] = {}
        self._live: tuple[int, Driver | None] = (-1, None)
        self._steps: dict[tuple[int, int, int, bool], Step] = {}
        self.runs = 0

    def _inverse(self, images: tuple[NodeId, ...]) -> int:
        back = tuple(NODES[images.index(node)] for node in NODES)
        return self.images.index(back)

    def product(self, first: int, second: int) -> int:
        """The renaming that does `first`, then `second`."""
        images = tuple(self.images[second][NODES.index(node)] for node in self.images[first])
        return self.images.index(images)

    def founding(self) -> tuple[int, ...]:
        """The states of new nodes."""
        return tuple(
            self._numbered(
                Driver(
                    node,
                    self.bounds.founding,
                    self.bounds.settings,
                    no_ticks,
                    entry_hash=token_of,
                )
            )
            for node in NODES
        )

    def step(self, state: int, given: int, *, number: int = 0, late: bool = False) -> Step:
        """What an input makes of a node. number: of an entry. late: its writes do not land."""
        key = (state, given, number, late)
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._step(*key)
        return step

    def edges(self) -> Iterator[tuple[int, int]]:
        """Every step of a node that was met: from where to where."""
        return ((key[0], step.state) for key, step in self._steps.items())

    def _step(self, state: int, given: int, number: int, late: bool) -> Step:
        source, renaming = self._source[state]
        if source == state:
            return self._run(state, given, number, late)
        back = self.inverse[renaming]
        there = self._renamed_input(given, back)
        step = self.step(source, there, number=number, late=late)
        words = self.histories.renamings[renaming]
        return Step(
            self.state_images[step.state][renaming],
            as_bits(self.letter_images[each][renaming] for each in bits(step.letters)),
            tuple(words[token] for token in step.executed),
            step.reads,
        )

    def _renamed_input(self, given: int, renaming: int) -> int:
        if given >= 0:
            return self.letter_images[given][renaming]
        if given <= TRANSFER:
            return TRANSFER - NODES.index(self.images[renaming][TRANSFER - given])
        return given

    def _run(self, state: int, given: int, number: int, late: bool) -> Step:
        self.runs += 1
        driver = self._driver(state)
        done = Done()
        self._feed(driver, given, number)
        self._turn(driver, done)
        while driver.under_way is not None and not late:
            driver.land()
            self._turn(driver, done)
        letters = [
            self._letter(driver.node_id, each.to, each.message)
            for each in done.messages
            if each.to in NODES
        ]
        executed = tuple(logged.hash for logged in done.executed)
        reads = tuple(-1 if read.index is None else int(read.index) for read in done.reads)
        after = self._numbered(driver)
        self._live = (after, driver)
        return Step(after, as_bits(letters), executed, reads)

    def _driver(self, state: int) -> Driver:
        """A node in a state: the one that ran last, if that is where it is, for most inputs change
        nothing; else a copy of the one that came there first."""
        now, driver = self._live
        if now != state or driver is None:
            driver = pickle.loads(self._pickled[state])
            driver.slow_disk = True
        self._live = (-1, None)
        return driver

    def _turn(self, driver: Driver, done: Done) -> None:
        """What is ready is carried out; a state that is wanted is there at once."""
        more = driver.turn()
        done.messages += more.messages
        done.executed += more.executed
        done.reads += more.reads
        while more.snapshot is not None:
            driver.raft.install(more.snapshot.point, self.bounds.founding)
            more = driver.turn()
            done.messages += more.messages
            done.executed += more.executed

    def _feed(self, driver: Driver, given: int, number: int) -> None:
        raft = driver.raft
        if given >= 0:
            sender, _, message = self.letters[given]
            raft.step(sender, message)
        elif given == TIMEOUT:
            raft._timer.elapsed = raft._timer.limit
            raft.tick()
        elif given == BEAT:
            raft._leading._since_heartbeat = driver.settings.heartbeat_ticks
            raft.tick()
        elif given == LAPSE:
            raft._timer.elapsed = driver.settings.election_ticks
            raft.abdicate()
        elif given == LAND:
            driver.land()
        elif given == CRASH:
            driver.start()
        elif given == READ:
            raft.read_index(0)
        elif given == COMPACT:
            raft.compact(raft.applied_index)
        elif given <= TRANSFER:
            raft.transfer(NODES[TRANSFER - given])
        else:
            data = {CHANGE: ENTER + b" ".join(self.bounds.target), LEAVING: LEAVE}
            driver.propose(data.get(given, b"%d" % number))

    def _numbered(self, driver: Driver) -> int:
        forget_time(driver, self.bounds)
        value = value_of(driver)
        state = self._state_of.get(value)
        if state is None:
            self._add_state(value, driver)
            state = self._state_of[value]
        return state

    def _add_state(self, value: Value, driver: Driver) -> None:
        """A state that is new under every name: all of them are numbered together."""
        facts = facts_of(driver)
        source = len(self._source)
        numbers = []
        for renaming, words in enumerate(self.histories.renamings):
            image = renamed(value, words)
            if image not in self._state_of:
                self._state_of[image] = len(self._source)
                self._source.append((source, renaming))
                self.facts.append(renamed_facts(facts, words))
                self.place.append(NODES.index(self.facts[-1].node))
            numbers.append(self._state_of[image])
        assert self._state_of[value] == source, "the first renaming changes nothing"
        self._pickled[source] = pickle.dumps(driver, pickle.HIGHEST_PROTOCOL)
        for state in range(source, len(self._source)):
            _, done = self._source[state]
            self.state_images.append(
                tuple(numbers[self.product(done, each)] for each in range(len(self.images)))
            )

    def _letter(self, sender: NodeId, to: NodeId, message: m.AnyMessage) -> int:
        value = value_of((sender, to, message))
        letter = self._letter_of.get(value)
        if letter is None:
            self._add_letter(sender, to, message)
            letter = self._letter_of[value]
        return letter

    def _add_letter(self, sender: NodeId, to: NodeId, message: m.AnyMessage) -> None:
        first = len(self.letters)
        numbers, made = [], []
        for renaming, words in enumerate(self.histories.renamings):
            image = (words[sender], words[to], renamed_message(message, words))
            value = value_of(image)
            if value not in self._letter_of:
                self._letter_of[value] = len(self.letters)
                self.letters.append(image)
                self.receiver.append(NODES.index(image[1]))
                self.letters_to[NODES.index(image[1])] |= 1 << (len(self.letters) - 1)
                made.append(renaming)
            numbers.append(self._letter_of[value])
        for done in made:
            self.letter_images.append(
                tuple(numbers[self.product(done, each)] for each in range(len(self.images)))
            )
        assert first + len(made) == len(self.letter_images)


def is_spent(facts: Facts, message: m.AnyMessage) -> bool:
    """Whether a message to this node can never lead to anything any more.

    An answer counts for who asked in that term, and a durable term is never gone back from.
    """
    term = facts.durable_term
    match message:
        case m.VoteReply():
            asks = facts.role == "candidate" and facts.term == message.term
            return message.term < term or (message.term == term and not asks)
        case m.PreVoteReply():
            return message.term < term or (message.term == term and message.granted)
        case m.AppendReply() | m.AppendRefused() | m.HeartbeatReply():
            asks = facts.role in ("candidate", "leader") and facts.term == message.term
            return message.term < term or (message.term == term and not asks)
    return False


KNOWN, LEFT_BEHIND = "known", "left behind"


def sameness(facts: Facts, message: m.AnyMessage, sender: NodeId, histories: Histories) -> Any:
    """What a message has in common with others that lead to the same from now on; None: nothing.

    What is of a term durably left behind is answered with the newer term, whatever it says. An
    append whose entries and commit are durable here, and a heartbeat alike, tells no more than
    that its sender leads; the answer to it has been sent before. (Answers stay the same only where
    no write is late and no log compacted; `Mail` knows.)
    """
    match message:
        case m.Append() | m.Heartbeat() | m.VoteRequest() if message.term < facts.durable_term:
            return (LEFT_BEHIND, sender, isinstance(message, m.VoteRequest))
        case m.Append() | m.Heartbeat() if facts.leader not in (None, sender):
            return None
        case m.Append() if message.term == facts.durable_term:
            if message.commit <= facts.durable_commit and is_durable(facts, message, histories):
                return (KNOWN, sender, message.term)
        case m.Heartbeat() if message.term == facts.durable_term:
            if message.commit <= facts.durable_commit:
                return (KNOWN, sender, message.term)
    return None


def is_durable(facts: Facts, append: m.Append, histories: Histories) -> bool:
    """Whether a node has the entry before an append, and all that the append brings, on disk."""
    first = append.previous_index
    before = facts.durable[first - 1] if 0 < first <= len(facts.durable) else None
    if first and (before is None or before[0] != append.previous_term):
        return False
    token = before[1] if before is not None else NO_HASH
    for place, entry in enumerate(append.entries, first):
        held = facts.durable[place] if place < len(facts.durable) else None
        if entry.signature != (entry.proposer, token):
            return False
        token = histories.token(entry, token)
        if held != (entry.term, token):
            return False
    return True


def rank(message: m.AnyMessage) -> tuple[Any, ...]:
    """An order of messages in which names do not matter."""
    numbers = [getattr(message, name) for name in message.__struct_fields__]
    entries = getattr(message, "entries", ())
    return (
        type(message).__name__,
        tuple(number for number in numbers if isinstance(number, int)),
        tuple((entry.term, entry.data) for entry in entries),
    )


def as_bits(letters: Iterable[int]) -> int:
    """A set of letters as the bits of an integer."""
    return sum(1 << letter for letter in set(letters))


def bits(letters: int) -> list[int]:
    """The places of the ones, rising."""
    places = []
    while letters:
        lowest = letters & -letters
        places.append(lowest.bit_length() - 1)
        letters ^= lowest
    return places


def forget_time(driver: Driver, bounds: Bounds) -> None:
    """Timers, and what no explored input looks at, are the same in every state."""
    raft = driver.raft
    lapsed = bounds.lapses and raft._timer.elapsed >= driver.settings.election_ticks
    raft._timer.elapsed = driver.settings.election_ticks if lapsed else 0
    raft._timer.limit = 2 * driver.settings.election_ticks
    raft._timer.waits = 0
    raft._told = UNTOLD
    leading = raft._leading
    if leading is not None:
        leading._since_heartbeat = leading._since_renewal = leading._transfer_ticks = 0
        for progress in leading.peers.values():
            progress.quiet_heartbeats = progress.silent_ticks = 0


def facts_of(driver: Driver) -> Facts:
    raft, disk = driver.raft, driver.disk
    start = raft.compacted_index
    log: list[tuple[int, bytes] | None] = [None] * start
    for index in range(start + 1, raft.last_index + 1):
        logged = raft.entry(index)
        log.append((logged.entry.term, logged.hash))
    if start:
        point = raft._log.compacted
        log[start - 1] = (point.term, point.hash)
    durable: list[tuple[int, bytes] | None] = [None] * disk.start.index
    for index in range(disk.start.index + 1, disk.last + 1):
        durable.append((disk.entries[index].entry.term, disk.entries[index].hash))
    applied = log[raft.applied_index - 1] if raft.applied_index else (0, b"")
    assert applied is not None, "what is executed last is known"
    configuration = raft.configuration
    progress = [(peer, raft.progress(peer)) for peer in NODES]
    return Facts(
        node=driver.node_id,
        term=raft.term,
        role=raft.role.value,
        leader=raft.leader,
        committed=raft.commit_index,
        applied=applied[1],
        log=tuple(log),
        durable=tuple(durable),
        durable_term=disk.hard.term,
        durable_commit=disk.hard.commit,
        match=tuple((peer, known.match) for peer, known in progress if known is not None),
        sets=tuple(map(frozenset, filter(None, (configuration.voters, configuration.incoming)))),
        joint=bool(configuration.incoming),
        writing=driver.under_way is not None,
    )


def renamed_facts(facts: Facts, words: Renaming) -> Facts:
    fields: list[Any] = [renamed(getattr(facts, name), words) for name in Facts.__slots__]
    return Facts(*fields)


def renamed_message(message: m.AnyMessage, words: Renaming) -> m.AnyMessage:
    """The message between renamed nodes."""
    fields = {
        name: _renamed_field(getattr(message, name), words) for name in message.__struct_fields__
    }
    return type(message)(**fields)


def _renamed_field(held: Any, words: Renaming) -> Any:
    if isinstance(held, tuple):
        return tuple(_renamed_field(each, words) for each in held)
    if hasattr(held, "__struct_fields__"):
        return renamed_message(held, words)
    return renamed(held, words)
