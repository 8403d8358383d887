"""Through everything a cluster can do within its bounds.

A state of the cluster is the states of its nodes, the letters that were ever sent, what was ever
decided, and what has been used up of the bounds. Any letter may arrive never, once or many times,
early or late: loss, duplication and reordering have no bound.

What is left out loses nothing:

* Of states that differ in names alone, one is explored.
* A state is skipped that another covers: the same nodes and history, no letter less, and no more
  used up. Whatever the one can come to, the other can. Hence the order: what has used up least is
  explored first, and of that what has most letters, so that few states are covered only later.
* A node that is down behaves like one that gets no letters, so a crash and the restart are one.
* A letter that can never lead to anything any more is forgotten; `check_spent` proves that it could
  not, over every step that was met.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from scenarios import words

from consensus import NodeId
from consensus.errors import LogBroken
from exhaustive import states as s
from exhaustive.bounds import NODES, Bounds
from exhaustive.mail import Mail
from exhaustive.numbered import Numbers
from exhaustive.renaming import Renaming, renamed
from exhaustive.states import bits

(
    ENTRIES,
    CRASHES,
    LATE,
    BEATS,
    LAPSES,
    TIMEOUTS,
    CHANGES,
    LEAVINGS,
    COMPACTIONS,
    TRANSFERS,
    READS,
) = range(11)
"""Places in what has been used up of the bounds."""

PLACES = 11

Used = tuple[int, ...]
Nodes = tuple[int, int, int]


class Broken(AssertionError):
    """An invariant does not hold; its text is the way that leads there."""


class TooMany(Exception):
    """There are more states than were to be explored."""


@dataclass(frozen=True, slots=True)
class History:
    """What was ever decided. leaders: of each term from 0. decided: the longest executed history.

    terms: for each of its entries a term in which it was executed first. asked: how many entries
    were decided when a read was asked for that has no answer yet; -1: none waits.
    """

    leaders: tuple[NodeId | None, ...]
    decided: bytes
    terms: tuple[int, ...]
    asked: int = -1


@dataclass(frozen=True, slots=True)
class Move:
    """One step: an input to a node, and whether its write stays under way."""

    who: int
    given: int
    late: bool


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration found: nothing broken. states: of clusters, none covering another then.

    leaders, decided: the most that were elected, and the most entries executed, on one way.
    """

    states: int
    moves: int
    node_states: int
    core_runs: int
    letters: int
    leaders: int
    decided: int


class Exploration:
    """One search. Raises Broken at the first state where an invariant does not hold."""

    def __init__(self, bounds: Bounds, *, deep: bool = False) -> None:
        """deep: the newest state first, which finds what is broken sooner, and more in vain."""
        self.bounds = bounds
        self._deep = deep
        self.states = s.States(bounds)
        self.mail = Mail(self.states)
        self.nodes = Numbers[Nodes]()
        self.used = Numbers[Used]()
        self.histories = Numbers[History]()
        self.history_images: list[tuple[int, ...]] = []
        self._orders: dict[Nodes, tuple[int, list[int]]] = {}
        self._worth: dict[Nodes, tuple[int, int]] = {}
        self._here: set[tuple[Nodes, int, int, int]] = set()
        self._agreed: set[tuple[int, int]] = set()
        self._spends: dict[tuple[int, int], bool] = {}
        self._most = (0, 0)
        self._found = [array("I") for _ in range(3)]
        self._letters: list[int] = []
        self._came_from = array("q")
        self._moves = array("q")
        self._renamings = bytearray()
        self._covered = bytearray()
        self._waiting: list[tuple[int, int, int]] = []
        self._trying = Move(0, 0, False)
        self._covering: dict[tuple[int, int], list[int]] = {}

    def run(self, *, states_max: int = 10**9) -> Explored:
        """Explores everything; TooMany if that is more than states_max states."""
        empty = History((None,) * (self.bounds.terms + 1), b"", ())
        used = self.used.of((0,) * PLACES)
        self._add(self.states.founding(), self._history(empty), used, 0, -1, None)
        explored = moves = 0
        while self._waiting:
            *_, state = heappop(self._waiting)
            if self._covered[state]:
                continue
            explored += 1
            if explored > states_max:
                raise TooMany(f"more than {states_max} states: {self.bounds}")
            for move, nodes, history, used, mail in self._tried(state):
                moves += 1
                self._add(nodes, history, used, mail, state, move)
        return Explored(
            explored,
            moves,
            len(self.states.facts),
            self.states.runs,
            len(self.states.letters),
            *self._most,
        )

    def _tried(self, state: int) -> Iterator[tuple[Move, Nodes, int, int, int]]:
        """The successors; what breaks, in an invariant or in the core, is told with the way."""
        try:
            yield from self.successors(state)
        except (AssertionError, LogBroken) as broken:
            raise Broken(f"{broken}\n{self.story(state)}") from broken

    def story(self, state: int) -> str:
        """The way from new nodes to a state, and the step that was tried there, in words."""
        way = []
        while self._came_from[state] >= 0:
            way.append((unpacked(self._moves[state]), self._renamings[state]))
            state = self._came_from[state]
        lines = []
        names = 0
        for move, renaming in reversed(way):
            lines.append(self._told(move, names))
            names = self.states.product(self.states.inverse[renaming], names)
        return "\n".join([*lines, self._told(self._trying, names)])

    def _told(self, move: Move, names: int) -> str:
        who = self.states.images[names][move.who].decode()
        late = ", its write under way" if move.late else ""
        if move.given < 0:
            return f"{who} {s.named(move.given)}{late}"
        sender, _, message = self.states.letters[self.states.letter_images[move.given][names]]
        return f"{sender.decode()} > {who}  {words.message(message)}{late}"

    def _add(
        self,
        nodes: Nodes,
        history: int,
        used: int,
        mail: int,
        parent: int,
        move: Move | None,
    ) -> None:
        """A state, unless it was here before or another covers it."""
        here = (nodes, history, used, mail)
        if here in self._here:
            return
        self._here.add(here)
        mail = self.mail.thinned(nodes, self._saturated(nodes, mail))
        order = self._orders.get(nodes)
        if order is None:
            order = self._orders[nodes] = self._order(nodes)
        kept, renamings = order
        images = [
            (self.history_images[history][each], self.mail.image(mail, each), each)
            for each in renamings
        ]
        history, mail, renaming = min(images)
        covering = self._covering.setdefault((kept, history), [])
        letters, found_used = self._letters, self._found[2]
        for other in covering:
            if mail & letters[other] == mail and self._covers(found_used[other], used):
                return
        new = len(self._came_from)
        still = []
        for other in covering:
            theirs = letters[other]
            if mail & theirs == theirs and self._covers(used, found_used[other]):
                self._covered[other] = 1
            else:
                still.append(other)
        covering[:] = [*still, new]
        self._covered.append(0)
        for found, value in zip(self._found, (kept, history, used), strict=True):
            found.append(value)
        self._letters.append(mail)
        self._came_from.append(parent)
        self._moves.append(0 if move is None else packed(move))
        self._renamings.append(renaming)
        rank = (0, -new) if self._deep else (sum(self.used.values[used]), -mail.bit_count())
        heappush(self._waiting, (*rank, new))

    def _covers(self, one: int, other: int) -> bool:
        """Whether no more is used up than in the other."""
        if one == other:
            return True
        known = self._spends.get((one, other))
        if known is None:
            pairs = zip(self.used.values[one], self.used.values[other], strict=True)
            known = self._spends[(one, other)] = all(mine <= theirs for mine, theirs in pairs)
        return known

    # Moves.

    def successors(self, state: int) -> Iterator[tuple[Move, Nodes, int, int, int]]:
        """Every state one step away, with the step."""
        place, history, used_number = (found[state] for found in self._found)
        nodes, used = self.nodes.values[place], self.used.values[used_number]
        mail = self._letters[state]
        for who, node in enumerate(nodes):
            for letter in bits(self.mail.moving(node, mail)):
                yield from self._steps(nodes, history, used, mail, who, letter)
        for who in range(len(NODES)):
            for given, after in self._inputs(used, self.states.facts[nodes[who]]):
                yield from self._steps(nodes, history, after, mail, who, given)

    def _saturated(self, nodes: Nodes, mail: int) -> int:
        """The letters, and all that arriving letters lead to without changing a node."""
        worthless = self._worthless(nodes)
        while True:
            sent = 0
            for node in nodes:
                sent |= self.mail.answers(node, mail)
            more = (mail | sent) & ~worthless
            if more == mail:
                return mail
            mail = more
            worthless = self._worthless(nodes)

    def _worthless(self, nodes: Nodes) -> int:
        """The letters that can lead to nothing any more, of all that there are by now."""
        known = self._worth.get(nodes)
        if known is None or known[0] != len(self.states.letters):
            one, other, last = nodes
            spent = self.mail.spent(one) | self.mail.spent(other) | self.mail.spent(last)
            known = self._worth[nodes] = (len(self.states.letters), spent)
        return known[1]

    def _inputs(self, used: Used, facts: s.Facts) -> Iterator[tuple[int, Used]]:
        bounds = self.bounds
        if facts.role == "leader":
            if used[ENTRIES] < bounds.entries:
                yield s.PROPOSE, spend(used, ENTRIES)
            if used[BEATS] < bounds.beats:
                yield s.BEAT, spend(used, BEATS)
            if bounds.target and not facts.joint and not used[CHANGES]:
                yield s.CHANGE, spend(used, CHANGES)
            if facts.joint and not used[LEAVINGS]:
                yield s.LEAVING, spend(used, LEAVINGS)
            if used[READS] < bounds.reads:
                yield s.READ, spend(used, READS)
            if used[TRANSFERS] < bounds.transfers:
                for place in range(len(NODES)):
                    yield s.TRANSFER - place, spend(used, TRANSFERS)
        elif facts.term < bounds.terms and used[TIMEOUTS] < bounds.timeouts:
            yield s.TIMEOUT, spend(used, TIMEOUTS)
        matters = facts.role == "leader" or bounds.settings.check_quorum
        if matters and used[LAPSES] < bounds.lapses:
            yield s.LAPSE, spend(used, LAPSES)
        if used[COMPACTIONS] < bounds.compactions:
            yield s.COMPACT, spend(used, COMPACTIONS)
        if facts.writing:
            yield s.LAND, used
        if used[CRASHES] < bounds.crashes:
            yield s.CRASH, spend(used, CRASHES)

    def _steps(
        self, nodes: Nodes, history: int, used: Used, mail: int, who: int, given: int
    ) -> Iterator[tuple[Move, Nodes, int, int, int]]:
        """The step, and the same with the write that it causes still under way."""
        number = used[ENTRIES] if given == s.PROPOSE else 0
        before = nodes[who]
        self._trying = Move(who, given, False)
        step = self.states.step(before, given, number=number)
        yield from self._after(nodes, history, used, mail, self._trying, step)
        if not self.bounds.late_writes:
            return
        was_writing = self.states.facts[before].writing and given != s.LAND
        if was_writing or used[LATE] < self.bounds.late_writes:
            self._trying = Move(who, given, True)
            step = self.states.step(before, given, number=number, late=True)
            if self.states.facts[step.state].writing:
                after = used if was_writing else spend(used, LATE)
                yield from self._after(nodes, history, after, mail, self._trying, step)

    def _after(
        self, nodes: Nodes, history: int, used: Used, mail: int, move: Move, step: s.Step
    ) -> Iterator[tuple[Move, Nodes, int, int, int]]:
        who = move.who
        if self.states.facts[step.state].term > self.bounds.terms:
            return
        if step.state == nodes[who]:
            after = nodes
        else:
            changed = list(nodes)
            changed[who] = step.state
            after = (changed[0], changed[1], changed[2])
        mail_after = (mail | step.letters) & ~self._worthless(after)
        if after == nodes and mail_after == mail:
            return
        history_after = self._judge(nodes, history, after, move, step)
        yield move, after, history_after, self.used.of(used), mail_after

    # Names.

    def _order(self, nodes: Nodes) -> tuple[int, list[int]]:
        """The number of the least image of three nodes, and the renamings that lead to it."""
        found: dict[Nodes, list[int]] = {}
        for renaming, images in enumerate(self.states.images):
            image = [0, 0, 0]
            for place, state in enumerate(nodes):
                image[NODES.index(images[place])] = self.states.state_images[state][renaming]
            found.setdefault((image[0], image[1], image[2]), []).append(renaming)
        least = min(found)
        return self.nodes.of(least), found[least]

    def _history(self, history: History) -> int:
        """The number of a history; its images are numbered with it."""
        number = self.histories.of(history)
        if number == len(self.history_images):
            all_words = self.states.histories.renamings
            orbit = [renamed_history(history, words) for words in all_words]
            for image in orbit:
                self.histories.of(image)
            for image in self.histories.values[number:]:
                images = [renamed_history(image, words) for words in all_words]
                self.history_images.append(tuple(self.histories.of(each) for each in images))
        return number

    # Invariants.

    def _judge(self, nodes: Nodes, number: int, after: Nodes, move: Move, step: s.Step) -> int:
        """Checks what a step led to; the history after it."""
        all_facts = self.states.facts
        who = move.who
        one, other = all_facts[nodes[who]], all_facts[step.state]
        history = changed = self.histories.values[number]
        if other.role == "leader" and history.leaders[other.term] != other.node:
            if history.leaders[other.term] is not None:
                raise Broken(f"election safety: two leaders in term {other.term}")
            leaders = list(history.leaders)
            leaders[other.term] = other.node
            changed = replace(history, leaders=tuple(leaders))
        for token in step.executed:
            changed = self._executed(changed, token, other.term)
        if move.given == s.READ:
            changed = replace(changed, asked=len(changed.terms))
        for index in step.reads:
            if 0 <= index < changed.asked:
                raise Broken(f"a read as of {index} misses what was decided before it was asked")
            changed = replace(changed, asked=-1)
        if other.applied != one.applied:
            self._installed(changed, other.applied)
        facts = [all_facts[each] for each in after]
        if other.role == "leader" == one.role and other.term == one.term:
            match_rises(one, other)
        if other.role == "leader" and other.committed > one.committed:
            committed_on_quorum(one, other, facts)
        for place, peer in enumerate(after):
            if place != who and (step.state, peer) not in self._agreed:
                agree(other, all_facts[peer])
                self._agreed.add((step.state, peer))
        if changed is history:
            return number
        for each in facts:
            if each.role == "leader":
                self._complete(changed, each)
        elected = sum(leader is not None for leader in changed.leaders)
        self._most = (max(self._most[0], elected), max(self._most[1], len(changed.terms)))
        return self._history(changed)

    def _executed(self, history: History, token: bytes, term: int) -> History:
        extends = self.states.histories.extends
        if history.decided and extends(history.decided, token):
            return history
        if not extends(token, history.decided or NO_TOKEN):
            raise Broken("state machine safety: two entries are executed at one index")
        return replace(history, decided=token, terms=(*history.terms, term))

    def _installed(self, history: History, token: bytes) -> None:
        """What counts as executed was decided; a state that is installed is no other."""
        if token and not self.states.histories.extends(history.decided, token):
            raise Broken("state machine safety: a state was installed that nobody decided")

    def _complete(self, history: History, leader: s.Facts) -> None:
        """A leader has every entry that was decided in an earlier term (Raft §5.4)."""
        token = history.decided
        for index in range(len(history.terms), 0, -1):
            if min(history.terms[index - 1 :]) < leader.term and (
                len(leader.log) < index or (leader.log[index - 1] or (0, token))[1] != token
            ):
                raise Broken(f"leader completeness: the leader of {leader.term} lacks {index}")
            token = self.states.histories.previous(token)

    def check_spent(self) -> int:
        """Proves that letters that were forgotten would have done nothing; the pairs looked at.

        A letter that is spent in a state changes and answers nothing there, and is spent after
        every step from it that was met.
        """
        pairs = 0
        spent: dict[int, int] = {}
        for state, after in list(self.states.edges()):
            if state not in spent:
                spent[state] = self.mail.spent(state)
                for letter in bits(spent[state]):
                    step = self.mail.arrived(state, letter)
                    assert step.state == state and not step.letters, self.states.letters[letter]
            lost = spent[state] & ~self.mail.spent(after)
            assert not lost, (self.states.facts[state], self.states.facts[after])
            pairs += spent[state].bit_count()
        return pairs

    def check_same(self) -> int:
        """Proves that letters of which one was kept for many lead to the same; the pairs looked at.

        After every step that was met from a state in which two letters are the same, they are the
        same again, or spent. They lead to one state; as long as they are known, each is answered
        as it was before, which was sent already, and later both are answered alike.
        """
        pairs = 0
        for state, after in sorted(set(self.states.edges())):
            for letters in self.mail.classes(state).values():
                first, *others = letters
                kept = self._led(state, after, first)
                for other in others:
                    pairs += 1
                    assert kept == self._led(state, after, other), self.states.facts[state]
        return pairs

    def _led(self, state: int, after: int, letter: int) -> tuple[object, ...]:
        """Where a letter leads one step later, and what it is answered beside what it was."""
        sender, _, message = self.states.letters[letter]
        facts = self.states.facts[after]
        step, before = self.mail.arrived(after, letter), self.mail.arrived(state, letter)
        worth = (
            None
            if s.is_spent(facts, message)
            else s.sameness(facts, message, sender, self.states.histories)
        )
        known = worth is not None and worth[0] == s.KNOWN
        said = step.letters ^ before.letters if known else step.letters
        return step.state, said, worth


NO_TOKEN = bytes(32)
"""The hash before the first entry."""


def packed(move: Move) -> int:
    """A move as a number."""
    return ((move.given + 16) * 2 + move.late) * 4 + move.who


def unpacked(number: int) -> Move:
    """The move of a number."""
    return Move(number % 4, number // 8 - 16, bool(number // 4 % 2))


def spend(used: Used, place: int) -> Used:
    """One more of what the bounds count."""
    return (*used[:place], used[place] + 1, *used[place + 1 :])


def renamed_history(history: History, words: Renaming) -> History:
    """The history with every name exchanged."""
    leaders = tuple(None if each is None else words[each] for each in history.leaders)
    return replace(history, leaders=leaders, decided=renamed(history.decided, words))


def agree(one: s.Facts, other: s.Facts) -> None:
    """Log matching (Raft §5.3), and no copy is counted that is not on disk."""
    for mine, theirs in zip(one.log, other.log, strict=False):
        if mine is not None and theirs is not None and mine[0] == theirs[0] and mine != theirs:
            raise Broken(f"log matching: two entries of term {mine[0]} at one index")
    for leader, peer in ((one, other), (other, one)):
        if leader.role == "leader" and peer.durable_term <= leader.term:
            match = dict(leader.match).get(peer.node, 0)
            if not held(peer, match, leader):
                raise Broken(f"the leader of {leader.term} counts a copy that is not on disk")


def held(peer: s.Facts, index: int, leader: s.Facts) -> bool:
    """Whether a peer has the leader's entry at an index on disk, or what was decided instead."""
    if not index:
        return True
    if len(peer.durable) < index:
        return False
    mine, theirs = leader.log[index - 1], peer.durable[index - 1]
    return mine is None or theirs is None or mine == theirs


def match_rises(before: s.Facts, after: s.Facts) -> None:
    """Within a term a leader never takes back what a peer acknowledged (P17)."""
    known = dict(after.match)
    for peer, match in before.match:
        if known.get(peer, match) < match:
            raise Broken(f"the leader of {after.term} lowers a match index")


def committed_on_quorum(before: s.Facts, after: s.Facts, nodes: list[s.Facts]) -> None:
    """What a leader commits is on the disks of a majority of every set in force, and ends with an
    entry of its own term (Raft §5.4.2)."""
    last = after.log[after.committed - 1]
    if last is not None and last[0] != after.term:
        raise Broken(f"the leader of {after.term} commits an entry of {last[0]} by its copies")
    holders = {each.node for each in nodes if held(each, after.committed, after)}
    for sets in (before.sets, after.sets):
        if all(2 * len(voters & holders) > len(voters) for voters in sets):
            return
    raise Broken("committed by what is on no majority's disks")
