"""The Raft state machine: roles and terms here, the arithmetic in the modules beside it.

| from          | on                                             | to                          |
|---------------|------------------------------------------------|-----------------------------|
| follower      | election timeout, may campaign                 | pre-candidate               |
| pre-candidate | a quorum would vote for it                     | candidate, term + 1         |
| candidate     | a quorum's votes, its own durable among them   | leader                      |
| any           | a higher term                                  | follower of that term       |
| (pre-)candidate | append or heartbeat of its term; outvoted    | follower                    |
| leader        | no quorum heard from in an election timeout    | follower of the same term   |
| leader        | a quorum finds its clock ahead                 | follower of the same term   |

The term only rises, and with a new term the vote is empty; stepping down within a term keeps the
vote (P3). Both are handed to the driver to be durable before any message that rests on them.
"""

from collections.abc import Callable

from consensus import messages as m
from consensus.elections import Ballot, ElectionTimer, stale_answer
from consensus.log import Log, LogStorage
from consensus.outbox import Outbox
from consensus.progress import Progress
from consensus.quorum import is_lost, is_quorum
from consensus.reads import Reads
from consensus.ready import (
    Evidence,
    ProposalRefused,
    Proposals,
    Ready,
    SoftState,
    Unwritten,
)
from consensus.replication import Answer, Replicator, receive_append
from consensus.settings import Settings
from consensus.types import (
    Configuration,
    Entry,
    HardState,
    Logged,
    NodeId,
    RaftIndex,
    Role,
    Term,
)


class Raft:
    """One node's part in agreeing on one log. `consensus` (the package) says how to drive it."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        settings: Settings,
        storage: LogStorage,
        configuration: Configuration,
        applied: int,
        proposals: Proposals,
        random_ticks: Callable[[int], int],
    ) -> None:
        """Starts as a follower from what is stored.

        configuration: the one in force after the entry `applied` was executed.
        applied: the last executed entry's index. random_ticks(n): a random integer, 0 ≤ x < n.
        Raises LogBroken if the storage contradicts itself.
        """
        hard = storage.hard_state()
        self._node_id = node_id
        self._settings = settings
        self._proposals = proposals
        self._random_ticks = random_ticks
        self._configuration = configuration
        self._term = Term(hard.term)
        self._vote = hard.vote
        self._durable = hard
        self._log = Log(
            storage,
            commit=max(hard.commit, applied),
            cached_bytes_max=settings.cached_bytes_max,
        )
        self._applied = RaftIndex(applied)
        self._handed_out = RaftIndex(applied)
        self._role = Role.FOLLOWER
        self._leader: NodeId | None = None
        self._ballot = Ballot()
        self._timer = ElectionTimer(self._draw())
        self._since_heartbeat = 0
        self._since_quorum_check = 0
        self._replicator: Replicator | None = None
        self._uncommitted_bytes = 0
        self._outbox = Outbox()
        self._flying_state: HardState | None = None
        self._reads = Reads(node_id, settings, self._outbox.send)
        self._evidence: list[Evidence] = []
        self._distrusted_term = Term(0)
        self._told = SoftState(Role.FOLLOWER, self._term, None)

    @property
    def role(self) -> Role:
        """What this node does in its term."""
        return self._role

    @property
    def term(self) -> Term:
        """The current term."""
        return self._term

    @property
    def vote(self) -> NodeId | None:
        """Whom this node voted for in the current term."""
        return self._vote

    @property
    def leader(self) -> NodeId | None:
        """The leader of the current term, as far as it is known."""
        return self._leader

    @property
    def commit_index(self) -> RaftIndex:
        """The last entry known to be committed."""
        return self._log.commit

    @property
    def applied_index(self) -> RaftIndex:
        """The last entry that the driver has executed."""
        return self._applied

    @property
    def last_index(self) -> RaftIndex:
        """The log's end."""
        return self._log.last

    @property
    def stable_index(self) -> RaftIndex:
        """The log's durable end."""
        return self._log.stable

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._configuration

    @property
    def uncommitted_bytes(self) -> int:
        """A leader's own proposals that are not committed, in bytes."""
        return self._uncommitted_bytes

    def progress(self, peer: NodeId) -> Progress | None:
        """What a leader knows of a peer, to be read only; None if this node does not lead."""
        return None if self._replicator is None else self._replicator.peers.get(peer)

    def entry(self, index: int) -> Logged:
        """The log's entry at `index`, which must be within it."""
        return self._log.get(index)

    # Inputs.

    def tick(self) -> None:
        """One tick has passed."""
        if self._role is Role.LEADER:
            self._tick_leader()
        elif self._timer.tick():
            self._timer.restart(self._draw())
            self._campaign()
        self._reads.tick()

    def step(self, sender: NodeId, message: m.AnyMessage) -> None:
        """A message from `sender`, who is authenticated and a member."""
        if not self._settle_term(sender, message):
            return
        match message:
            case m.PreVoteRequest():
                self._answer_pre_vote(sender, message)
            case m.VoteRequest():
                self._answer_vote(sender, message)
            case m.PreVoteReply():
                self._count_pre_vote(sender, message)
            case m.VoteReply():
                self._count_vote(sender, message)
            case m.Append():
                self._receive_append(sender, message)
            case m.Heartbeat():
                self._receive_heartbeat(sender, message)
            case m.AppendReply() | m.AppendRefused() | m.HeartbeatReply():
                if self._replicator is not None and sender in self._replicator.peers:
                    self._answered(self._replicator, sender, message)
            case m.ReadRequest():
                self._receive_read(sender, message.token)
            case m.ReadReply():
                self._reads.replied(message)

    def propose(self, data: bytes) -> RaftIndex | ProposalRefused:
        """Appends an entry of this node's term, if it leads; its index.

        The index is no promise: the entry may be replaced by another leader's.
        """
        if self._role is not Role.LEADER or self._replicator is None:
            return ProposalRefused("not-leader", self._leader)
        size = len(data) + 64
        if self._uncommitted_bytes and (
            self._uncommitted_bytes + size > self._settings.uncommitted_bytes_max
        ):
            return ProposalRefused("too-much-uncommitted", self._node_id)
        index = self._log.last + 1
        previous_hash = self._log.hash_at(self._log.last)
        signature = self._proposals.sign(
            term=self._term, index=index, previous_hash=previous_hash, data=data
        )
        entry = Entry(self._term, index, data, self._node_id, signature)
        entry_hash = self._proposals.entry_hash(entry, previous_hash)
        self._log.append([Logged(entry, entry_hash)])
        self._uncommitted_bytes += size
        self._spread(self._replicator)
        return RaftIndex(index)

    def read_index(self, token: int) -> None:
        """Asks for an index as of which a read is linearizable; the answer is a `ReadState`."""
        if self._role is Role.LEADER:
            self._receive_read(None, token)
        else:
            self._reads.ask(token, leader=self._leader, term=self._term)

    def reconnected(self, peer: NodeId) -> None:
        """The connection to a peer is new, so messages before it may be lost."""
        if self._replicator is not None and peer in self._replicator.peers:
            self._replicator.peers[peer].lost()
            self._send_append(self._replicator, peer, even_empty=True)

    def persisted(self) -> None:
        """What `take_unwritten` returned is durable."""
        self._outbox.write_landed()
        if self._flying_state is not None:
            self._durable = self._flying_state
            self._flying_state = None
        self._log.written()
        if self._role is Role.CANDIDATE and self._durable_vote():
            self._ballot.record(self._node_id, granted=True)
            self._maybe_lead()
        elif self._replicator is not None:
            self._advance_commit(self._replicator)

    def applied_to(self, index: int) -> None:
        """Entries up to `index`, as handed out, are executed."""
        assert self._applied <= index <= self._handed_out, "executed what was not handed out"
        self._applied = RaftIndex(index)

    def adopt(self, configuration: Configuration) -> None:
        """The executed entries put another configuration in force."""
        self._configuration = configuration
        if self._replicator is not None:
            self._replicator.adopt(configuration)
            self._advance_commit(self._replicator)

    def abdicate(self) -> None:
        """Stop leading within the term: this node's disk stalls, or it shuts down (P47)."""
        if self._role is Role.LEADER:
            self._become_follower(self._term, None)

    # Outputs.

    def take_unwritten(self) -> Unwritten | None:
        """What must be durable next, None if nothing or if a write is under way.

        Ends with `persisted()`, or with the end of this node.
        """
        if self._outbox.is_writing:
            return None
        hard = HardState(self._term, self._vote, self._log.commit)
        hard_news = hard != self._durable
        if not hard_news and not self._log.has_unwritten and not self._outbox.holds_any:
            return None
        entries = self._log.take_unwritten()
        self._outbox.write_begins()
        self._flying_state = hard if hard_news else None
        return Unwritten(self._flying_state, entries, self._log.last)

    def ready(self, *, hand_out: bool = True) -> Ready:
        """What can be carried out now. hand_out: whether the driver has room for more entries."""
        soft = SoftState(self._role, self._term, self._leader)
        ready = Ready(
            messages=self._outbox.take(),
            committed=self._take_committed() if hand_out else (),
            reads=self._reads.take(),
            evidence=tuple(self._evidence),
            soft_state=soft if soft != self._told else None,
        )
        self._told = soft
        self._evidence = []
        return ready

    # Terms and roles.

    def _settle_term(self, sender: NodeId, message: m.AnyMessage) -> bool:
        """Compares terms (Raft §5.1); whether the message still has to be looked at."""
        asks = isinstance(message, m.PreVoteRequest | m.VoteRequest)
        if asks and message.term > self._term and self._has_live_leader(sender):
            return False
        if message.term > self._term:
            promised = isinstance(message, m.PreVoteReply) and message.granted
            if not isinstance(message, m.PreVoteRequest) and not promised:
                leads = isinstance(message, m.Append | m.Heartbeat)
                self._become_follower(Term(message.term), sender if leads else None)
        elif message.term < self._term:
            answer = stale_answer(self._term, message)
            if answer is not None:
                self._send(sender, answer)
            return False
        return True

    def _has_live_leader(self, asker: NodeId) -> bool:
        if self._role is Role.LEADER:
            return True
        heard = self._timer.elapsed < self._settings.election_ticks
        return self._leader is not None and self._leader != asker and heard

    def _become_follower(self, term: Term, leader: NodeId | None) -> None:
        if term > self._term:
            self._term = term
            self._vote = None
        was_leader = self._replicator is not None
        self._role = Role.FOLLOWER
        self._replicator = None
        self._uncommitted_bytes = 0
        self._timer.restart(self._draw())
        if leader != self._leader or was_leader:
            self._leader = leader
            self._reads.refuse_all(term=self._term)

    def _campaign(self) -> None:
        """Asks whether it would be elected, if it votes and is up to date with itself."""
        if self._node_id not in self._configuration.voting or self._applied < self._log.commit:
            return
        self._role = Role.PRE_CANDIDATE
        self._leader = None
        self._reads.refuse_all(term=self._term)
        self._ballot = Ballot(granted={self._node_id})
        if self._ballot.won(self._configuration):
            self._stand()
            return
        request = m.PreVoteRequest(
            Term(self._term + 1), self._log.last, self._log.last_term, self._proposals.now_ms()
        )
        self._ask_voters(request, gated=False)

    def _stand(self) -> None:
        """Becomes a candidate; its own vote counts, and its requests leave, once durable."""
        self._term = Term(self._term + 1)
        self._vote = self._node_id
        self._role = Role.CANDIDATE
        self._leader = None
        self._ballot = Ballot()
        self._timer.restart(self._draw())
        request = m.VoteRequest(
            self._term, self._log.last, self._log.last_term, self._proposals.now_ms()
        )
        self._ask_voters(request, gated=True)

    def _ask_voters(self, request: m.AnyMessage, *, gated: bool) -> None:
        for voter in self._configuration.voting:
            if voter != self._node_id:
                if gated:
                    self._send_durably(voter, request)
                else:
                    self._send(voter, request)

    def _durable_vote(self) -> bool:
        return self._durable.term == self._term and self._durable.vote == self._node_id

    def _may_elect(self, last_index: int, last_term: int, time_ms: int) -> bool:
        good = self._log.is_up_to_date(last_index=last_index, last_term=last_term)
        return good and not self._proposals.is_early(time_ms)

    def _answer_pre_vote(self, sender: NodeId, request: m.PreVoteRequest) -> None:
        granted = request.term > self._term and self._may_elect(
            request.last_index, request.last_term, request.time_ms
        )
        self._send(sender, m.PreVoteReply(request.term if granted else self._term, granted))

    def _answer_vote(self, sender: NodeId, request: m.VoteRequest) -> None:
        free = self._vote == sender or (self._vote is None and self._leader is None)
        granted = free and self._may_elect(request.last_index, request.last_term, request.time_ms)
        if granted:
            self._vote = sender
            self._timer.restart(self._draw())
            self._send_durably(sender, m.VoteReply(self._term, True))
        else:
            self._send(sender, m.VoteReply(self._term, False))

    def _count_pre_vote(self, sender: NodeId, reply: m.PreVoteReply) -> None:
        if self._role is not Role.PRE_CANDIDATE:
            return
        if reply.granted and reply.term != self._term + 1:
            return
        self._ballot.record(sender, granted=reply.granted)
        if self._ballot.won(self._configuration):
            self._stand()
        elif self._ballot.lost(self._configuration):
            self._become_follower(self._term, None)

    def _count_vote(self, sender: NodeId, reply: m.VoteReply) -> None:
        if self._role is not Role.CANDIDATE:
            return
        self._ballot.record(sender, granted=reply.granted)
        self._maybe_lead()

    def _maybe_lead(self) -> None:
        if self._ballot.won(self._configuration) and self._durable_vote():
            self._lead()
        elif self._ballot.lost(self._configuration):
            self._become_follower(self._term, None)

    def _lead(self) -> None:
        """The term is won. The driver proposes an empty entry, so that old ones can commit (P1)."""
        self._role = Role.LEADER
        self._leader = self._node_id
        self._replicator = Replicator(
            self._node_id, self._term, self._log, self._settings, self._configuration
        )
        self._reads.lead()
        self._since_heartbeat = 0
        self._since_quorum_check = 0
        self._uncommitted_bytes = self._log.size_of(self._log.commit + 1, self._log.last)
        self._heartbeat(self._replicator)

    # A leader's work.

    def _tick_leader(self) -> None:
        assert self._replicator is not None
        self._since_heartbeat += 1
        self._since_quorum_check += 1
        if self._since_quorum_check >= self._settings.election_ticks:
            self._since_quorum_check = 0
            active = self._replicator.take_active()
            if not is_quorum(self._configuration, active):
                self._become_follower(self._term, None)
                return
            self._replicator.refused_early.clear()
        if self._since_heartbeat >= self._settings.heartbeat_ticks:
            self._since_heartbeat = 0
            self._heartbeat(self._replicator)

    def _heartbeat(self, replicator: Replicator) -> None:
        for peer in replicator.peers:
            commit = replicator.heartbeat_commit(peer)
            self._send(peer, m.Heartbeat(self._term, commit, self._reads.round))

    def _spread(self, replicator: Replicator, *, even_empty: bool = False) -> None:
        for peer in replicator.peers:
            self._send_append(replicator, peer, even_empty=even_empty)

    def _send_append(
        self, replicator: Replicator, peer: NodeId, *, even_empty: bool = False
    ) -> None:
        while True:
            append = replicator.next_append(peer, even_empty=even_empty)
            if append is None:
                return
            self._send(peer, append)
            if not append.entries:
                return
            even_empty = False

    def _answered(
        self,
        replicator: Replicator,
        sender: NodeId,
        message: m.AppendReply | m.AppendRefused | m.HeartbeatReply,
    ) -> None:
        progress = replicator.peers[sender]
        progress.active = True
        match message:
            case m.AppendReply():
                point = self._log.point(message.index)
                if point is None or point.hash != message.hash:
                    return
                replicator.refused_early.discard(sender)
                progress.acknowledged(message.index)
                if not self._advance_commit(replicator):
                    self._send_append(replicator, sender)
            case m.AppendRefused() if message.early:
                self._refused_as_early(replicator, sender)
            case m.AppendRefused():
                agree = self._log.newest_at_most(index=message.hint_index, term=message.hint_term)
                if progress.refused(previous_index=message.previous_index, agree_index=agree.index):
                    self._send_append(replicator, sender, even_empty=True)
            case m.HeartbeatReply():
                progress.heard()
                self._reads.answered(sender, message.round)
                self._finish_reads()
                if progress.match < self._log.last:
                    self._send_append(replicator, sender)

    def _refused_as_early(self, replicator: Replicator, sender: NodeId) -> None:
        """A leader whose clock a quorum finds ahead steps down."""
        replicator.refused_early.add(sender)
        replicator.peers[sender].lost()
        if is_lost(self._configuration, replicator.refused_early):
            self._become_follower(self._term, None)

    def _advance_commit(self, replicator: Replicator) -> bool:
        """Commits what can be, and says so to everyone at once."""
        before = self._log.commit
        if not replicator.maybe_commit():
            return False
        self._uncommitted_bytes -= self._log.size_of(before + 1, self._log.commit)
        self._spread(replicator, even_empty=True)
        self._begin_reads()
        return True

    # A follower's work.

    def _follow(self, sender: NodeId) -> bool:
        """The sender leads this term; False if another already does, which nobody honest claims."""
        if self._role is Role.LEADER or self._leader not in (None, sender):
            return False
        if self._role is not Role.FOLLOWER or self._leader is None:
            self._become_follower(self._term, sender)
        self._timer.elapsed = 0
        return True

    def _receive_append(self, sender: NodeId, append: m.Append) -> None:
        if not self._follow(sender) or self._distrusted_term == self._term:
            return
        received = receive_append(self._log, self._proposals, sender, append)
        if received.evidence is not None:
            self._evidence.append(received.evidence)
            self._distrusted_term = self._term
        match received.answer:
            case Answer.MATCHED:
                reply = m.AppendReply(self._term, received.index, self._log.hash_at(received.index))
                self._send_durably(sender, reply)
            case Answer.MISSING_PREVIOUS | Answer.EARLY:
                hint = self._log.newest_at_most(
                    index=append.previous_index, term=append.previous_term
                )
                early = received.answer is Answer.EARLY
                self._send(
                    sender,
                    m.AppendRefused(
                        self._term, append.previous_index, hint.index, hint.term, early
                    ),
                )

    def _receive_heartbeat(self, sender: NodeId, heartbeat: m.Heartbeat) -> None:
        if not self._follow(sender):
            return
        if heartbeat.commit <= self._log.last and self._distrusted_term != self._term:
            self._log.commit_to(heartbeat.commit)
        self._send(sender, m.HeartbeatReply(self._term, heartbeat.round))

    # Reads.

    def _receive_read(self, asker: NodeId | None, token: int) -> None:
        self._reads.accept(asker, token, leads=self._role is Role.LEADER, term=self._term)
        self._begin_reads()

    def _begin_reads(self) -> None:
        """Starts a round once an entry of this term is committed (P48)."""
        if self._replicator is None or self._log.term_at(self._log.commit) != self._term:
            return
        if self._reads.begin(self._log.commit):
            self._heartbeat(self._replicator)
            self._finish_reads()

    def _finish_reads(self) -> None:
        if self._reads.finish(self._configuration, term=self._term):
            self._begin_reads()

    # The drawer of messages and numbers.

    def _send(self, to: NodeId, message: m.AnyMessage) -> None:
        self._outbox.send(to, message)

    def _send_durably(self, to: NodeId, message: m.AnyMessage) -> None:
        """Sends once everything the message rests on is durable."""
        hard_news = (self._term, self._vote) != (self._durable.term, self._durable.vote)
        if self._outbox.is_writing and self._flying_state is not None and hard_news:
            hard_news = (self._term, self._vote) != (
                self._flying_state.term,
                self._flying_state.vote,
            )
        unwritten = hard_news or self._log.has_unwritten
        self._outbox.send_durably(to, message, unwritten=unwritten)

    def _take_committed(self) -> tuple[Logged, ...]:
        """The next entries to execute, at most committed_bytes_max of them, one at least."""
        entries = self._log.committed_after(
            self._handed_out, bytes_max=self._settings.committed_bytes_max
        )
        if entries:
            self._handed_out = RaftIndex(entries[-1].entry.index)
        return entries

    def _draw(self) -> int:
        """A new election timeout, in ticks (Raft §5.2)."""
        ticks = self._settings.election_ticks
        return ticks + self._random_ticks(ticks)
