"""How a leader spreads its log: what goes to whom, and what is committed.

Entries flow to each peer within a window (`consensus.progress`); an index is committed once a
quorum holds it durably and it is of the leader's own term (Raft §5.3, §5.4.2, P1). A peer whose
next entry is compacted is offered the state where the log begins (Raft §7).
"""

from consensus.log import Log, data_bytes
from consensus.messages import ENTRIES_MAX, Append, SnapshotOffer
from consensus.progress import Flow, Progress
from consensus.quorum import quorum_index
from consensus.settings import Settings
from consensus.types import Configuration, Entry, NodeId, RaftIndex, Term


class Replicator:
    """A leader's view of everyone else, and its own log as one of the copies."""

    __slots__ = ("_configuration", "_log", "_own_id", "_settings", "_term", "peers")

    def __init__(
        self, own_id: NodeId, term: Term, log: Log, settings: Settings, configuration: Configuration
    ) -> None:
        self._own_id = own_id
        self._term = term
        self._log = log
        self._settings = settings
        self.peers: dict[NodeId, Progress] = {}
        self.adopt(configuration)

    def adopt(self, configuration: Configuration) -> None:
        """Another configuration is in force; peers that stay keep their progress."""
        self._configuration = configuration
        self.peers = {
            node: self.peers.get(node) or Progress(next_index=self._log.last + 1)
            for node in configuration.members
            if node != self._own_id
        }

    def next_message(self, peer: NodeId, *, even_empty: bool) -> Append | SnapshotOffer | None:
        """The next message for a peer, None if nothing may or needs to go.

        even_empty: an append without entries too, which carries the commit index.
        """
        progress = self.peers[peer]
        if progress.flow is Flow.SNAPSHOT:
            return None
        previous = self._log.point(progress.next - 1)
        if previous is None:
            return self.offer(peer)
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

    def offer(self, peer: NodeId) -> SnapshotOffer:
        """Offers the state where the log begins; no append goes until the peer is there."""
        start = self._log.compacted
        self.peers[peer].offer(start.index)
        return SnapshotOffer(self._term, start.index, start.term, start.hash)

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

    def tick(self) -> None:
        """One tick of silence for everyone."""
        for progress in self.peers.values():
            progress.silent_ticks += 1

    def active(self) -> set[NodeId]:
        """Who was heard from within an election timeout, this node included (CheckQuorum)."""
        ticks = self._settings.election_ticks
        return {node for node, each in self.peers.items() if each.is_active(ticks)} | {self._own_id}
