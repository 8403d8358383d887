"""`node.peers.rpc`: answers are complete or an error, whoever leaves, fails or is slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from hashlib import sha256

import pytest
from loopback import (
    Node,
    bare_listener,
    bare_member,
    end_of,
    hello,
    make_node,
    node_id,
    on_the_products_loop,
    running,
)

from cli.demo.cluster import free_ports
from node.peers import PeerLimits, PeerUnavailable, RpcError
from node.peers.frames import (
    CHUNK,
    ENDED,
    FAILED,
    FRAME_BYTES_MAX,
    GOODBYE,
    REQUEST,
    Chunk,
    Ended,
    Failed,
    FrameType,
    Goodbye,
    Request,
    frame,
    frame_of,
    read_frame,
)
from node.peers.rpc import ANSWER_CHUNKS_MAX, RpcHandler

CHUNK_BYTES = 50_000
BULK_CHUNKS = 400
"""20 MB in all: more than every buffer on the way holds."""


class Provider:
    """Handlers, and what became of them."""

    def __init__(self) -> None:
        self.closed = asyncio.Semaphore(0)
        self.entered = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.made = 0

    @property
    def handlers(self) -> dict[str, RpcHandler]:
        return {
            "echo": self.echo,
            "bulk": self.bulk,
            "wait": self.wait,
            "refuse": self.refuse,
            "fail": self.fail,
            "lose-source": self.lose_source,
            "too-large": self.too_large,
            "nothing": self.nothing,
        }

    async def echo(self, sender: bytes, body: bytes) -> AsyncIterator[bytes]:
        yield sender
        yield body

    async def bulk(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        try:
            for number in range(BULK_CHUNKS):
                self.made += 1
                yield number.to_bytes(4, "big") + bytes(CHUNK_BYTES - 4)
        finally:
            self.closed.release()

    async def wait(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        self.entered.release()
        try:
            await self.gate.wait()
            yield body
        finally:
            self.closed.release()

    async def refuse(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        yield b"some"
        raise RpcError("query-refused", body.decode())

    async def fail(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        yield b"some"
        raise LookupError("internal words stay here")

    async def lose_source(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        raise FileNotFoundError("the source is gone")
        yield b""

    async def too_large(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        yield bytes(FRAME_BYTES_MAX)

    async def nothing(self, _: bytes, body: bytes) -> AsyncIterator[bytes]:
        return
        yield b""


@asynccontextmanager
async def consumer_and_provider(
    limits: PeerLimits | None = None,
) -> AsyncIterator[tuple[Node, Node, Provider]]:
    """Node "a" calls, node "b" answers."""
    limits = limits or PeerLimits(redial_s=(0.01, 0.05))
    provider = Provider()
    ports = dict(zip("ab", free_ports(2), strict=True))
    a = make_node("a", ports, limits=limits)
    b = make_node("b", ports, limits=limits, handlers=provider.handlers)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with running(a, b):
        yield a, b, provider


async def answer(a: Node, b: Node, method: str, body: bytes = b"") -> list[bytes]:
    return [chunk async for chunk in a.network.call(b.id, method, body, timeout_s=20)]


@on_the_products_loop
async def test_a_handler_hears_who_asks_and_what() -> None:
    async with consumer_and_provider() as (a, b, _):
        assert await answer(a, b, "echo", b"body") == [a.id, b"body"]
        assert await answer(a, b, "nothing") == []


@on_the_products_loop
async def test_twenty_megabytes_arrive_whole_and_in_order() -> None:
    async with consumer_and_provider() as (a, b, provider):
        chunks = await answer(a, b, "bulk")
        assert [int.from_bytes(chunk[:4], "big") for chunk in chunks] == list(range(BULK_CHUNKS))
        assert all(len(chunk) == CHUNK_BYTES for chunk in chunks)
        await provider.closed.acquire()


@on_the_products_loop
async def test_large_requests_arrive_whole() -> None:
    async with consumer_and_provider() as (a, b, _):
        body = sha256(b"seed").digest() * 200_000
        assert (await answer(a, b, "echo", body))[1] == body


@on_the_products_loop
async def test_a_handler_goes_no_further_than_a_slow_caller_lets_it() -> None:
    async with (
        consumer_and_provider() as (a, b, provider),
        aclosing(a.network.call(b.id, "bulk", b"", timeout_s=20)) as chunks,
    ):
        await anext(chunks)
        seen = -1
        while seen != provider.made:
            seen = provider.made
            await asyncio.sleep(0.1)
        assert provider.made < BULK_CHUNKS
        assert sum([1 async for _ in chunks]) == BULK_CHUNKS - 1


@on_the_products_loop
async def test_a_refusal_comes_with_its_code_and_words_after_what_was_sent() -> None:
    async with consumer_and_provider() as (a, b, _):
        chunks = a.network.call(b.id, "refuse", b"too many rows", timeout_s=20)
        assert await anext(chunks) == b"some"
        with pytest.raises(RpcError) as refused:
            await anext(chunks)
        assert (refused.value.code, refused.value.detail) == ("query-refused", "too many rows")


@pytest.mark.parametrize("detail", ["a\x00b", "e\u0301", "x" * 5000, "\U0001f9ec" * 2000, "Zürich"])
@on_the_products_loop
async def test_no_words_of_a_handler_end_the_connection(detail: str) -> None:
    async with consumer_and_provider() as (a, b, provider):
        waiting = asyncio.create_task(answer(a, b, "wait", b"still here"))
        await provider.entered.acquire()
        with pytest.raises(RpcError) as refused:
            await answer(a, b, "refuse", detail.encode())
        assert refused.value.code == "query-refused" and refused.value.detail
        provider.gate.set()
        assert await waiting == [b"still here"]


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("fail", "LookupError"),
        ("lose-source", "FileNotFoundError"),
        ("too-large", "AssertionError"),
    ],
)
@on_the_products_loop
async def test_a_failing_handler_is_an_internal_error_that_keeps_its_words(
    method: str, said: str
) -> None:
    async with consumer_and_provider() as (a, b, _):
        with pytest.raises(RpcError) as failed:
            await answer(a, b, method)
        assert (failed.value.code, failed.value.detail) == ("internal-error", said)
        assert await answer(a, b, "echo", b"goes on") == [a.id, b"goes on"]


@on_the_products_loop
async def test_an_unknown_method_is_refused() -> None:
    async with consumer_and_provider() as (a, b, _):
        with pytest.raises(RpcError, match="unknown-method: abolish"):
            await answer(a, b, "abolish")


@on_the_products_loop
async def test_many_calls_share_a_connection_and_none_gets_anothers_answer() -> None:
    async with consumer_and_provider() as (a, b, _):
        bodies = [b"%d" % number * 1000 for number in range(100)]
        bulk = asyncio.create_task(answer(a, b, "bulk"))
        answers = await asyncio.gather(*(answer(a, b, "echo", body) for body in bodies))
        assert answers == [[a.id, body] for body in bodies]
        assert len(await bulk) == BULK_CHUNKS


@on_the_products_loop
async def test_both_sides_call_each_other() -> None:
    provider = Provider()
    ports = dict(zip("ab", free_ports(2), strict=True))
    a, b = (make_node(name, ports, handlers=provider.handlers) for name in "ab")
    async with running(a, b):
        there, back = await asyncio.gather(answer(a, b, "bulk"), answer(b, a, "bulk"))
        assert len(there) == len(back) == BULK_CHUNKS


@on_the_products_loop
async def test_requests_beyond_the_limit_are_refused_and_room_comes_back() -> None:
    async with consumer_and_provider(PeerLimits(rpc_in_flight_max=2)) as (a, b, provider):
        waiting = [asyncio.create_task(answer(a, b, "wait", b"x")) for _ in range(2)]
        for _ in waiting:
            await provider.entered.acquire()
        with pytest.raises(RpcError, match="busy: 2 requests are under way"):
            await answer(a, b, "wait")
        provider.gate.set()
        assert await asyncio.gather(*waiting) == [[b"x"]] * 2
        assert await answer(a, b, "wait", b"y") == [b"y"]


@on_the_products_loop
async def test_a_cancelled_caller_closes_its_handler() -> None:
    async with consumer_and_provider() as (a, b, provider):
        waiting = asyncio.create_task(answer(a, b, "wait"))
        await provider.entered.acquire()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(20):
            await provider.closed.acquire()
        assert await answer(a, b, "echo", b"next") == [a.id, b"next"]


@on_the_products_loop
async def test_a_caller_that_leaves_a_long_answer_holds_up_nobody() -> None:
    async with consumer_and_provider() as (a, b, provider):
        for _ in range(3):
            async with aclosing(a.network.call(b.id, "bulk", b"", timeout_s=20)) as chunks:
                await anext(chunks)
                while provider.made <= 2 * ANSWER_CHUNKS_MAX:
                    await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await provider.closed.acquire()
            assert await answer(a, b, "echo", b"next") == [a.id, b"next"]
            provider.made = 0


@on_the_products_loop
async def test_a_caller_whose_time_is_over_closes_the_handler() -> None:
    async with consumer_and_provider() as (a, b, provider):
        with pytest.raises(PeerUnavailable, match="does not answer in time") as late:
            async for _ in a.network.call(b.id, "wait", b"", timeout_s=0.2):
                pass
        assert late.value.remedy
        async with asyncio.timeout(20):
            await provider.closed.acquire()


@on_the_products_loop
async def test_calls_fail_when_the_provider_stops_and_work_when_it_is_back() -> None:
    provider = Provider()
    ports = dict(zip("ab", free_ports(2), strict=True))
    a = make_node("a", ports)
    async with running(a):
        async with running(b := make_node("b", ports, handlers=provider.handlers)):
            waiting = asyncio.create_task(answer(a, b, "wait"))
            await provider.entered.acquire()
        with pytest.raises(PeerUnavailable, match="the connection broke"):
            await waiting
        with pytest.raises(PeerUnavailable):
            await answer(a, b, "echo")
        async with running(b := make_node("b", ports, handlers=provider.handlers)):
            assert await answer(a, b, "echo", b"back") == [a.id, b"back"]


@on_the_products_loop
async def test_calls_fail_when_the_callers_node_stops() -> None:
    async with consumer_and_provider() as (a, b, provider):
        waiting = asyncio.create_task(answer(a, b, "wait"))
        await provider.entered.acquire()
        await a.network.stop()
        with pytest.raises(PeerUnavailable):
            await waiting
        with pytest.raises(PeerUnavailable):
            await answer(a, b, "echo")
        async with asyncio.timeout(20):
            await provider.closed.acquire()


@on_the_products_loop
async def test_there_is_no_call_to_who_is_no_peer() -> None:
    async with consumer_and_provider() as (a, _, _):
        with pytest.raises(PeerUnavailable, match="no such peer"):
            await anext(a.network.call(node_id("stranger"), "echo", b"", timeout_s=1))


# The answering side, byte by byte.


@asynccontextmanager
async def bare_caller(
    limits: PeerLimits | None = None,
) -> AsyncIterator[tuple[Node, Provider, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A greeted RPC connection to node "b" as member "a"."""
    async with consumer_and_provider(limits) as (_, b, provider), bare_member("a", b) as (r, w):
        w.write(hello("a", "rpc"))
        assert (await read_frame(r))[0] is FrameType.HELLO
        yield b, provider, r, w


def request(number: int, method: str, body: bytes = b"") -> bytes:
    return frame_of(FrameType.REQUEST, Request(number, method, body))


@on_the_products_loop
async def test_an_answer_is_chunks_and_an_end_with_the_requests_number() -> None:
    async with bare_caller() as (_, _, reader, writer):
        writer.write(request(41, "echo", b"x"))
        chunks = [CHUNK.decode((await read_frame(reader))[1]) for _ in range(2)]
        assert chunks == [Chunk(41, node_id("a")), Chunk(41, b"x")]
        kind, payload = await read_frame(reader)
        assert kind is FrameType.END and ENDED.decode(payload) == Ended(41)


@on_the_products_loop
async def test_a_cancel_of_what_is_over_or_never_was_is_nothing() -> None:
    async with bare_caller() as (_, _, reader, writer):
        writer.write(frame_of(FrameType.CANCEL, Ended(5)) + request(5, "nothing"))
        assert (await read_frame(reader))[0] is FrameType.END
        writer.write(frame_of(FrameType.CANCEL, Ended(5)) + request(5, "nothing"))
        assert (await read_frame(reader))[0] is FrameType.END


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (request(1, "wait") + request(1, "wait"), "number 1 is under way"),
        (frame(FrameType.REQUEST, b"\x93"), ""),
        (frame(FrameType.CANCEL, b"\x00"), ""),
        (frame(FrameType.MESSAGE, b"x"), "message has no place"),
        (frame_of(FrameType.CHUNK, Chunk(1, b"x")), "chunk has no place"),
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "allowed"),
    ],
)
@on_the_products_loop
async def test_a_wrong_frame_ends_the_connection_and_its_handlers(wrong: bytes, said: str) -> None:
    async with bare_caller() as (b, provider, reader, writer):
        writer.write(request(99, "wait"))
        await provider.entered.acquire()
        writer.write(wrong)
        kind, payload = (await end_of(reader))[-1]
        assert kind is FrameType.GOODBYE
        goodbye = GOODBYE.decode(payload)
        assert goodbye.code == "malformed" and said in goodbye.detail
        async with asyncio.timeout(20):
            await provider.closed.acquire()
        assert b.heard.codes == {"malformed"}


@on_the_products_loop
async def test_a_caller_that_disappears_closes_its_handlers() -> None:
    async with bare_caller() as (_, provider, _, writer):
        writer.write(b"".join(request(number, "wait") for number in range(5)))
        for _ in range(5):
            await provider.entered.acquire()
        writer.transport.abort()
        async with asyncio.timeout(20):
            for _ in range(5):
                await provider.closed.acquire()


@on_the_products_loop
async def test_a_bare_caller_beyond_the_limit_hears_that_it_is_busy() -> None:
    async with bare_caller(PeerLimits(rpc_in_flight_max=1)) as (_, _, reader, writer):
        writer.write(request(1, "wait") + request(2, "wait"))
        kind, payload = await read_frame(reader)
        assert kind is FrameType.ERROR and FAILED.decode(payload).code == "busy"
        assert FAILED.decode(payload).number == 2


# The calling side meets a provider with the right key and wrong manners.


@asynccontextmanager
async def caller_of(*replies: bytes, close: bool = False) -> AsyncIterator[Node]:
    """Node "a", whose peer "b" answers its first request with these bytes."""
    ports = dict(zip("ab", free_ports(2), strict=True))

    async def talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        await read_frame(reader)
        writer.write(hello("b", "rpc"))
        kind, payload = await read_frame(reader)
        assert kind is FrameType.REQUEST and REQUEST.decode(payload).number == 1
        writer.write(b"".join(replies))
        await writer.drain()
        if not close:
            await reader.read()
        else:
            writer.close()
            await writer.wait_closed()
        yield

    a = make_node("a", ports)
    async with bare_listener("b", ports["b"], ["a"], talk), running(a):
        yield a


async def answer_of_b(a: Node) -> list[bytes]:
    return [chunk async for chunk in a.network.call(node_id("b"), "echo", b"", timeout_s=20)]


def chunk_of(number: int, data: bytes) -> bytes:
    return frame_of(FrameType.CHUNK, Chunk(number, data))


def end(number: int) -> bytes:
    return frame_of(FrameType.END, Ended(number))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (frame(FrameType.CHUNK, b"\x92"), "chunk"),
        (frame(FrameType.MESSAGE, b"x"), "message has no place"),
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "allowed"),
        (frame_of(FrameType.GOODBYE, Goodbye("malformed", "your request")), "your request"),
    ],
)
@on_the_products_loop
async def test_a_wrong_answer_is_an_unavailable_peer(reply: bytes, said: str) -> None:
    async with caller_of(reply) as a:
        with pytest.raises(PeerUnavailable, match=said):
            await answer_of_b(a)


@on_the_products_loop
async def test_answers_to_nobodys_request_are_passed_over() -> None:
    stray = chunk_of(9, b"x") + end(9) + frame_of(FrameType.ERROR, Failed(9, "busy", ""))
    async with caller_of(stray + chunk_of(1, b"mine") + stray + end(1)) as a:
        assert await answer_of_b(a) == [b"mine"]


@on_the_products_loop
async def test_an_answer_cut_off_is_never_taken_for_a_whole_one() -> None:
    chunks = b"".join(chunk_of(1, b"%d" % number) for number in range(5))
    async with caller_of(chunks, close=True) as a:
        got = []
        with pytest.raises(PeerUnavailable, match="the connection broke"):
            async for chunk in a.network.call(node_id("b"), "echo", b"", timeout_s=20):
                got.append(chunk)
        assert got == [b"0", b"1", b"2", b"3", b"4"]


@on_the_products_loop
async def test_a_whole_answer_stays_whole_though_the_connection_broke_before_it_was_read() -> None:
    count = ANSWER_CHUNKS_MAX - 1
    chunks = b"".join(chunk_of(1, b"%d" % number) for number in range(count))
    async with caller_of(chunks, end(1), close=True) as a:
        async with aclosing(a.network.call(node_id("b"), "echo", b"", timeout_s=20)) as answers:
            got = [await anext(answers)]
            await asyncio.sleep(0.2)
            got += [chunk async for chunk in answers]
        assert got == [b"%d" % number for number in range(count)]
