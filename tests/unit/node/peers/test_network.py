"""`node.peers.network`: members find each other again and again; nobody else gets a word in."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from loopback import (
    LEDGER,
    QUICK,
    Node,
    bare_listener,
    bare_member,
    end_of,
    hello,
    make_node,
    meet,
    node_id,
    on_both_loops,
    running,
    tls_key,
    tls_seed,
    vouched_for,
    with_chain,
)

from cli.demo.cluster import free_ports
from consensus.messages import PROTOCOL_VERSION
from node.errors import Unavailable
from node.peers import Peer, PeerLimits, PeerUnavailable
from node.peers.frames import (
    FRAME_BYTES_MAX,
    GOODBYE,
    HELLO,
    FrameType,
    Goodbye,
    frame,
    frame_of,
    read_frame,
)
from node.peers.tls import make_context


def ports_of(*names: str) -> dict[str, int]:
    return dict(zip(names, free_ports(len(names)), strict=True))


def nodes_of(*names: str, limits: PeerLimits = QUICK) -> list[Node]:
    ports = ports_of(*names)
    return [make_node(name, ports, limits=limits) for name in names]


def goodbyes(frames: list[tuple[FrameType, bytes]]) -> list[Goodbye]:
    return [GOODBYE.decode(payload) for kind, payload in frames if kind is FrameType.GOODBYE]


# Members among themselves.


@on_both_loops
async def test_three_nodes_exchange_messages_in_order() -> None:
    nodes = nodes_of("a", "b", "c")
    async with running(*nodes):
        await meet(*nodes)
        sent = [f"{number}".encode() for number in range(500)]
        for node in nodes:
            for other in nodes:
                if other is not node:
                    assert all(node.network.send(other.id, payload) for payload in sent)
        for node in nodes:
            heard = node.heard
            await heard.until(lambda h=heard: len(h.messages) == 1000)
            for other in nodes:
                if other is not node:
                    assert [text for who, text in heard.messages if who == other.id] == sent
    assert not any(node.heard.problems for node in nodes)


@on_both_loops
async def test_the_largest_message_arrives_and_a_larger_one_is_dropped() -> None:
    a, b = nodes_of("a", "b")
    async with running(a, b):
        await meet(a, b)
        assert not a.network.send(b.id, bytes(FRAME_BYTES_MAX))
        assert a.network.send(b.id, bytes(FRAME_BYTES_MAX - 1))
        await b.heard.until(lambda: len(b.heard.messages) == 1)
        assert len(b.heard.messages[0][1]) == FRAME_BYTES_MAX - 1
        assert a.network.queued_bytes == 0


@on_both_loops
async def test_nodes_may_start_in_any_order_and_a_restarted_one_is_found_again() -> None:
    ports = ports_of("a", "b")
    a = make_node("a", ports)
    async with running(a):
        assert not a.network.send(node_id("b"), b"nobody there")
        for life in range(3):
            b = make_node("b", ports)
            async with running(b):
                await meet(a, b)
                assert a.network.send(b.id, b"life %d" % life)
                await b.heard.until(lambda h=b.heard: bool(h.messages))
                assert b.heard.messages == [(a.id, b"life %d" % life)]
            while a.network.connected:
                await asyncio.sleep(0)
        assert a.heard.connected == [b.id] * 3


@on_both_loops
async def test_what_was_sent_before_a_stop_still_arrives() -> None:
    a, b = nodes_of("a", "b")
    async with running(b):
        async with running(a):
            await meet(a, b)
            assert a.network.send(b.id, b"I step down")
        await b.heard.until(lambda: b.heard.messages == [(a.id, b"I step down")])


@on_both_loops
async def test_stopping_closes_the_port_and_leaves_no_task() -> None:
    a, b = nodes_of("a", "b")
    before = asyncio.all_tasks()
    async with running(a, b):
        await meet(a, b)
    assert a.network.connected == frozenset()
    assert not a.network.send(b.id, b"too late")
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", a.port)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@on_both_loops
async def test_a_taken_port_is_said_with_a_remedy() -> None:
    (a,) = nodes_of("a")
    same = make_node("b", {"b": a.port})
    async with running(a):
        with pytest.raises(
            Unavailable, match=f"cannot listen for peers on 127.0.0.1:{a.port}"
        ) as e:
            await same.network.start()
        assert "rpc.listen" in e.value.remedy
        await same.network.stop()


@on_both_loops
async def test_nothing_is_sent_to_who_is_no_peer() -> None:
    (a,) = nodes_of("a")
    async with running(a):
        assert not a.network.send(node_id("stranger"), b"x")
        assert not a.network.send(a.id, b"x")


# Limits.


async def stays_deaf(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[None]:
    """Greets as node "b", then reads no more and says nothing."""
    await read_frame(reader)
    writer.write(hello("b"))
    await writer.drain()
    await asyncio.Event().wait()
    yield


@on_both_loops
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


@on_both_loops
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


@on_both_loops
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


@on_both_loops
async def test_a_ping_is_answered_with_a_ping() -> None:
    a, _ = nodes_of("a", "b")
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(hello("b") + frame(FrameType.PING))
        assert [(await read_frame(reader))[0] for _ in range(2)] == [
            FrameType.HELLO,
            FrameType.PING,
        ]


@on_both_loops
async def test_a_member_that_says_nothing_after_its_handshake_is_let_go() -> None:
    a, _ = nodes_of("a", "b", limits=PeerLimits(handshake_timeout_s=0.3))
    async with running(a), bare_member("b", a) as (reader, _):
        assert await end_of(reader) == []


@on_both_loops
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


@on_both_loops
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


@on_both_loops
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


@on_both_loops
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
@on_both_loops
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


@on_both_loops
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


@on_both_loops
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


@on_both_loops
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


# Those who do not belong.


@on_both_loops
async def test_another_key_behind_an_address_is_reported_once_and_the_rest_run_on() -> None:
    ports = ports_of("a", "b", "c")
    a, c = make_node("a", ports), make_node("c", ports)
    impostor = make_node("b", ports, seed=tls_seed("impostor"))
    async with running(a, impostor, c):
        await meet(a, c)
        await a.heard.until(lambda: bool(a.heard.problems))
        assert a.heard.problems[0][0] == "wrong-key"
        assert f"127.0.0.1:{ports['b']}" in a.heard.problems[0][1]
        assert a.network.connected == {c.id} and not impostor.network.connected
        assert not impostor.heard.connected
        assert a.network.send(c.id, b"still here")
        await c.heard.until(lambda: bool(c.heard.messages))
        assert len(a.heard.problems) == 1


@on_both_loops
async def test_another_ledger_is_reported_by_both_sides() -> None:
    ports = ports_of("a", "b")
    a, b = make_node("a", ports), make_node("b", ports, ledger_id=bytes(32))
    async with running(a, b):
        for node in (a, b):
            await node.heard.until(lambda h=node.heard: len(h.problems) >= 2)
            assert node.heard.codes == {"wrong-ledger"}
            assert not node.network.connected and not node.heard.connected


@on_both_loops
async def test_a_right_key_under_another_nodes_id_is_refused() -> None:
    ports = ports_of("a", "b")
    a, b = make_node("a", ports), make_node("b", ports, own_id=node_id("c"))
    async with running(a, b):
        await b.heard.until(lambda: "wrong-node" in b.heard.codes)
        await a.heard.until(lambda: "wrong-node" in a.heard.codes)
        assert not a.network.connected and not b.network.connected


@on_both_loops
async def test_a_bare_member_is_greeted_by_name() -> None:
    a, _ = nodes_of("a", "b")
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(hello("b"))
        kind, payload = await read_frame(reader)
        answer = HELLO.decode(payload)
        assert kind is FrameType.HELLO and answer.software.startswith("concordat/")
        assert (answer.ledger_id, answer.node_id) == (LEDGER, a.id)
        assert answer.version == PROTOCOL_VERSION
        assert answer.purpose == "messages"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (hello("b", version=0), "wrong-version"),
        (hello("b", ledger=bytes(32)), "wrong-ledger"),
        (hello("c"), "wrong-node"),
        (hello("a"), "wrong-node"),
        (frame(FrameType.MESSAGE, b"x"), "malformed"),
        (frame(FrameType.HELLO, b"x"), "malformed"),
        (frame(FrameType.HELLO, bytes(1024)), "malformed"),
        (b"\x00\x00\x00\x00", "malformed"),
        (b"\xff\xff\xff\xff\x01", "malformed"),
        (b"\x00\x00\x00\x01\x63", "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
    ],
)
@on_both_loops
async def test_a_wrong_first_frame_gets_a_goodbye_with_its_reason(first: bytes, code: str) -> None:
    a, _ = nodes_of("a", "b")
    async with running(a), bare_member("b", a) as (reader, writer):
        writer.write(first)
        (goodbye,) = goodbyes(await end_of(reader))
        assert goodbye.code == code and goodbye.detail
        assert a.heard.codes == {code}
        assert not a.heard.messages


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "allowed"),
        (b"\x00\x00\x00\x01\x00", "unknown type 0"),
        (hello("b"), "hello has no place here"),
        (frame(FrameType.REQUEST, b"x"), "request has no place here"),
        (random.Random(7).randbytes(64), "allowed"),
    ],
)
@on_both_loops
async def test_a_wrong_later_frame_ends_that_connection_alone(wrong: bytes, said: str) -> None:
    ports = ports_of("a", "b", "c")
    a, c = make_node("a", ports, dials=["b", "c"]), make_node("c", ports, dials=["a"])
    async with running(a, c), bare_member("b", a) as (reader, writer):
        await meet(a, c)
        writer.write(hello("b") + frame(FrameType.MESSAGE, b"before") + wrong)
        (goodbye,) = goodbyes(await end_of(reader))
        assert goodbye.code == "malformed" and said in goodbye.detail
        assert [problem for problem in a.heard.problems if said in problem[1]]
        assert a.heard.messages == [(node_id("b"), b"before")]
        assert c.network.send(a.id, b"after")
        await a.heard.until(lambda: (c.id, b"after") in a.heard.messages)


@on_both_loops
async def test_a_frame_cut_short_is_never_heard() -> None:
    a, _ = nodes_of("a", "b")
    async with running(a):
        async with bare_member("b", a) as (reader, writer):
            writer.write(hello("b"))
            await read_frame(reader)
            writer.write(frame(FrameType.MESSAGE, b"whole") + frame(FrameType.MESSAGE, b"cut")[:6])
            await a.heard.until(lambda: bool(a.heard.messages))
        async with bare_member("b", a) as (reader, writer):
            writer.write(hello("b") + frame(FrameType.MESSAGE, b"next"))
            await a.heard.until(lambda: len(a.heard.messages) == 2)
        assert [payload for _, payload in a.heard.messages] == [b"whole", b"next"]
        assert not a.heard.problems


@on_both_loops
async def test_random_bytes_after_a_hello_harm_nobody() -> None:
    ports = ports_of("a", "b", "c")
    a, c = make_node("a", ports, dials=["b", "c"]), make_node("c", ports, dials=["a"])
    draw = random.Random(2026)
    async with running(a, c):
        for turn in range(30):
            async with bare_member("b", a) as (reader, writer):
                writer.write(hello("b", draw.choice(["messages", "rpc"])))
                await read_frame(reader)
                kind = draw.randrange(12)
                noise = draw.randbytes(draw.randrange(1, 200))
                framed = (len(noise) + 1).to_bytes(4, "big") + bytes([kind]) + noise
                writer.write(framed if turn % 2 else noise)
                writer.write_eof() if writer.can_write_eof() else None
        await meet(a, c)
        assert c.network.send(a.id, b"after")
        await a.heard.until(lambda: (c.id, b"after") in a.heard.messages)
        assert a.heard.codes <= {"malformed"}


@on_both_loops
async def test_who_is_not_a_member_or_speaks_no_tls_hears_nothing() -> None:
    a, _ = nodes_of("a", "b")
    async with running(a):
        async with bare_member("stranger", a) as (reader, _):
            assert await end_of(reader) == []
        reader, writer = await asyncio.open_connection("127.0.0.1", a.port)
        writer.write(hello("b"))
        with suppress(OSError):
            assert b"concordat" not in await reader.read()
        writer.transport.abort()
        assert not a.heard.messages


@on_both_loops
async def test_a_member_that_dialled_as_itself_cannot_speak_for_another() -> None:
    ports = ports_of("a", "b", "c")
    a = make_node("a", ports)
    async with running(a), bare_member("b", a) as (_, writer):
        writer.write(hello("b") + frame(FrameType.MESSAGE, b"x"))
        await a.heard.until(lambda: bool(a.heard.messages))
        assert a.heard.messages == [(node_id("b"), b"x")]


# A dialler meets a listener with the right key and wrong manners.


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (frame_of(FrameType.GOODBYE, Goodbye("wrong-version", "protocol 1")), "wrong-version"),
        (hello("b", version=0), "wrong-version"),
        (hello("b", ledger=bytes(32)), "wrong-ledger"),
        (hello("c"), "wrong-node"),
        (frame(FrameType.PING), "malformed"),
        (b"\xff\xff\xff\xff\x01", "malformed"),
        (hello("b") + frame(FrameType.MESSAGE, b"x"), "malformed"),
        (hello("b") + b"\xff\xff\xff\xff\x01", "malformed"),
        (hello("b") + frame_of(FrameType.GOODBYE, Goodbye("malformed", "?")), "malformed"),
    ],
)
@on_both_loops
async def test_a_dialler_reports_what_is_wrong_with_the_answer(answer: bytes, code: str) -> None:
    ports = ports_of("a", "b")

    async def answers(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        await read_frame(reader)
        writer.write(answer)
        await writer.drain()
        await reader.read()
        yield

    a = make_node("a", ports)
    async with bare_listener("b", ports["b"], ["a"], answers), running(a):
        await a.heard.until(lambda: bool(a.heard.problems))
        assert a.heard.problems[0][0] == code
        assert f"127.0.0.1:{ports['b']}" in a.heard.problems[0][1]


@on_both_loops
async def test_a_key_that_the_right_key_vouches_for_is_not_the_peer() -> None:
    ports = ports_of("a", "b")
    a = make_node("a", ports)
    context = make_context(tls_seed("b"), [tls_key("a")], server=True)
    with_chain(context, vouched_for("b", "delegate", issued_by="b"))
    async with bare_listener("b", ports["b"], ["a"], stays_deaf, context=context), running(a):
        await a.heard.until(lambda: bool(a.heard.problems))
        assert a.heard.problems[0][0] == "wrong-key"
        assert "another key than the ledger names" in a.heard.problems[0][1]
        assert not a.network.connected


@pytest.mark.parametrize("address", ["x" * 80 + ".example:1", "host:99999", "no-port", "a..b:1"])
@on_both_loops
async def test_a_peer_with_an_impossible_address_is_unavailable_and_harms_no_other(
    address: str,
) -> None:
    ports = ports_of("a", "b")
    lost = Peer(node_id("lost"), tls_key("lost"), address)
    a, b = make_node("a", ports, more=[lost]), make_node("b", ports)
    async with running(a, b):
        await meet(a, b)
        assert not a.network.send(lost.node_id, b"x")
        with pytest.raises(PeerUnavailable):
            await anext(a.network.call(lost.node_id, "echo", b"", timeout_s=5))


# Versions, and members that come and go.


@on_both_loops
async def test_two_versions_speak_the_older_one() -> None:
    ports = ports_of("a", "b", "c")
    old = make_node("a", ports, version=1)
    new = make_node("b", ports)
    newer = make_node("c", ports, version=PROTOCOL_VERSION + 5)
    async with running(old, new, newer):
        await meet(old, new, newer)
        assert new.heard.versions == {old.id: 1, newer.id: PROTOCOL_VERSION}
        assert old.heard.versions == {new.id: 1, newer.id: 1}
        assert new.network.send(old.id, b"x")
        await old.heard.until(lambda: bool(old.heard.messages))


def peer_of(name: str, ports: dict[str, int]) -> Peer:
    return Peer(node_id(name), tls_key(name), f"127.0.0.1:{ports[name]}")


@on_both_loops
async def test_a_member_that_joins_is_dialled_and_let_in_and_one_that_leaves_is_not() -> None:
    ports = ports_of("a", "b", "c")
    a = make_node("a", ports, dials=["b"])
    b = make_node("b", ports, dials=["a"])
    c = make_node("c", ports)
    async with running(a, b, c):
        await meet(a, b)
        assert not c.network.connected
        a.network.update([peer_of("b", ports), peer_of("c", ports)])
        b.network.update([peer_of("a", ports), peer_of("c", ports)])
        await meet(a, b, c)
        assert a.heard.connected.count(b.id) == 1
        assert a.network.send(c.id, b"the last word")
        a.network.update([peer_of("b", ports)])
        await c.heard.until(lambda: (a.id, b"the last word") in c.heard.messages)
        async with asyncio.timeout(10):
            while a.id in c.network.connected:
                await asyncio.sleep(0.01)
        assert not a.network.send(c.id, b"x")
        assert c.id not in a.network.connected
        assert a.network.send(b.id, b"still here")
        await b.heard.until(lambda: (a.id, b"still here") in b.heard.messages)
        heard = len(a.heard.connected)
        await asyncio.sleep(0.2)
        assert len(a.heard.connected) == heard
        a.network.update([peer_of("b", ports), peer_of("c", ports)])
        await meet(a, b, c)


@on_both_loops
async def test_a_member_under_another_address_is_dialled_there() -> None:
    ports = ports_of("a", "b")
    a = make_node("a", ports, dials=[], more=[Peer(node_id("b"), tls_key("b"), "127.0.0.1:9")])
    b = make_node("b", ports)
    async with running(a, b):
        a.network.update([peer_of("b", ports)])
        await meet(a, b)
