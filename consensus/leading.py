"""A leader's work in one term: proposals, answers, heartbeats, and handing the term over.

1. It appends to its own log only (Raft §5.3, leader append-only) and commits by counting copies of
   an entry of its own term (`consensus.replication`).
2. It leads no longer than a quorum was heard from within an election timeout (thesis §6.2), or than
   a quorum takes its clock for right.
3. A configuration step waits until an entry of this term is committed (P28) and every earlier step
   is executed (P30): so an append that carries a step carries the commit of the step before it.
4. Leadership is handed over when the target's log is whole (thesis §3.10). Meanwhile nothing is
   proposed; after an election timeout the transfer is over (P13).
5. A leader that votes no more hands over to the best voter, then steps down (Raft §6, P31).
"""

from consensus import messages as m
from consensus.log import Log
from consensus.outbox import Outbox
from consensus.progress import Flow, Progress
from consensus.quorum import is_lost, is_quorum
from consensus.reads import Reads
from consensus.ready import ProposalRefused, Proposals, TransferRefused
from consensus.replication import Replicator
from consensus.settings import Settings
from consensus.types import Configuration, Entry, Logged, NodeId, RaftIndex, Term

ENTRY_FRAME_BYTES = 64
"""What an entry is counted for beside its data, as in `consensus.log.data_bytes`."""


class Leading:
    """One term of leading; it ends with the term, or when a method says that it is over.

    transferee: who is to lead next, None unless a transfer runs.
    uncommitted_bytes: of this term's own entries that are not committed.
    """

    __slots__ = (
        "_configuration",
        "_first_own",
        "_last_step",
        "_log",
        "_node_id",
        "_outbox",
        "_proposals",
        "_reads",
        "_refused_early",
        "_replicator",
        "_settings",
        "_since_heartbeat",
        "_since_renewal",
        "_term",
        "_transfer_ticks",
        "transferee",
        "uncommitted_bytes",
    )

    def __init__(
        self,
        *,
        node_id: NodeId,
        term: Term,
        settings: Settings,
        configuration: Configuration,
        log: Log,
        outbox: Outbox,
        proposals: Proposals,
        reads: Reads,
    ) -> None:
        """The term is won; the first heartbeats go at once."""
        self._node_id = node_id
        self._term = term
        self._settings = settings
        self._configuration = configuration
        self._log = log
        self._outbox = outbox
        self._proposals = proposals
        self._reads = reads
        self._replicator = Replicator(node_id, term, log, settings, configuration)
        self._refused_early: set[NodeId] = set()
        self._first_own = log.last + 1
        self._last_step = log.last
        self._since_heartbeat = 0
        self._since_renewal = 0
        self._transfer_ticks = 0
        self.transferee: NodeId | None = None
        self.uncommitted_bytes = 0
        reads.lead()
        self._heartbeat()

    @property
    def peers(self) -> dict[NodeId, Progress]:
        """What is known of every other member, to be read only."""
        return self._replicator.peers

    # Proposals.

    def propose(
        self, data: bytes, *, changes_configuration: bool, applied: int
    ) -> RaftIndex | ProposalRefused:
        """Appends an entry of this term and sends it on; its index."""
        if self.transferee is not None:
            return ProposalRefused("transferring", self._node_id)
        if changes_configuration and not self._may_step(applied):
            return ProposalRefused("change-pending", self._node_id)
        size = len(data) + ENTRY_FRAME_BYTES
        if self.uncommitted_bytes and (
            self.uncommitted_bytes + size > self._settings.uncommitted_bytes_max
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
        self.uncommitted_bytes += size
        if changes_configuration:
            self._last_step = RaftIndex(index)
        self._spread()
        return RaftIndex(index)

    def _may_step(self, applied: int) -> bool:
        """Whether a configuration step may be proposed; any inherited entry may have been one."""
        return self._committed_own and applied >= self._last_step

    @property
    def _committed_own(self) -> bool:
        return self._log.commit >= self._first_own

    def advance_commit(self) -> bool:
        """Commits what can be, and says so to everyone at once."""
        before = self._log.commit
        if not self._replicator.maybe_commit():
            return False
        first = max(before + 1, self._first_own)
        self.uncommitted_bytes -= self._log.size_of(first, self._log.commit)
        self._spread(even_empty=True)
        self.begin_reads()
        return True

    # Time.

    def tick(self) -> bool:
        """One tick has passed; False if this term of leading is over."""
        self._replicator.tick()
        if self._settings.check_quorum and not is_quorum(
            self._configuration, self._replicator.active()
        ):
            return False
        if self.transferee is not None and not self._tick_transfer():
            return False
        self._since_renewal += 1
        if self._since_renewal >= self._settings.election_ticks:
            self._since_renewal = 0
            self._refused_early.clear()
            for peer, progress in self.peers.items():
                if progress.flow is Flow.SNAPSHOT:
                    self._outbox.send(peer, self._replicator.offer(peer))
        self._since_heartbeat += 1
        if self._since_heartbeat >= self._settings.heartbeat_ticks:
            self._since_heartbeat = 0
            self._heartbeat()
            self._tell_transferee()
        return True

    def _heartbeat(self) -> None:
        for peer in self.peers:
            commit = self._replicator.heartbeat_commit(peer)
            self._outbox.send(peer, m.Heartbeat(self._term, commit, self._reads.round))

    # Peers.

    def reconnected(self, peer: NodeId) -> None:
        """Messages to the peer may be lost: it is probed anew, or offered again."""
        if peer not in self.peers:
            return
        self.peers[peer].lost()
        if self.peers[peer].flow is Flow.SNAPSHOT:
            self._outbox.send(peer, self._replicator.offer(peer))
        else:
            self._feed(peer, even_empty=True)

    def unreachable(self, peer: NodeId) -> None:
        """Messages to the peer are being lost: it is probed from the next heartbeat on."""
        if peer in self.peers:
            self.peers[peer].lost()

    def answered(
        self, sender: NodeId, message: m.AppendReply | m.AppendRefused | m.HeartbeatReply
    ) -> bool:
        """A peer's answer in this term; False if this term of leading is over."""
        if sender not in self.peers:
            return True
        progress = self.peers[sender]
        progress.silent_ticks = 0
        match message:
            case m.AppendReply():
                self._acknowledged(sender, progress, message)
            case m.AppendRefused() if message.early:
                self._refused_early.add(sender)
                progress.lost()
                return not is_lost(self._configuration, self._refused_early)
            case m.AppendRefused():
                agree = self._log.newest_at_most(index=message.hint_index, term=message.hint_term)
                if progress.refused(previous_index=message.previous_index, agree_index=agree.index):
                    self._feed(sender)
            case _:
                progress.heard()
                self._reads.answered(sender, message.round)
                self._finish_reads()
                if progress.match < self._log.last or progress.flow is Flow.PROBE:
                    self._feed(sender, even_empty=progress.flow is Flow.PROBE)
        return True

    def _acknowledged(self, sender: NodeId, progress: Progress, reply: m.AppendReply) -> None:
        """The peer's log is as said: believed if this log has the same hash there (P18).

        With another hash at the same index and term, an earlier leader signed two logs (A1): where
        they part is not known, but not before that leader's term, so the peer is fed from there.
        Who was probed while others committed hears of that now, not with the next heartbeat.
        """
        if reply.index < self._log.compacted.index:
            if progress.flow is Flow.SNAPSHOT and reply.index >= progress.offered:
                self._outbox.send(sender, self._replicator.offer(sender))
            return
        point = self._log.point(reply.index)
        if point is None:
            return
        if point.hash != reply.hash:
            agree = self._log.newest_at_most(index=reply.index, term=point.term - 1)
            if progress.refused(previous_index=reply.index, agree_index=agree.index):
                self._feed(sender)
            return
        self._refused_early.discard(sender)
        late = progress.flow is not Flow.REPLICATE and self._committed_own
        progress.acknowledged(reply.index)
        if not self.advance_commit():
            self._feed(sender, even_empty=late)
        if sender == self.transferee:
            self._tell_transferee()

    def _spread(self, *, even_empty: bool = False) -> None:
        for peer in self.peers:
            self._feed(peer, even_empty=even_empty)

    def _feed(self, peer: NodeId, *, even_empty: bool = False) -> None:
        """Sends what the peer's window has room for."""
        while True:
            message = self._replicator.next_message(peer, even_empty=even_empty)
            if message is None:
                return
            self._outbox.send(peer, message)
            if not (isinstance(message, m.Append) and message.entries):
                return
            even_empty = False

    def adopt(self, configuration: Configuration) -> bool:
        """Another configuration is in force; False if this term of leading is over.

        Quorums may be easier now: commit and reads are looked at again.
        """
        self._configuration = configuration
        self._replicator.adopt(configuration)
        self._refused_early.intersection_update(configuration.members)
        if self.transferee not in configuration.voting:
            self.transferee = None
        self.advance_commit()
        self._finish_reads()
        return self._votes or self.transferee is not None or self._hand_over()

    # Handing over.

    @property
    def _votes(self) -> bool:
        return self._node_id in self._configuration.voting

    def transfer(self, target: NodeId) -> TransferRefused | None:
        """Begins to hand over to a voter; None if it runs now."""
        if target == self._node_id:
            return TransferRefused("itself")
        if target not in self._configuration.voting:
            return TransferRefused("not-a-voter")
        if self.transferee not in (None, target):
            return TransferRefused("transferring")
        if not self._outbox.understands(target, m.TimeoutNow):
            return TransferRefused("too-old")
        if self.transferee is None:
            self.transferee = target
            self._transfer_ticks = 0
            self._feed(target)
            self._tell_transferee()
        return None

    def _hand_over(self) -> bool:
        """Hands over to the voter whose log is longest; whether there is one that can be told."""
        ticks = self._settings.election_ticks
        able = [
            (not self.peers[peer].is_active(ticks), -self.peers[peer].match, peer)
            for peer in self._configuration.voting
            if self._outbox.understands(peer, m.TimeoutNow)
        ]
        return bool(able) and self.transfer(min(able)[2]) is None

    def _tick_transfer(self) -> bool:
        """The transfer is over after an election timeout; whether this node leads on."""
        self._transfer_ticks += 1
        if self._transfer_ticks < self._settings.election_ticks:
            return True
        self.transferee = None
        return self._votes

    def _tell_transferee(self) -> None:
        """Tells the target to campaign, if its log is whole; again with each heartbeat."""
        if self.transferee is None or self.peers[self.transferee].match < self._log.last:
            return
        signature = self._proposals.sign_transfer(term=self._term, target=self.transferee)
        self._outbox.send(self.transferee, m.TimeoutNow(self._term, signature))

    # Reads (thesis §6.4).

    def begin_reads(self) -> None:
        """Starts a round once an entry of this term is committed (P48)."""
        if self._committed_own and self._reads.begin(self._log.commit):
            self._heartbeat()
            self._finish_reads()

    def _finish_reads(self) -> None:
        if self._reads.finish(self._configuration, term=self._term):
            self.begin_reads()
