"""`node.peers.network`: queues, slow and half-open connections; nobody takes more than a share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from loopback import (
    bare_listener,
    bare_member,
    end_of,
    hello,
    make_node,
    meet,
    node_id,
    nodes_of,
    on_the_products_loop,
    ports_of,
    running,
    stays_deaf,
)

from node.peers import PeerLimits
from node.peers.frames import (
    HELLO,
    FrameType,
    frame,
    read_frame,
)


@on_the_products_loop
async def test_a_full_queue_drops_by_number_and_by_bytes() -> None:
    limits = PeerLimits(queue_messages_max=3, queue_bytes_max=1000, redial_s=(0.01, 0.05))
    a, b = nodes_of("a", "b", limits=limits)
    async with running(a, b):
        await meet(a, b)
        assert [a.network.send(b.id, b"x") for _ in range(5)] == [True] * 3 + [False] * 2
        await b.heard.until(lambda: len(b.heard.messages) == 3)
        assert [a.network.send(b.id, bytes(600)) for _ in range(2)] == [True, False]
        assert a.network.queued_bytes == 605
        await b.heard.until(lambda: len(b.heard.messages) == 4)
        assert a.network.queued_bytes == 0


@on_the_products_loop
async def test_a_peer_that_reads_nothing_fills_its_queue_and_is_dropped_for_its_silence() -> None:
    ports = ports_of("a", "b")
    limits = PeerLimits(
        queue_bytes_max=4 * 1024 * 1024, ping_s=0.1, silence_s=0.5, redial_s=(30.0, 30.0)
    )
    a = make_node("a", ports, limits=limits)
    async with bare_listener("b", ports["b"], ["a"], stays_deaf), running(a):
        await a.heard.until(lambda: bool(a.network.connected))
        async with asyncio.timeout(20):
            while a.network.send(node_id("b"), bytes(1024 * 1024)):
                await asyncio.sleep(0)
            assert a.network.queued_bytes <= limits.queue_bytes_max
            while a.network.connected:
                await asyncio.sleep(0.01)


@on_the_products_loop
async def test_pings_keep_a_quiet_connection() -> None:
    limits = PeerLimits(ping_s=0.05, silence_s=1.0, redial_s=(0.01, 0.05))
    ports = ports_of("a", "b")
    pings = asyncio.Semaphore(0)

    async def answers(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        await read_frame(reader)
        writer.write(hello("b"))
        while True:
            kind, _ = await read_frame(reader)
            assert kind is FrameType.PING
            writer.write(frame(FrameType.PING))
            pings.release()
            yield

    a = make_node("a", ports, limits=limits)
    async with bare_listener("b", ports["b"], ["a"], answers), running(a), asyncio.timeout(20):
        for _ in range(25):
            await pings.acquire()
        assert a.heard.connected == [node_id("b")]
        assert not a.heard.problems


@on_the_products_loop
async def test_a_ping_is_answered_with_a_ping() -> None:
    a, _ = nodes_of("a", "b")
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(hello("b") + frame(FrameType.PING))
        assert [(await read_frame(reader))[0] for _ in range(2)] == [
            FrameType.HELLO,
            FrameType.PING,
        ]


@on_the_products_loop
async def test_a_member_that_says_nothing_after_its_handshake_is_let_go() -> None:
    a, _ = nodes_of("a", "b", limits=PeerLimits(handshake_timeout_s=0.3))
    async with running(a), bare_member("b", a) as (reader, _):
        assert await end_of(reader) == []


@on_the_products_loop
async def test_connections_beyond_the_limit_are_closed_without_a_word() -> None:
    ports = ports_of("a", "b")
    limits = PeerLimits(connections_max=3, redial_s=(0.01, 0.05))
    a = make_node("a", ports, limits=limits)
    async with running(a):
        greeted = 0
        members = [bare_member("b", a) for _ in range(6)]
        try:
            for member in members:
                reader, writer = await member.__aenter__()
                writer.write(hello("b"))
                with suppress(OSError, asyncio.IncompleteReadError):
                    kind, _ = await read_frame(reader)
                    greeted += kind is FrameType.HELLO
        finally:
            for member in members:
                await member.__aexit__(None, None, None)
        assert greeted == limits.connections_max


# Slow, narrow and half-open connections.


@on_the_products_loop
async def test_small_messages_pass_a_large_one_that_nobody_reads() -> None:
    ports = ports_of("a", "b")
    small: list[bytes] = []
    heard = asyncio.Event()

    async def reads_small_only(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        _, payload = await read_frame(reader)
        purpose = HELLO.decode(payload).purpose
        writer.write(hello("b", purpose))
        if purpose == "bulk":
            await asyncio.Event().wait()
        while True:
            kind, payload = await read_frame(reader)
            if kind is FrameType.PING:
                writer.write(frame(FrameType.PING))
            else:
                small.append(payload)
                heard.set()
            yield

    a = make_node("a", ports)
    async with bare_listener("b", ports["b"], ["a"], reads_small_only), running(a):
        await a.heard.until(lambda: bool(a.network.connected))
        for _ in range(8):
            assert a.network.send(node_id("b"), bytes(2 * 1024 * 1024))
        for number in range(3):
            heard.clear()
            assert a.network.send(node_id("b"), b"%d" % number)
            async with asyncio.timeout(20):
                await heard.wait()
        assert small == [b"0", b"1", b"2"]
        assert a.network.queued_bytes > 8 * 1024 * 1024


@on_the_products_loop
async def test_large_messages_arrive_after_their_connection_broke() -> None:
    ports = ports_of("a", "b")
    lengths: list[int] = []
    heard = asyncio.Event()

    async def breaks_the_first(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        _, payload = await read_frame(reader)
        purpose = HELLO.decode(payload).purpose
        writer.write(hello("b", purpose))
        while purpose == "messages":
            await read_frame(reader)
            writer.write(frame(FrameType.PING))
        _, payload = await read_frame(reader)
        lengths.append(len(payload))
        heard.set()
        yield

    a = make_node("a", ports)
    async with bare_listener("b", ports["b"], ["a"], breaks_the_first), running(a):
        await a.heard.until(lambda: bool(a.network.connected))
        async with asyncio.timeout(20):
            while len(lengths) < 3:
                assert a.network.send(node_id("b"), bytes(100_000))
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await heard.wait()
                heard.clear()
        assert a.heard.connected == [node_id("b")]


@on_the_products_loop
async def test_a_large_frame_may_take_longer_than_a_silence_if_it_keeps_coming() -> None:
    limits = PeerLimits(silence_s=0.4, frame_bytes_per_s_min=1_000, redial_s=(30.0, 30.0))
    a, _ = nodes_of("a", "b", limits=limits)
    async with running(a), bare_member("b", a) as (_, writer):
        writer.write(hello("b", "bulk"))
        data = frame(FrameType.MESSAGE, bytes(2_000))
        for start in range(0, len(data), 200):
            writer.write(data[start : start + 200])
            await asyncio.sleep(0.08)
        await a.heard.until(lambda: bool(a.heard.messages))
        assert a.heard.messages == [(node_id("b"), bytes(2_000))]


@pytest.mark.parametrize("purpose", ["messages", "bulk"])
@on_the_products_loop
async def test_a_frame_that_comes_a_byte_at_a_time_ends_its_connection(purpose: str) -> None:
    limits = PeerLimits(silence_s=0.3, redial_s=(30.0, 30.0))
    a, _ = nodes_of("a", "b", limits=limits)
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(hello("b", purpose))
        writer.write(frame(FrameType.MESSAGE, bytes(1_000))[:50])

        async def dribble() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        assert [kind for kind, _ in await end_of(reader)] == [FrameType.HELLO]
        dribbling.cancel()
        assert not a.heard.messages


@on_the_products_loop
async def test_a_hello_that_comes_a_byte_at_a_time_ends_its_connection() -> None:
    a, _ = nodes_of("a", "b", limits=PeerLimits(handshake_timeout_s=0.3))
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(hello("b")[:10])

        async def dribble() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        assert await end_of(reader) == []
        dribbling.cancel()


@on_the_products_loop
async def test_who_never_begins_tls_is_let_go_and_keeps_no_member_out() -> None:
    limits = PeerLimits(handshake_timeout_s=1.0, connections_max=2, redial_s=(0.01, 0.05))
    a, b = nodes_of("a", "b", limits=limits)
    async with running(a):
        silent = [await asyncio.open_connection("127.0.0.1", a.port) for _ in range(20)]
        try:
            silent[0][1].write(b"\x16")
            async with running(b):
                await meet(a, b)
            for reader, _ in silent:
                async with asyncio.timeout(20):
                    with suppress(ConnectionResetError):
                        assert await reader.read() == b""
        finally:
            for _, writer in silent:
                writer.transport.abort()
            await asyncio.sleep(0)


@on_the_products_loop
async def test_a_member_with_many_connections_loses_its_oldest_and_keeps_nobody_out() -> None:
    ports = ports_of("a", "b", "c")
    limits = PeerLimits(connections_max=4, connections_per_peer_max=2, redial_s=(0.01, 0.05))
    a, c = (make_node(name, ports, limits=limits) for name in ("a", "c"))
    async with running(a):
        members = [bare_member("b", a) for _ in range(6)]
        try:
            opened = []
            for member in members:
                reader, writer = await member.__aenter__()
                writer.write(hello("b"))
                assert (await read_frame(reader))[0] is FrameType.HELLO
                opened.append(reader)
            for reader in opened[:4]:
                assert await end_of(reader) == []
            async with running(c):
                await meet(a, c)
            assert not opened[4].at_eof() and not opened[5].at_eof()
        finally:
            for member in members:
                await member.__aexit__(None, None, None)
