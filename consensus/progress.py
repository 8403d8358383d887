"""What a leader knows of one peer's log, and how fast it may send (thesis §10.2.1).

| state     | sends                                   | leaves when                          |
|-----------|-----------------------------------------|--------------------------------------|
| probe     | one append a heartbeat, then waits      | the peer acknowledges → replicate    |
| replicate | ahead of acks, within the window        | the peer refuses an append → probe   |

A peer whose next entry is already compacted needs certified blocks instead of entries; that is the
caller's work, and the third state.
"""

from collections import deque
from enum import Enum

from consensus.types import RaftIndex

QUIET_HEARTBEATS = 4
"""Answered heartbeats without a word on what is in flight, after which it counts as lost."""


class Flow(Enum):
    """How entries flow to a peer."""

    PROBE = "probe"
    REPLICATE = "replicate"
    BEHIND = "behind"


class Progress:
    """One peer. match < next; `match` only grows within a leader's term (P17).

    in_flight: last index and size in bytes of each append that is not acknowledged.
    """

    __slots__ = (
        "active",
        "flow",
        "in_flight",
        "in_flight_bytes",
        "match",
        "next",
        "probed",
        "quiet_heartbeats",
    )

    def __init__(self, *, next_index: int) -> None:
        self.match = RaftIndex(0)
        self.next = RaftIndex(next_index)
        self.flow = Flow.PROBE
        self.probed = False
        self.active = False
        self.quiet_heartbeats = 0
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_bytes = 0

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

    def acknowledged(self, index: int) -> bool:
        """The peer holds everything up to `index` durably; whether that is news."""
        self.quiet_heartbeats = 0
        while self.in_flight and self.in_flight[0][0] <= index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]
        news = index > self.match
        self.match = max(self.match, RaftIndex(index))
        self.next = max(self.next, RaftIndex(index + 1))
        if self.flow is not Flow.REPLICATE and index >= self.match:
            self._enter(Flow.REPLICATE)
            self.next = RaftIndex(self.match + 1)
        return news

    def refused(self, *, previous_index: int, agree_index: int) -> bool:
        """The peer lacks `previous_index`; whether that is news and `next` moved back.

        Refusals that are older than what is acknowledged are stale and change nothing (P17).
        """
        if self.flow is Flow.REPLICATE:
            if previous_index <= self.match:
                return False
        elif previous_index != self.next - 1:
            return False
        self.next = RaftIndex(max(min(previous_index, agree_index + 1), self.match + 1))
        self._enter(Flow.PROBE)
        return True

    def heard(self) -> None:
        """A heartbeat was answered: a probe may go again (P23).

        Appends that stay without answer over QUIET_HEARTBEATS answered heartbeats count as lost.
        """
        self.active = True
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

    def behind(self) -> None:
        """The peer's next entry is compacted away."""
        self._enter(Flow.BEHIND)

    def _enter(self, flow: Flow) -> None:
        self.flow = flow
        self.probed = False
        self.quiet_heartbeats = 0
        self.in_flight.clear()
        self.in_flight_bytes = 0
