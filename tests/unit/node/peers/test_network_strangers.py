"""`node.peers.network`: who does not belong, or has no manners, gets no word in."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from loopback import (
    LEDGER,
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
    tls_key,
    tls_seed,
    vouched_for,
    with_chain,
)

from consensus.messages import PROTOCOL_VERSION
from node.peers import Peer, PeerUnavailable
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


def goodbyes(frames: list[tuple[FrameType, bytes]]) -> list[Goodbye]:
    return [GOODBYE.decode(payload) for kind, payload in frames if kind is FrameType.GOODBYE]


# Those who do not belong.


@on_the_products_loop
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


@on_the_products_loop
async def test_another_ledger_is_reported_by_both_sides() -> None:
    ports = ports_of("a", "b")
    a, b = make_node("a", ports), make_node("b", ports, ledger_id=bytes(32))
    async with running(a, b):
        for node in (a, b):
            await node.heard.until(lambda h=node.heard: len(h.problems) >= 2)
            assert node.heard.codes == {"wrong-ledger"}
            assert not node.network.connected and not node.heard.connected


@on_the_products_loop
async def test_a_right_key_under_another_nodes_id_is_refused() -> None:
    ports = ports_of("a", "b")
    a, b = make_node("a", ports), make_node("b", ports, own_id=node_id("c"))
    async with running(a, b):
        await b.heard.until(lambda: "wrong-node" in b.heard.codes)
        await a.heard.until(lambda: "wrong-node" in a.heard.codes)
        assert not a.network.connected and not b.network.connected


@on_the_products_loop
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
@on_the_products_loop
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
@on_the_products_loop
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


@on_the_products_loop
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


@on_the_products_loop
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


@on_the_products_loop
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


@on_the_products_loop
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
@on_the_products_loop
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


@on_the_products_loop
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
@on_the_products_loop
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
