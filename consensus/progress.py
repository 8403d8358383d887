"""What a leader knows of one peer's log, and how fast it may send (thesis §10.2.1).

| state     | sends                             | leaves when                                      |
|-----------|-----------------------------------|--------------------------------------------------|
| probe     | one append a heartbeat            | the peer acknowledges → replicate                |
| replicate | ahead of acks, within the window  | the peer refuses, or acks stay away → probe      |
| snapshot  | no append                         | the peer acknowledges what is held → replicate   |

"What is held" is a place in the leader's log. In the other two states, a peer whose next entry is
compacted → snapshot (Raft §7).
"""

from collections import deque
from enum import Enum

from consensus.types import RaftIndex, Tick

QUIET_HEARTBEATS = 4
"""Answered heartbeats without a word on what is in flight, after which it counts as lost."""


class Flow(Enum):
    """How entries flow to a peer."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """One peer. match < next; `match` only grows within a leader's term (P17).

    in_flight: last index and size in bytes of each append that is not acknowledged.
    offered: index of the newest snapshot offer, 0 if there was none; `next` is right behind it for
    as long as the peer has not answered that.
    silent_ticks: since the peer was last heard from, or became a peer of this leader.
    """

    __slots__ = (
        "flow",
        "in_flight",
        "in_flight_bytes",
        "match",
        "next",
        "offered",
        "probed",
        "quiet_heartbeats",
        "silent_ticks",
    )

    def __init__(self, *, next_index: int) -> None:
        self.match = RaftIndex(0)
        self.next = RaftIndex(next_index)
        self.flow = Flow.PROBE
        self.probed = False
        self.silent_ticks = 0
        self.quiet_heartbeats = 0
        self.offered = RaftIndex(0)
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_bytes = 0

    def is_active(self, election_ticks: Tick) -> bool:
        """Whether the peer was heard from within an election timeout (CheckQuorum)."""
        return self.silent_ticks < election_ticks

    def may_send(self, *, messages_max: int, bytes_max: int) -> bool:
        """Whether entries may be sent now, within the window (P24)."""
        if self.flow is Flow.REPLICATE:
            return len(self.in_flight) < messages_max and self.in_flight_bytes < bytes_max
        return self.flow is Flow.PROBE and not self.probed

    def sent(self, *, last_index: int, size_bytes: int) -> None:
        """An append with entries left."""
        self.quiet_heartbeats = 0
        if self.flow is Flow.REPLICATE:
            self.next = RaftIndex(last_index + 1)
            self.in_flight.append((last_index, size_bytes))
            self.in_flight_bytes += size_bytes
        else:
            self.probed = True

    def acknowledged(self, index: int) -> None:
        """The peer holds everything up to `index` durably; the leader's log reaches there."""
        self.quiet_heartbeats = 0
        while self.in_flight and self.in_flight[0][0] <= index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]
        stale = index < self.match
        self.match = max(self.match, RaftIndex(index))
        self.next = max(self.next, RaftIndex(index + 1))
        if self.flow is not Flow.REPLICATE and not stale:
            self._enter(Flow.REPLICATE)
            self.next = RaftIndex(self.match + 1)

    def refused(self, *, previous_index: int, agree_index: int) -> bool:
        """The peer lacks `previous_index`; whether `next` moved back, so that a probe may go.

        Refusals that are older than what is acknowledged are stale and change nothing (P17). A peer
        that refuses what it has acknowledged has lost its log; it is probed once a heartbeat.
        """
        if self.flow is Flow.SNAPSHOT:
            return False
        if self.flow is Flow.REPLICATE:
            if previous_index <= self.match:
                return False
        elif previous_index != self.next - 1:
            return False
        before = self.next
        self.next = RaftIndex(max(min(previous_index, agree_index + 1), self.match + 1))
        self._enter(Flow.PROBE)
        return self.next < before

    def heard(self) -> None:
        """A heartbeat was answered: a probe may go again (P23).

        Appends that stay without answer over QUIET_HEARTBEATS answered heartbeats count as lost.
        """
        self.probed = False
        if self.in_flight:
            self.quiet_heartbeats += 1
            if self.quiet_heartbeats >= QUIET_HEARTBEATS:
                self.lost()

    def lost(self) -> None:
        """Appends may have been lost (a connection broke, or acks stay away): start probing."""
        if self.flow is Flow.REPLICATE:
            self._enter(Flow.PROBE)
            self.next = RaftIndex(self.match + 1)
        self.probed = False

    def offer(self, index: int) -> None:
        """The peer's next entry is compacted away; it is offered the state at `index`."""
        self._enter(Flow.SNAPSHOT)
        self.offered = RaftIndex(index)
        self.next = RaftIndex(index + 1)

    def _enter(self, flow: Flow) -> None:
        self.flow = flow
        self.probed = False
        self.quiet_heartbeats = 0
        self.in_flight.clear()
        self.in_flight_bytes = 0
