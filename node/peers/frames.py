"""Frames between nodes: their types, their payloads and how they are read within limits."""

import asyncio
from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Literal

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.types import Hash, Natural, NodeId

OLDEST_VERSION = 1
"""The oldest protocol version that this code still speaks; the newest is `messages`' own."""

FRAME_BYTES_MAX = 17 * 1024 * 1024
"""Limit of a frame, in bytes; greater than the largest peer message."""

HELLO_BYTES_MAX = 1024

Purpose = Literal["messages", "bulk", "rpc"]
"""What a connection is for."""


class FrameType(IntEnum):
    """What a frame carries."""

    HELLO = 1
    GOODBYE = 2
    PING = 3
    MESSAGE = 4
    REQUEST = 5
    CHUNK = 6
    END = 7
    ERROR = 8
    CANCEL = 9


class Hello(Format, frozen=True):
    """The first frame of each side. version: its newest; both speak the older of the two.

    software: for people.
    """

    version: Natural
    ledger_id: Hash
    node_id: NodeId
    purpose: Purpose
    software: Annotated[str, Meta(max_length=100)]


class Goodbye(Format, frozen=True):
    """Why a connection ends. code: "wrong-ledger", "wrong-version", "wrong-node", "malformed"."""

    code: Annotated[str, Meta(max_length=40)]
    detail: Annotated[str, Meta(max_length=300)]


class Request(Format, frozen=True):
    """An RPC. number: the caller's, unique on the connection."""

    number: Natural
    method: Annotated[str, Meta(max_length=40)]
    body: bytes


class Chunk(Format, frozen=True):
    """A part of an answer."""

    number: Natural
    data: bytes


class Ended(Format, frozen=True):
    """The end of an answer, or of a caller's interest in it."""

    number: Natural


class Failed(Format, frozen=True):
    """An answer that is an error."""

    number: Natural
    code: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=2000)]


HELLO: Decoder[Hello] = Decoder(Hello, what="hello", bytes_max=HELLO_BYTES_MAX)
GOODBYE: Decoder[Goodbye] = Decoder(Goodbye, what="goodbye", bytes_max=HELLO_BYTES_MAX)
REQUEST: Decoder[Request] = Decoder(Request, what="request", bytes_max=FRAME_BYTES_MAX)
CHUNK: Decoder[Chunk] = Decoder(Chunk, what="chunk", bytes_max=FRAME_BYTES_MAX)
ENDED: Decoder[Ended] = Decoder(Ended, what="end", bytes_max=64)
FAILED: Decoder[Failed] = Decoder(Failed, what="error", bytes_max=8192)


def frame(kind: FrameType, payload: bytes = b"") -> bytes:
    """A frame's bytes. payload: less than FRAME_BYTES_MAX bytes."""
    assert len(payload) < FRAME_BYTES_MAX, "no node takes such a frame"
    return (len(payload) + 1).to_bytes(4, "big") + bytes([kind]) + payload


def frame_of(kind: FrameType, value: Format) -> bytes:
    """A frame around a format's bytes."""
    return frame(kind, encode(value))


class FrameBuffer:
    """Frames out of the pieces in which a stream comes.

    missing: bytes that the frame under way still lacks, at least; None between frames.
    """

    __slots__ = ("_pieces", "missing")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.missing: int | None = None

    def feed(self, data: bytes) -> Iterator[tuple[FrameType, bytes]]:
        """The frames that are complete now, in order. Raises Malformed."""
        self._pieces.append(data)
        if self.missing is not None and len(data) < self.missing:
            self.missing -= len(data)
            return
        data = b"".join(self._pieces) if len(self._pieces) > 1 else data
        start, end = 0, len(data)
        while end - start >= 4:
            stop = start + 4 + _size(data[start : start + 4], FRAME_BYTES_MAX)
            if stop > end:
                break
            yield _type(data[start + 4]), data[start + 5 : stop]
            start = stop
        rest = data[start:]
        self._pieces = [rest]
        if not rest:
            self.missing = None
        elif len(rest) < 4:
            self.missing = 4 - len(rest)
        else:
            self.missing = 4 + _size(rest[:4], FRAME_BYTES_MAX) - len(rest)


async def read_frame(
    reader: asyncio.StreamReader, *, bytes_max: int = FRAME_BYTES_MAX
) -> tuple[FrameType, bytes]:
    """The next frame. Raises Malformed, or IncompleteReadError where the stream ends."""
    size = _size(await reader.readexactly(4), bytes_max)
    content = await reader.readexactly(size)
    return _type(content[0]), content[1:]


def _size(head: bytes, bytes_max: int) -> int:
    size = int.from_bytes(head, "big")
    if not 1 <= size <= bytes_max:
        raise Malformed("frame", f"{size} bytes, 1 to {bytes_max} allowed")
    return size


def _type(number: int) -> FrameType:
    kind = _TYPES.get(number)
    if kind is None:
        raise Malformed("frame", f"unknown type {number}")
    return kind


_TYPES = {int(kind): kind for kind in FrameType}
