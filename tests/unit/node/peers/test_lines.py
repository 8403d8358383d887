"""`node.peers.lines`: queues that are full make room for what makes older messages stale."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loopback import node_id, tls_key

from consensus import messages
from node.messages import CertificateNews, Cosignatures, SignedCheckpoint, stale_kind
from node.peers import Peer, PeerLimits
from node.peers.lines import Line

LIMITS = PeerLimits(queue_messages_max=4, queue_bytes_max=1_000, bulk_bytes_min=100)


@asynccontextmanager
async def connected_line() -> AsyncIterator[Line]:
    """A line with a connection whose other end says and reads nothing."""
    here, there = socket.socketpair()
    with there:
        made = Line(Peer(node_id("b"), tls_key("b"), "127.0.0.1:1"), LIMITS)
        _, made.writer = await asyncio.open_connection(sock=here)
        yield made
        made.writer.close()
        await made.writer.wait_closed()


def sent(to: Line, data: bytes, kind: str) -> tuple[int, bool]:
    """As `PeerNetwork.send` does: what was let go, and whether it is queued."""
    return to.make_room(data, kind), to.put(data, kind)


async def _a_full_queue_makes_room() -> None:
    async with connected_line() as full:
        for number in range(3):
            assert sent(full, b"append %d" % number, "append") == (0, True)
        assert sent(full, b"large append" * 10, "append") == (0, True)
        assert full.bulk.wake.is_set()
        assert sent(full, b"newer append", "append") == (4, True)
        assert list(full.small.frames) == [b"newer append"] and not full.bulk.frames
        assert not full.bulk.wake.is_set()
        assert full.bytes_total == len(b"newer append")


def test_a_newer_message_of_a_kind_takes_the_place_of_older_ones_in_a_full_queue() -> None:
    asyncio.run(_a_full_queue_makes_room())


async def _others_keep_their_place_and_order() -> None:
    async with connected_line() as full:
        for data, kind in ((b"1", ""), (b"2", "append"), (b"3", "vote request"), (b"4", "append")):
            assert sent(full, data, kind) == (0, True)
        assert sent(full, b"5", "heartbeat") == (0, False)
        assert full.put(b"6", "") is False
        assert sent(full, b"7", "append") == (2, True)
        assert [full.small.take() for _ in range(3)] == [b"1", b"3", b"7"]
        assert full.bytes_total == 0


def test_other_kinds_keep_their_place_and_what_has_none_is_dropped() -> None:
    asyncio.run(_others_keep_their_place_and_order())


async def _too_large_even_then() -> None:
    async with connected_line() as full:
        assert sent(full, bytes(900), "") == (0, True)
        assert sent(full, bytes(90), "append") == (0, True)
        assert sent(full, bytes(150), "append") == (1, False)


def test_a_message_may_find_no_room_in_spite_of_what_is_let_go() -> None:
    asyncio.run(_too_large_even_then())


def test_what_a_newer_message_makes_stale() -> None:
    append = messages.Append(1, 0, 0, (), 0)
    assert stale_kind(append) == stale_kind(messages.SnapshotOffer(1, 0, 0, bytes(32))) == "append"
    assert stale_kind(messages.AppendReply(1, 0, bytes(32))) == "append answer"
    assert stale_kind(CertificateNews(b"")) == "certificate"
    signed = SignedCheckpoint(1, 1, bytes(32), 0, bytes(64))
    for kept in (Cosignatures((signed,)), messages.ReadReply(1, 1, 1), messages.VoteReply(1, True)):
        assert stale_kind(kept) == ""
