"""What may be done with any bytes that a peer sends, once its key is known.

`check` gives one stream of bytes to everything that reads from a peer: the frames, their payloads,
the answering and the calling side of RPC, and messages. Only `Malformed` and the end of the stream
may come of it; what parses is spelled in the one way there is; no task is left behind.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from consensus import messages as raft
from ledger.codec import encode
from ledger.errors import Malformed
from node.messages import PEER_MESSAGE, CertificateNews, Forward
from node.peers import frames
from node.peers.frames import FrameType, frame, frame_of, read_frame
from node.peers.rpc import PeerUnavailable, RpcClient, RpcError, RpcHandler, RpcServer

ZERO = bytes(32)

DECODERS = {
    FrameType.HELLO: frames.HELLO,
    FrameType.GOODBYE: frames.GOODBYE,
    FrameType.MESSAGE: PEER_MESSAGE,
    FrameType.REQUEST: frames.REQUEST,
    FrameType.CHUNK: frames.CHUNK,
    FrameType.END: frames.ENDED,
    FrameType.ERROR: frames.FAILED,
    FrameType.CANCEL: frames.ENDED,
}


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever else should not have come of these bytes."""
    asyncio.run(_check(data))


def framed(data: bytes) -> bytes:
    """A stream of whole frames made of any bytes: type (1), length (1), its payload.

    Lengths are always right, so a fuzzer that knows no formats gets past the first frame.
    """
    stream = b""
    while len(data) >= 2:
        size = data[1]
        payload = data[2 : 2 + size]
        stream += (len(payload) + 1).to_bytes(4, "big") + data[:1] + payload
        data = data[2 + size :]
    return stream


def shortened(stream: bytes) -> bytes:
    """What `framed` makes this stream of; its payloads have less than 256 bytes."""
    short = b""
    while stream:
        size = int.from_bytes(stream[:4], "big")
        payload = stream[5 : 4 + size]
        short += stream[4:5] + bytes([len(payload)]) + payload
        stream = stream[4 + size :]
    return short


def samples() -> Iterator[bytes]:
    """Streams that are right, to start from."""
    entry = raft.Entry(1, 1, b"data", ZERO, bytes(64))
    yield frame_of(FrameType.HELLO, frames.Hello(1, ZERO, ZERO, "rpc", "x"))
    yield frame(FrameType.PING) * 2
    yield frame_of(FrameType.MESSAGE, raft.Append(1, 0, 0, (entry,), 0))
    yield frame_of(FrameType.MESSAGE, Forward((b"record",)))
    yield frame_of(FrameType.MESSAGE, CertificateNews(b"certificate"))
    request = frame_of(FrameType.REQUEST, frames.Request(1, "echo", b"abc"))
    yield request + frame_of(FrameType.CANCEL, frames.Ended(1))
    yield request + frame_of(FrameType.REQUEST, frames.Request(2, "refuse", b""))
    yield request + frame_of(FrameType.REQUEST, frames.Request(3, "none", b""))
    chunk = frame_of(FrameType.CHUNK, frames.Chunk(1, b"data"))
    yield chunk + frame_of(FrameType.END, frames.Ended(1))
    yield chunk + frame_of(FrameType.ERROR, frames.Failed(1, "busy", "later"))
    yield chunk + frame_of(FrameType.GOODBYE, frames.Goodbye("malformed", "no"))


async def _check(data: bytes) -> None:
    before = asyncio.all_tasks()
    await _read_frames(_stream(data))
    with contextlib.suppress(Malformed, asyncio.IncompleteReadError):
        server = RpcServer(ZERO, _stream(data), _Nowhere(), handlers=HANDLERS, in_flight_max=2)
        await server.serve()
    await _call(data)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "a task was left behind"


async def _read_frames(reader: asyncio.StreamReader) -> None:
    while True:
        try:
            kind, payload = await read_frame(reader)
        except (Malformed, asyncio.IncompleteReadError):
            return
        decoder = DECODERS.get(kind)
        if decoder is not None:
            with contextlib.suppress(Malformed):
                assert encode(decoder.decode(payload)) == payload, "a second spelling"


async def _call(data: bytes) -> None:
    client = RpcClient(_stream(data), _Nowhere())
    received = 0
    try:
        async for chunk in client.call("echo", b""):
            received += len(chunk)
    except (RpcError, PeerUnavailable):
        pass
    finally:
        await client.close()
    assert received <= len(data)


async def _echo(_: bytes, body: bytes) -> AsyncIterator[bytes]:
    yield body
    yield body


async def _refuse(_: bytes, __: bytes) -> AsyncIterator[bytes]:
    raise RpcError("refused", "no")
    yield b""


HANDLERS: dict[str, RpcHandler] = {"echo": _echo, "refuse": _refuse}


def _stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


class _Nowhere(asyncio.StreamWriter):
    """Takes everything, at once."""

    def __init__(self) -> None:
        pass

    @property
    def transport(self) -> asyncio.WriteTransport:
        return _Gone()

    def write(self, data: object) -> None:
        return

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        return

    def __del__(self) -> None:
        return


class _Gone(asyncio.WriteTransport):
    def abort(self) -> None:
        return
