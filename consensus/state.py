"""What one node holds, and what can be read of it after every step."""

from collections.abc import Callable

from consensus import messages as m
from consensus.elections import Ballot, ElectionTimer
from consensus.errors import LogBroken
from consensus.following import Following
from consensus.leading import Leading
from consensus.log import Log, LogStorage
from consensus.outbox import Outbox
from consensus.progress import Progress
from consensus.reads import Reads
from consensus.ready import Proposals, SoftState
from consensus.settings import Settings
from consensus.types import (
    Configuration,
    HardState,
    Logged,
    NodeId,
    RaftIndex,
    Role,
    Term,
)


class State:
    """A node's state; `consensus.core` moves it.

    Invariants: the term only rises, and within a term the vote is given once; `_leading` is there
    exactly while the role is leader; applied ≤ handed out ≤ commit.
    """

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
        self._log = Log(
            storage,
            commit=max(hard.commit, applied),
            cached_bytes_max=settings.cached_bytes_max,
        )
        if applied < self._log.compacted.index:
            raise LogBroken(f"entries after {applied} are to be executed, and are compacted")
        self._applied = RaftIndex(applied)
        self._handed_out = RaftIndex(applied)
        self._role = Role.FOLLOWER
        self._leader: NodeId | None = None
        self._ballot = Ballot()
        self._timer = ElectionTimer(self._draw())
        self._leading: Leading | None = None
        self._outbox = Outbox(self._log, hard)
        self._following = Following(
            self._log, proposals, send=self._outbox.send, send_durably=self._send_durably
        )
        self._reads = Reads(node_id, settings, self._outbox.send, first_number=random_ticks(2**62))
        self._told = SoftState(Role.FOLLOWER, self._term, None)

    # What can be observed after every step.

    @property
    def node_id(self) -> NodeId:
        """Who this node is."""
        return self._node_id

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
        """The log's durable end; 0 while a log that was replaced by a state is not written."""
        return self._log.stable

    @property
    def compacted_index(self) -> RaftIndex:
        """The entry before the log's first."""
        return RaftIndex(self._log.compacted.index)

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self._configuration

    @property
    def transferee(self) -> NodeId | None:
        """Whom this leader is handing over to."""
        return None if self._leading is None else self._leading.transferee

    @property
    def uncommitted_bytes(self) -> int:
        """A leader's own proposals that are not committed, in bytes."""
        return 0 if self._leading is None else self._leading.uncommitted_bytes

    @property
    def election_timeout_ticks(self) -> int:
        """After how many ticks without a leader this node campaigns; drawn anew for each wait."""
        return self._timer.limit

    @property
    def election_elapsed_ticks(self) -> int:
        """How many of them have passed; meaningless while this node leads."""
        return self._timer.elapsed

    @property
    def peers(self) -> tuple[NodeId, ...]:
        """Everyone whose `progress` a leader knows, sorted; nobody if this node does not lead."""
        return () if self._leading is None else tuple(self._leading.peers)

    def progress(self, peer: NodeId) -> Progress | None:
        """What a leader knows of a peer, to be read only; None if this node does not lead, or the
        peer takes no part. Of its own log a leader counts `stable_index`."""
        return None if self._leading is None else self._leading.peers.get(peer)

    def entry(self, index: int) -> Logged:
        """The log's entry at `index`, which must be within it."""
        return self._log.get(index)

    def term_at(self, index: int) -> Term | None:
        """The term of the log's entry at `index`; None where the log does not reach."""
        return self._log.term_at(index)

    # The drawer of messages and numbers.

    def _hard_state(self) -> HardState:
        return HardState(self._term, self._vote, self._log.commit)

    def _send(self, to: NodeId, message: m.AnyMessage) -> None:
        self._outbox.send(to, message)

    def _send_durably(self, to: NodeId, message: m.AnyMessage) -> None:
        """Sends once everything the message rests on is durable."""
        self._outbox.send_durably(to, message, self._hard_state())

    def _draw(self) -> int:
        """A new election timeout, in ticks (Raft §5.2)."""
        ticks = self._settings.election_ticks
        return ticks + self._random_ticks(ticks)
