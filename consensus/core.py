"""The Raft state machine: roles, terms and votes here, each role's work in the modules beside it.

| from          | on                                             | to                          |
|---------------|------------------------------------------------|-----------------------------|
| follower      | election timeout, may campaign                 | pre-candidate               |
| follower      | its leader hands over to it                    | candidate, term + 1         |
| pre-candidate | a quorum would vote for it                     | candidate, term + 1         |
| candidate     | a quorum's votes, its own durable among them   | leader                      |
| any           | a higher term                                  | follower of that term       |
| (pre-)candidate | append or heartbeat of its term; outvoted    | follower                    |
| leader        | no quorum heard from in an election timeout    | follower of the same term   |
| leader        | a quorum finds its clock ahead                 | follower of the same term   |
| leader        | it votes no more, and has handed over          | follower of the same term   |

The term only rises, and with a new term the vote is empty; stepping down within a term keeps the
vote (P3). Both are handed to the driver to be durable before any message that rests on them.

Membership changes by joint consensus (Raft §6): the voters C, then C and C' jointly, then C'. The
paper puts a configuration in force when its entry is appended; here `adopt` does, once the entry
has *executed*, so an uncommitted step is never in force anywhere (P29). That is as safe, because

1. a node campaigns only after executing all it knows committed (`_may_campaign`),
2. a step is proposed only after the step before has executed (`consensus.leading`, rule 3), so
   every append with the entry that leaves C+C' also carries a commit index at or above the entry
   that entered it, and that index is durable in the write with the entry (`consensus.outbox`),
3. quorums of neighbours (C and C+C', C+C' and C') always share a node.

Were a leader elected by C alone while C' alone commits: the leaving entry is committed, so it is on
a majority of C. One of the voters has it, so the candidate has it too (§5.4.1), so by 2 it knows
that the entering entry is committed, so by 1 it campaigns in C+C', against what was assumed. The
same holds for any two configurations that are further apart, one step after another.
"""

from consensus import messages as m
from consensus.elections import LATE_WAITS, Ballot, stale_answer
from consensus.leading import Leading
from consensus.ready import (
    NOTHING,
    ProposalRefused,
    Ready,
    SoftState,
    TransferRefused,
    Unwritten,
)
from consensus.state import State
from consensus.types import (
    Configuration,
    EntryPoint,
    Logged,
    NodeId,
    RaftIndex,
    Role,
    Term,
)

TERMS_AHEAD_MAX = 1_000_000
"""How far a message's term may be above this node's; beyond it, it is no honest node's."""


class Raft(State):
    """One node's part in agreeing on one log. `consensus` (the package) says how to drive it."""

    # Inputs.

    def tick(self) -> None:
        """One tick has passed."""
        if self._leading is not None:
            if not self._leading.tick():
                self._become_follower(self._term, None)
        elif self._timer.tick():
            self._timer.restart(self._draw())
            self.campaign()
        self._reads.tick()

    def campaign(self) -> None:
        """The election timeout is over: no leader is known, and this node may ask to be one.

        A candidate whose own vote is not durable by then has a disk that stalls: it waits, and does
        not drive the others' terms up (P47).
        """
        if self._leading is not None:
            return
        self._leader = None
        self._reads.refuse_all(term=self._term)
        stalled = self._role is Role.CANDIDATE and not self._durable_vote()
        if stalled or not self._may_campaign():
            return
        if not self._settings.pre_vote:
            self._stand()
            return
        self._role = Role.PRE_CANDIDATE
        self._ballot = Ballot(granted={self._node_id})
        if self._ballot.won(self._configuration):
            self._stand()
            return
        request = m.PreVoteRequest(
            Term(self._term + 1), self._log.last, self._log.last_term, self._proposals.now_ms()
        )
        for voter in self._other_voters():
            self._send(voter, request)

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
            case m.Append() | m.Heartbeat() | m.SnapshotOffer():
                if self._follow(sender):
                    self._receive(sender, message)
            case m.AppendReply() | m.AppendRefused() | m.HeartbeatReply():
                if self._leading is not None and not self._leading.answered(sender, message):
                    self._become_follower(self._term, None)
            case m.ReadRequest():
                self._receive_read(sender, message.token)
            case m.ReadReply():
                self._reads.replied(message)
            case _:
                self._receive_timeout_now(sender, message)

    def propose(
        self, data: bytes, *, changes_configuration: bool = False
    ) -> RaftIndex | ProposalRefused:
        """Appends an entry of this node's term, if it leads; its index.

        The index is no promise: the entry may be replaced by another leader's.
        changes_configuration: whether `adopt` may follow from executing it (Raft §6).
        """
        if self._leading is None:
            return ProposalRefused("not-leader", self._leader)
        return self._leading.propose(
            data, changes_configuration=changes_configuration, applied=self._applied
        )

    def read_index(self, token: int) -> None:
        """Asks for an index as of which a read is linearizable; the answer is a `ReadState`."""
        if self._leading is not None:
            self._receive_read(None, token)
        else:
            self._reads.ask(token, leader=self._leader, term=self._term)

    def reconnected(self, peer: NodeId) -> None:
        """The connection to a peer is new, so messages before it may be lost."""
        if self._leading is not None:
            self._leading.reconnected(peer)

    def unreachable(self, peer: NodeId) -> None:
        """Messages to the peer are being lost: a leader sends it one append a heartbeat until it
        answers (P23)."""
        if self._leading is not None:
            self._leading.unreachable(peer)

    def forget_leader(self) -> None:
        """Whoever led is known to be gone, say because its connection ended: a follower names no
        leader any more, and so does not refuse who asks for votes (thesis §4.2.3).

        Term and vote stay, and its wait for a leader goes on. It follows the first that it hears.
        """
        if self._role is Role.FOLLOWER and self._leader is not None:
            self._leader = None
            self._reads.refuse_all(term=self._term)

    def set_election_timeout(self, ticks: int) -> None:
        """The present wait for a leader ends `ticks` after it began; the next is drawn again.

        For scripts and tests, which want to say who is patient. ticks: at least 1.
        """
        if ticks < 1:
            raise ValueError("an election timeout has at least one tick")
        self._timer.limit = ticks

    def peer_version(self, peer: NodeId, version: int) -> None:
        """The peer speaks this version of the messages (`consensus.messages`)."""
        self._outbox.learn_version(peer, version)

    def persisted(self) -> None:
        """What `take_unwritten` returned is durable."""
        self._outbox.landed()
        if self._role is Role.CANDIDATE and self._durable_vote():
            self._ballot.record(self._node_id, granted=True)
            self._maybe_lead()
        elif self._leading is not None:
            self._leading.advance_commit()

    def applied_to(self, index: int) -> None:
        """Entries up to `index`, as handed out, are executed."""
        assert self._applied <= index <= self._handed_out, "executed what was not handed out"
        self._applied = RaftIndex(index)

    def adopt(self, configuration: Configuration) -> None:
        """The entry just executed puts another configuration in force (Raft §6).

        To be called right after `applied_to`, before any other input. It also names the learners
        to serve from now on: a node that left the voters belongs among them for as long as it needs
        something from here.
        """
        assert self._configuration.may_become(configuration), "one change at a time (P30)"
        self._configuration = configuration
        if self._leading is not None and not self._leading.adopt(configuration):
            self._become_follower(self._term, None)

    def transfer(self, target: NodeId) -> TransferRefused | None:
        """As leader, hands over to `target` (thesis §3.10); None if that runs now.

        Proposals are refused meanwhile. It ends with another term, or after an election timeout.
        """
        if self._leading is None:
            return TransferRefused("not-leader")
        return self._leading.transfer(target)

    def abdicate(self) -> None:
        """Stop leading within the term: this node's disk stalls, or it shuts down (P47)."""
        if self._leading is not None:
            self._become_follower(self._term, None)

    def compact(self, index: int) -> None:
        """Entries up to `index` are not needed any more (Raft §7), and leave the store with the
        next write; what is not durable yet stays. index: at most `applied_index`.
        """
        assert index <= self._applied, "only what is executed is compacted"
        self._log.compact(index)

    def install(self, point: EntryPoint, configuration: Configuration) -> bool:
        """The driver has the state as of `point`, from elsewhere and checked (Raft §7, P41).

        point: a committed place. configuration: the one in force there (P33).
        False: the driver was there already, and nothing changes (P38). Otherwise everything up to
        `point` counts as executed: it is never handed out again, and what was handed out of it is
        not to be executed any more. The log keeps what follows `point` if it holds `point`, else it
        begins there. Term and vote stay (P39). The state and what `take_unwritten` says next belong
        in one write (P40).
        """
        if point.index <= self._applied:
            return False
        if point.index > self._log.commit:
            if self._role is not Role.FOLLOWER:
                self._become_follower(self._term, None)
            if self._log.point(point.index) == point:
                self._log.commit_to(point.index)
            else:
                self._log.restart(point)
        assert self._log.hash_at(point.index) == point.hash, "two committed entries for one index"
        self._applied = RaftIndex(point.index)
        self._handed_out = max(self._handed_out, self._applied)
        self._configuration = configuration
        if self._leading is not None:
            if not self._leading.adopt(configuration):
                self._become_follower(self._term, None)
        elif self._leader is not None:
            self._send_durably(self._leader, m.AppendReply(self._term, point.index, point.hash))
        return True

    # Outputs.

    def take_unwritten(self) -> Unwritten | None:
        """What must be durable next, None if nothing or if a write is under way.

        Ends with `persisted()`, or with the end of this node.
        """
        return self._outbox.take_unwritten(self._hard_state())

    def ready(self, *, hand_out: bool = True) -> Ready:
        """What can be carried out now. hand_out: whether the driver has room for more entries."""
        following = self._following
        messages = self._outbox.take()
        committed = self._take_committed() if hand_out else ()
        reads = self._reads.take()
        soft = self._soft_state()
        if not (messages or committed or reads or soft or following.evidence or following.wanted):
            return NOTHING
        ready = Ready(messages, committed, reads, tuple(following.evidence), soft, following.wanted)
        following.evidence = []
        following.wanted = None
        return ready

    def _soft_state(self) -> SoftState | None:
        """What this node does, if that is not what `ready` said last."""
        told = self._told
        if (told.role, told.term, told.leader) == (self._role, self._term, self._leader):
            return None
        self._told = SoftState(self._role, self._term, self._leader)
        return self._told

    # Terms and roles.

    def _settle_term(self, sender: NodeId, message: m.AnyMessage) -> bool:
        """Compares terms (Raft §5.1); whether the message still has to be looked at."""
        if message.term > self._term + TERMS_AHEAD_MAX:
            return False
        asks = isinstance(message, m.PreVoteRequest | m.VoteRequest)
        if asks and message.term > self._term and self._is_shielded(sender, message):
            return False
        if message.term > self._term:
            promised = isinstance(message, m.PreVoteReply) and message.granted
            if not isinstance(message, m.PreVoteRequest) and not promised:
                leads = isinstance(message, m.Append | m.Heartbeat | m.SnapshotOffer | m.TimeoutNow)
                self._become_follower(Term(message.term), sender if leads else None)
        elif message.term < self._term:
            answer = stale_answer(self._term, message)
            if answer is not None:
                self._send(sender, answer)
            return False
        return True

    def _is_shielded(self, asker: NodeId, request: m.AnyMessage) -> bool:
        """Whether a leader is alive, so that nobody else may ask for votes (thesis §4.2.3)."""
        if not self._settings.check_quorum or self._leader is None or self._leader == asker:
            return False
        heard = self._timer.elapsed < self._settings.election_ticks
        return (self._leading is not None or heard) and not self._is_told(asker, request)

    def _is_told(self, asker: NodeId, request: m.AnyMessage) -> bool:
        """Whether this node's own leader told the asker to campaign: only its signature counts
        (thesis §4.2.3, P14)."""
        return (
            isinstance(request, m.TransferVoteRequest)
            and self._leader is not None
            and request.term == self._term + 1
            and self._proposals.check_transfer(
                leader=self._leader, term=self._term, target=asker, signature=request.signature
            )
        )

    def _become_follower(self, term: Term, leader: NodeId | None) -> None:
        """A follower that only learns of a term waits on: who asks in vain must not keep others
        from asking (Raft §5.2 restarts the wait for a leader or a granted vote)."""
        if term > self._term:
            self._term = term
            self._vote = None
        if self._role is not Role.FOLLOWER or leader is not None:
            self._timer.restart(self._draw())
        self._role = Role.FOLLOWER
        self._leading = None
        if leader != self._leader:
            self._leader = leader
            self._reads.refuse_all(term=self._term)

    def _follow(self, sender: NodeId) -> bool:
        """The sender leads this term; False if another already does, which nobody honest claims,
        or if it was caught in a lie."""
        if self._leading is not None or self._leader not in (None, sender):
            return False
        if not self._following.trusts(self._term):
            return False
        if self._leader is None:
            self._become_follower(self._term, sender)
        self._timer.heard()
        return True

    def _receive(self, sender: NodeId, message: m.Append | m.Heartbeat | m.SnapshotOffer) -> None:
        match message:
            case m.Append():
                self._following.receive_append(sender, message)
            case m.Heartbeat():
                self._following.receive_heartbeat(sender, message)
            case _:
                self._following.receive_offer(sender, message)

    # Elections (Raft §5.2; `consensus.elections`).

    def _may_campaign(self) -> bool:
        """It votes, and has executed all it knows committed: rule 1 of changing members."""
        return self._node_id in self._configuration.voting and self._applied == self._log.commit

    def _stand(self, signature: bytes | None = None) -> None:
        """Becomes a candidate; its own vote counts, and its requests leave, once durable.

        signature: of the leader that told it to.
        """
        assert self._may_campaign(), "no candidate has anything left to execute"
        self._term = Term(self._term + 1)
        self._vote = self._node_id
        self._role = Role.CANDIDATE
        self._leader = None
        self._ballot = Ballot()
        self._timer.restart(self._draw())
        asked = (self._term, self._log.last, self._log.last_term, self._proposals.now_ms())
        request: m.VoteRequest = (
            m.VoteRequest(*asked) if signature is None else m.TransferVoteRequest(*asked, signature)
        )
        for voter in self._other_voters():
            self._send_durably(voter, request)

    def _receive_timeout_now(self, sender: NodeId, message: m.TimeoutNow) -> None:
        """The leader hands over: campaign at once, without asking first (thesis §3.10)."""
        if sender != self._leader or not self._may_campaign():
            return
        if self._proposals.check_transfer(
            leader=sender, term=self._term, target=self._node_id, signature=message.signature
        ):
            self._reads.refuse_all(term=self._term)
            self._stand(message.signature)

    def _other_voters(self) -> tuple[NodeId, ...]:
        return tuple(node for node in self._configuration.voting if node != self._node_id)

    def _durable_vote(self) -> bool:
        durable = self._outbox.durable
        return durable.term == self._term and durable.vote == self._node_id

    def _may_elect(self, last_index: int, last_term: int, time_ms: int) -> bool:
        """The log and the clock of whoever asks are good enough to lead this node (rule 5)."""
        if not self._log.is_up_to_date(last_index=last_index, last_term=last_term):
            return False
        if self._proposals.is_early(time_ms):
            return False
        return self._timer.waits >= LATE_WAITS or not self._proposals.is_late(time_ms)

    def _answer_pre_vote(self, sender: NodeId, request: m.PreVoteRequest) -> None:
        granted = request.term > self._term and self._may_elect(
            request.last_index, request.last_term, request.time_ms
        )
        self._send(sender, m.PreVoteReply(request.term if granted else self._term, granted))

    def _answer_vote(self, sender: NodeId, request: m.VoteRequest) -> None:
        """Also a node that does not know that it votes is asked, and answers (P32)."""
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
        self._timer.heard()
        self._leading = Leading(
            node_id=self._node_id,
            term=self._term,
            settings=self._settings,
            configuration=self._configuration,
            log=self._log,
            outbox=self._outbox,
            proposals=self._proposals,
            reads=self._reads,
        )

    def _receive_read(self, asker: NodeId | None, number: int) -> None:
        self._reads.accept(asker, number, leads=self._leading is not None, term=self._term)
        if self._leading is not None:
            self._leading.begin_reads()

    # Execution.

    def _take_committed(self) -> tuple[Logged, ...]:
        """The next entries to execute, at most committed_bytes_max of them, one at least."""
        if self._handed_out >= self._log.commit:
            return ()
        entries = self._log.committed_after(
            self._handed_out, bytes_max=self._settings.committed_bytes_max
        )
        self._handed_out = RaftIndex(entries[-1].entry.index)
        return entries
