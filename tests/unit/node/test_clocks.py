"""`node.clocks`: who is said to have a wrong clock, and who is not."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from node.chain import Chain
from node.clocks import PeerClocks
from node.messages import SignedCheckpoint
from node.ports import ClockApart

PEER = b"p" * 32
NOW_MS = 1_700_000_000_000


@dataclass
class Placed:
    """What the chain says of a block; `tip` also has a height."""

    time_ms: int
    height: int = 0


@dataclass
class ShortChain:
    """A ledger of blocks that were each made when the dict says."""

    times: dict[int, int] = field(default_factory=lambda: {1: NOW_MS - 60_000, 2: NOW_MS})

    @property
    def tip(self) -> Placed:
        return Placed(self.times[max(self.times)], max(self.times))

    def header(self, height: int) -> Placed:
        return Placed(self.times[height])


@dataclass
class HandClock:
    """Shows what it was set to."""

    time_ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.time_ms


def watched() -> tuple[PeerClocks, HandClock, ShortChain]:
    clock, chain = HandClock(), ShortChain()
    return PeerClocks(clock, cast("Chain", cast("Any", chain)), tolerance_ms=2_000), clock, chain


def signed(height: int, timestamp_s: int) -> tuple[SignedCheckpoint]:
    return (SignedCheckpoint(height, 1, bytes(32), timestamp_s, bytes(64)),)


NOW_S = NOW_MS // 1000


@pytest.mark.parametrize(("off_s", "apart_ms"), [(2, 0), (3, 3_000), (-2, 0), (-4, -3_001)])
def test_a_signature_beyond_the_tolerance_names_its_signer(off_s: int, apart_ms: int) -> None:
    clocks, _, _ = watched()
    found = clocks.signed(PEER, signed(2, NOW_S + off_s))
    assert found == ([ClockApart(PEER, apart_ms)] if apart_ms else [])
    assert clocks.apart_ms == ({PEER: apart_ms} if apart_ms else {})


def test_an_old_signature_is_measured_by_its_own_block() -> None:
    clocks, _, _ = watched()
    assert clocks.signed(PEER, signed(1, NOW_S - 60)) == []
    clocks, _, _ = watched()
    assert clocks.signed(PEER, signed(1, NOW_S - 66)) == [ClockApart(PEER, -5_001)]


def test_of_several_signatures_the_newest_counts_and_each_height_once() -> None:
    clocks, _, chain = watched()
    both = (*signed(2, NOW_S), *signed(1, NOW_S - 100))
    assert clocks.signed(PEER, both) == []
    assert clocks.signed(PEER, signed(1, NOW_S - 100)) == []
    assert clocks.signed(PEER, signed(2, NOW_S + 100)) == []
    chain.times[3] = NOW_MS
    assert clocks.signed(PEER, signed(3, NOW_S + 100)) == [ClockApart(PEER, 100_000)]


def test_a_signature_on_a_block_still_to_be_executed_is_later_than_the_tip() -> None:
    clocks, _, _ = watched()
    assert clocks.signed(PEER, signed(9, NOW_S - 5)) == [ClockApart(PEER, -4_001)]


def test_a_block_from_the_future_says_nothing_of_its_signers() -> None:
    clocks, _, chain = watched()
    chain.times[2] = NOW_MS + 60_000
    assert clocks.signed(PEER, signed(2, NOW_S)) == []


def test_only_where_it_turns_is_news() -> None:
    clocks, clock, chain = watched()
    assert clocks.signed(PEER, signed(2, NOW_S + 10)) == [ClockApart(PEER, 10_000)]
    chain.times[3] = NOW_MS
    assert clocks.signed(PEER, signed(3, NOW_S + 11)) == []
    assert clocks.apart_ms == {PEER: 11_000}
    chain.times[4] = NOW_MS
    assert clocks.signed(PEER, signed(4, NOW_S - 11)) == [ClockApart(PEER, -10_001)]
    clock.time_ms += 20_000
    chain.times[5] = clock.time_ms
    assert clocks.signed(PEER, signed(5, NOW_S + 20)) == [ClockApart(PEER, 0)]
    assert clocks.apart_ms == {}


def test_a_candidate_shows_that_it_is_ahead_and_nothing_else() -> None:
    clocks, _, _ = watched()
    assert clocks.asked(PEER, NOW_MS + 2_000) == []
    assert clocks.asked(PEER, NOW_MS - 60_000) == []
    assert clocks.asked(PEER, NOW_MS + 2_001) == [ClockApart(PEER, 2_001)]
    assert clocks.asked(PEER, NOW_MS) == [] and clocks.apart_ms == {PEER: 2_001}
