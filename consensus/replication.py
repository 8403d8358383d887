"""The log's two sides: what a follower does with an append, and how a leader spreads its log.

Follower (Raft §5.3): an append counts if the log holds its previous entry. Entries that are there
already stay (P15), a conflicting suffix goes unless it is committed (P20), and the answer speaks of
no more than the message proved (P16).

Leader: entries flow to each peer within a window (`consensus.progress`); an index is committed once
a quorum holds it durably and it is of the leader's own term (Raft §5.4.2, P1).
"""

from dataclasses import dataclass
from enum import Enum

from consensus.log import Log, data_bytes
from consensus.messages import ENTRIES_MAX, Append
from consensus.progress import Flow, Progress
from consensus.quorum import quorum_index
from consensus.ready import CommittedReplaced, Equivocation, Evidence, Proposals, Verdict
from consensus.settings import Settings
from consensus.types import Configuration, Entry, Logged, NodeId, RaftIndex, Term


class Answer(Enum):
    """What a follower makes of an append."""

    MATCHED = "matched"
    MISSING_PREVIOUS = "missing previous"
    EARLY = "early"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Received:
    """The outcome of an append. index: how far the log matches the leader's; 0 unless MATCHED."""

    answer: Answer
    index: RaftIndex = RaftIndex(0)
    evidence: Evidence | None = None


def receive_append(log: Log, proposals: Proposals, sender: NodeId, append: Append) -> Received:
    """Lets an append of the current term's leader into the log, as far as it holds."""
    if append.previous_index < log.commit:
        known = log.term_at(append.previous_index)
        if known is not None and known != append.previous_term:
            return Received(Answer.IGNORED)
    previous_term = log.term_at(append.previous_index)
    if previous_term is None or previous_term != append.previous_term:
        if append.previous_index <= log.commit:
            return Received(Answer.MATCHED, log.commit)
        return Received(Answer.MISSING_PREVIOUS)
    index = append.previous_index
    for place, entry in enumerate(append.entries):
        if entry.index != index + 1 or entry.term > append.term:
            return Received(Answer.IGNORED)
        if entry.index > log.last or log.term_at(entry.index) != entry.term:
            return _extend(log, proposals, sender, append, place)
        if not _is_same(log, entry):
            return _refuse_second(log, proposals, entry)
        index += 1
    log.commit_to(min(append.commit, index))
    return Received(Answer.MATCHED, RaftIndex(index))


def _is_same(log: Log, entry: Entry) -> bool:
    return log.get(entry.index).entry == entry


def _refuse_second(log: Log, proposals: Proposals, entry: Entry) -> Received:
    """Another entry for a (term, index) that is taken: its signature decides what it is (A1)."""
    kept = log.get(entry.index).entry
    previous_hash = log.hash_at(entry.index - 1)
    if kept.proposer != entry.proposer or kept.data == entry.data:
        return Received(Answer.IGNORED)
    if proposals.check(entry, previous_hash) is Verdict.FORGED:
        return Received(Answer.IGNORED)
    evidence = Equivocation(kept, entry, previous_hash, previous_hash)
    return Received(Answer.IGNORED, evidence=evidence)


def _extend(log: Log, proposals: Proposals, sender: NodeId, append: Append, place: int) -> Received:
    """Appends the entries from `place` on, replacing a suffix that conflicts with them."""
    entries = append.entries[place:]
    first = entries[0].index
    logged: list[Logged] = []
    previous_hash = log.hash_at(first - 1)
    verdict = Verdict.ACCEPT
    for number, entry in enumerate(entries):
        foreign = entry.term == append.term and entry.proposer != sender
        if entry.index != first + number or entry.term > append.term or foreign:
            return Received(Answer.IGNORED)
        verdict = proposals.check(entry, previous_hash)
        if verdict is Verdict.EARLY and entry.index <= append.commit:
            verdict = Verdict.ACCEPT
        if verdict is not Verdict.ACCEPT:
            break
        previous_hash = proposals.entry_hash(entry, previous_hash)
        logged.append(Logged(entry, previous_hash))
    if not logged:
        return Received(Answer.EARLY if verdict is Verdict.EARLY else Answer.IGNORED)
    if first <= log.commit:
        kept = log.get(first).entry
        return Received(Answer.IGNORED, evidence=CommittedReplaced(sender, kept, entries[0]))
    if first <= log.last:
        log.truncate(first)
    log.append(logged)
    log.commit_to(min(append.commit, log.last))
    return Received(Answer.MATCHED, log.last)


class Replicator:
    """A leader's view of everyone else, and its own log as one of the copies."""

    __slots__ = (
        "_configuration",
        "_log",
        "_own_id",
        "_settings",
        "_term",
        "peers",
        "refused_early",
    )

    def __init__(
        self, own_id: NodeId, term: Term, log: Log, settings: Settings, configuration: Configuration
    ) -> None:
        self._own_id = own_id
        self._term = term
        self._log = log
        self._settings = settings
        self._configuration = configuration
        self.peers: dict[NodeId, Progress] = {}
        self.refused_early: set[NodeId] = set()
        self.adopt(configuration)

    def adopt(self, configuration: Configuration) -> None:
        """Another configuration is in force; peers that stay keep their progress."""
        self._configuration = configuration
        self.peers = {
            node: self.peers.get(node) or Progress(next_index=self._log.last + 1)
            for node in configuration.members
            if node != self._own_id
        }

    def next_append(self, peer: NodeId, *, even_empty: bool = False) -> Append | None:
        """The next append for a peer, None if nothing may or needs to go.

        even_empty: an append without entries too, which carries the commit index.
        """
        progress = self.peers[peer]
        if progress.flow is Flow.BEHIND:
            return None
        previous = self._log.point(progress.next - 1)
        if previous is None:
            progress.behind()
            return None
        entries: tuple[Entry, ...] = ()
        if self._log.last >= progress.next and progress.may_send(
            messages_max=self._settings.in_flight_messages_max,
            bytes_max=self._settings.in_flight_bytes_max,
        ):
            entries = self._slice(progress.next)
        if not entries and not even_empty:
            return None
        if entries:
            size = data_bytes(entries)
            progress.sent(last_index=entries[-1].index, size_bytes=size)
        return Append(self._term, previous.index, previous.term, entries, self._log.commit)

    def _slice(self, first: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        size = 0
        for index in range(first, min(self._log.last, first + ENTRIES_MAX - 1) + 1):
            entry = self._log.get(index).entry
            size += len(entry.data)
            if entries and size > self._settings.append_bytes_max:
                break
            entries.append(entry)
        return tuple(entries)

    def maybe_commit(self) -> bool:
        """Commits what a quorum holds durably, own copy included only as far as it is (P22)."""
        match = {node: progress.match for node, progress in self.peers.items()}
        match[self._own_id] = self._log.stable
        index = quorum_index(self._configuration, match)
        if index <= self._log.commit or self._log.term_at(index) != self._term:
            return False
        return self._log.commit_to(index)

    def heartbeat_commit(self, peer: NodeId) -> RaftIndex:
        """How far the peer may be told to commit: what it is known to hold (P19)."""
        return min(self._log.commit, self.peers[peer].match)

    def take_active(self) -> set[NodeId]:
        """Who was heard from since the last time, this node included (CheckQuorum)."""
        active = {node for node, progress in self.peers.items() if progress.active}
        for progress in self.peers.values():
            progress.active = False
        return active | {self._own_id}
