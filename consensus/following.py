"""What a follower does with what its leader sends: appends, heartbeats, snapshot offers.

1. An append counts if the log holds its previous entry (Raft §5.3). Entries that are there already
   stay (P15), a conflicting suffix goes unless it is committed (P20), and the answer speaks of no
   more than the message proved (P16).
2. What carries no entry commits only up to an entry of the leader's own term: then the whole log
   up to there is the leader's (log matching, Raft §5.3), whatever a heartbeat says (P19), and
   whatever an earlier leader signed twice (A1). Entries prove the log before them by their hashes.
3. An offer of what is committed here already is answered and changes nothing (P38); else the
   driver is asked to fetch the state.
4. A leader that signed two logs, would take back an entry of its own term (leader append-only,
   Raft §5.3) or would replace a committed one, replaces nothing; once that is proved, it is not
   followed for the rest of its term (P20, A1, A12). Where an *earlier* leader signed two, the copy
   of the present one counts, so that those it divided meet again.
5. Before a suffix goes, each of its entries is compared with what would stand in its place: two
   signatures of one leader and term that exclude each other are evidence, and both are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from consensus import messages as m
from consensus.log import Log
from consensus.messages import Append
from consensus.ready import (
    CommittedReplaced,
    Equivocation,
    Evidence,
    Proposals,
    SnapshotWanted,
    Verdict,
)
from consensus.types import Entry, EntryPoint, Logged, NodeId, RaftIndex, Term


class Answer(Enum):
    """What a follower makes of an append."""

    MATCHED = "matched"
    MISSING_PREVIOUS = "missing previous"
    EARLY = "early"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Received:
    """The outcome of an append.

    index: how far the log matches the leader's, by index and term; 0 unless MATCHED. Whether it is
    equal, the leader tells by the hash in the answer.
    evidence: at most one piece for each term among the entries, and one for what is committed.
    """

    answer: Answer
    index: RaftIndex = RaftIndex(0)
    evidence: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class _Judged:
    """New entries with their hashes, up to the first that is not taken. verdict: on the last."""

    logged: list[Logged] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    verdict: Verdict = Verdict.ACCEPT


def receive_append(log: Log, proposals: Proposals, sender: NodeId, append: Append) -> Received:
    """Lets an append of the current term's leader into the log, as far as it holds."""
    previous_term = log.term_at(append.previous_index)
    if previous_term != append.previous_term:
        if append.previous_index > log.commit:
            return Received(Answer.MISSING_PREVIOUS)
        if previous_term is None:
            return Received(Answer.MATCHED, log.commit)
        return Received(Answer.IGNORED)
    index = append.previous_index
    term = append.previous_term
    for place, entry in enumerate(append.entries):
        if not _continues(entry, index=index, term=term, append=append):
            return Received(Answer.IGNORED)
        if not _holds(log, entry):
            return _extend(log, proposals, sender, append, place)
        index, term = entry.index, entry.term
    if append.entries or log.term_at(index) == append.term:
        log.commit_to(min(append.commit, index))
    return Received(Answer.MATCHED, RaftIndex(index))


def _continues(entry: Entry, *, index: int, term: int, append: Append) -> bool:
    """Whether an entry may stand after (index, term): no gap, and terms never fall."""
    return entry.index == index + 1 and term <= entry.term <= append.term


def _holds(log: Log, entry: Entry) -> bool:
    """Whether the log has this very entry; its signature also covers the log before it."""
    return entry.index <= log.last and log.get(entry.index).entry == entry


def _extend(log: Log, proposals: Proposals, sender: NodeId, append: Append, place: int) -> Received:
    """Appends the entries from `place` on, replacing a suffix that conflicts with them.

    A signature that does not fit is forged, or was made for another log before it: the answer names
    the place before, with this log's hash there, and the leader sees which.
    """
    entries = append.entries[place:]
    first = entries[0].index
    judged = _judge(log, proposals, sender, append, entries)
    if judged is None:
        return Received(Answer.IGNORED)
    logged, evidence = judged.logged, judged.evidence
    if first <= log.last and log.last_term >= append.term:
        return Received(Answer.IGNORED, evidence=tuple(evidence))
    if not logged:
        if judged.verdict is Verdict.EARLY:
            return Received(Answer.EARLY, evidence=tuple(evidence))
        return Received(Answer.MATCHED, RaftIndex(first - 1))
    if first <= log.commit:
        if all(found.refused != entries[0] for found in evidence):
            kept = log.get(first).entry
            before = log.hash_at(first - 1)
            evidence.append(CommittedReplaced(sender, kept, entries[0], before, before))
        return Received(Answer.IGNORED, evidence=tuple(evidence))
    if first <= log.last:
        log.truncate(first)
    log.append(logged)
    log.commit_to(min(append.commit, log.last))
    return Received(Answer.MATCHED, log.last, tuple(evidence))


def _judge(
    log: Log, proposals: Proposals, sender: NodeId, append: Append, entries: Sequence[Entry]
) -> _Judged | None:
    """Checks entries that this log does not hold, each on the one before, up to the first that is
    not taken. None: they are no log that the leader of this term could have."""
    judged = _Judged()
    index, term = entries[0].index - 1, entries[0].term
    previous_hash = log.hash_at(index)
    for entry in entries:
        foreign = entry.term == append.term and entry.proposer != sender
        if foreign or not _continues(entry, index=index, term=term, append=append):
            return None
        index, term = entry.index, entry.term
        verdict = proposals.check(entry, previous_hash)
        judged.verdict = verdict
        if verdict is Verdict.FORGED:
            break
        logged = Logged(entry, proposals.entry_hash(entry, previous_hash))
        found = _signed_twice(log, logged, previous_hash)
        if found is not None and (not judged.evidence or judged.evidence[-1].refused.term != term):
            judged.evidence.append(found)
        if verdict is Verdict.EARLY and entry.index > append.commit:
            break
        judged.logged.append(logged)
        previous_hash = logged.hash
    return judged


def _signed_twice(log: Log, logged: Logged, previous_hash: bytes) -> Equivocation | None:
    """What this log holds of the same leader and term that excludes an entry (A1).

    That is another entry at its index, or one right after it that does not build on it. The
    signatures of both are good.
    """
    entry = logged.entry
    if entry.index > log.last or log.hash_at(entry.index) == logged.hash:
        return None
    for index in range(entry.index, min(entry.index + 1, log.last) + 1):
        kept = log.get(index).entry
        if (kept.term, kept.proposer) == (entry.term, entry.proposer):
            return Equivocation(kept, entry, log.hash_at(index - 1), previous_hash)
    return None


class Following:
    """A node's part as follower.

    send(to, message), send_durably(to, message): the second waits for all it rests on.
    evidence: what was found since the driver took it. wanted: the newest state to fetch.
    """

    __slots__ = (
        "_distrusted_term",
        "_log",
        "_proposals",
        "_send",
        "_send_durably",
        "evidence",
        "wanted",
    )

    def __init__(
        self,
        log: Log,
        proposals: Proposals,
        *,
        send: Callable[[NodeId, m.AnyMessage], None],
        send_durably: Callable[[NodeId, m.AnyMessage], None],
    ) -> None:
        self._log = log
        self._proposals = proposals
        self._send = send
        self._send_durably = send_durably
        self._distrusted_term: Term | None = None
        self.evidence: list[Evidence] = []
        self.wanted: SnapshotWanted | None = None

    def trusts(self, term: Term) -> bool:
        """Whether the leader of `term` was not caught in a lie."""
        return term != self._distrusted_term

    def receive_append(self, sender: NodeId, append: m.Append) -> None:
        """An append of the current term's leader."""
        received = receive_append(self._log, self._proposals, sender, append)
        self.evidence += received.evidence
        if received.evidence and received.answer is Answer.IGNORED:
            self._distrusted_term = Term(append.term)
        match received.answer:
            case Answer.MATCHED:
                self._acknowledge(sender, append.term, received.index)
            case Answer.MISSING_PREVIOUS | Answer.EARLY:
                hint = self._log.newest_at_most(
                    index=append.previous_index, term=append.previous_term
                )
                early = received.answer is Answer.EARLY
                self._send(
                    sender,
                    m.AppendRefused(
                        append.term, append.previous_index, hint.index, hint.term, early
                    ),
                )

    def receive_heartbeat(self, sender: NodeId, heartbeat: m.Heartbeat) -> None:
        """A heartbeat of the current term's leader."""
        if self._log.last_term == heartbeat.term:
            self._log.commit_to(min(heartbeat.commit, self._log.last))
        self._send(sender, m.HeartbeatReply(heartbeat.term, heartbeat.round))

    def receive_offer(self, sender: NodeId, offer: m.SnapshotOffer) -> None:
        """The current term's leader has compacted what this log lacks, as far as it knows.

        What the log holds already is committed by the offer, as Raft §7 says of a snapshot that
        describes a prefix of the log.
        """
        point = EntryPoint(offer.index, offer.entry_term, offer.hash)
        if offer.index <= self._log.commit:
            self._acknowledge(sender, offer.term, self._log.commit)
        elif self._log.point(offer.index) == point:
            self._log.commit_to(offer.index)
            self._acknowledge(sender, offer.term, RaftIndex(offer.index))
        else:
            self.wanted = SnapshotWanted(sender, point)

    def _acknowledge(self, leader: NodeId, term: int, index: RaftIndex) -> None:
        self._send_durably(leader, m.AppendReply(term, index, self._log.hash_at(index)))
