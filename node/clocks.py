"""Clocks apart: who of the others has a clock that disagrees with this node's.

Nothing is asked: what peers say anyway carries their time. A fresh checkpoint signature was made

* not later than now: if its time is later than this node's clock, the peer's is ahead;
* not before its block was proposed: if its time is earlier than the block's, the peer's is behind.
  That is said only while this node's own clock is past the block's time, since else the leader's
  clock, or this node's, is the odd one.

A candidate's time can show that it is ahead, too. Old signatures, sent again to a new connection,
say nothing: each height of a peer is judged once. A peer is well again once a fresh signature fits.
"""

from collections.abc import Sequence

from ledger.types import Height, NodeId
from node.chain import Chain
from node.messages import SignedCheckpoint
from node.ports import Clock, ClockApart

CLOCK_TOLERANCE_MS = 2_000
"""How far a peer's clock may be from this node's before that is an alarm, unless set otherwise."""


class PeerClocks:
    """The peers' clocks as they were last seen.

    apart_ms: by peer, how far its clock is ahead (behind if negative); only of those that are
    further apart than the tolerance.
    """

    __slots__ = ("_chain", "_clock", "_judged", "_tolerance_ms", "apart_ms")

    def __init__(self, clock: Clock, chain: Chain, *, tolerance_ms: int) -> None:
        self._clock = clock
        self._chain = chain
        self._tolerance_ms = tolerance_ms
        self._judged: dict[NodeId, int] = {}
        self.apart_ms: dict[NodeId, int] = {}

    def signed(self, peer: NodeId, signatures: Sequence[SignedCheckpoint]) -> list[ClockApart]:
        """A peer's own signatures arrived from itself; the news, if its clock is apart or well."""
        newest = max(signatures, key=lambda signed: signed.height)
        if newest.height <= self._judged.get(peer, 0):
            return []
        self._judged[peer] = newest.height
        tip = self._chain.tip
        made_ms = tip.time_ms
        if newest.height < tip.height:
            made_ms = self._chain.header(Height(newest.height)).time_ms
        now_ms = self._clock.now_ms()
        earliest_ms = newest.timestamp_s * 1000
        if earliest_ms > now_ms + self._tolerance_ms:
            return self._found(peer, earliest_ms - now_ms)
        behind_ms = made_ms - (earliest_ms + 999)
        if behind_ms > self._tolerance_ms and made_ms <= now_ms:
            return self._found(peer, -behind_ms)
        return self._found(peer, 0)

    def asked(self, peer: NodeId, time_ms: int) -> list[ClockApart]:
        """A peer asks for a vote by its clock; the news, if that is ahead."""
        ahead_ms = time_ms - self._clock.now_ms()
        return self._found(peer, ahead_ms) if ahead_ms > self._tolerance_ms else []

    def _found(self, peer: NodeId, apart_ms: int) -> list[ClockApart]:
        """Only where it turns is news, not how far it is."""
        before = self.apart_ms.pop(peer, 0)
        if apart_ms:
            self.apart_ms[peer] = apart_ms
        turned = (before > 0) != (apart_ms > 0) or (before < 0) != (apart_ms < 0)
        return [ClockApart(peer, apart_ms)] if turned else []
