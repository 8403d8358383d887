"""Frames between nodes: their types, their payloads and how they are read within limits."""

import asyncio
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


async def read_frame(
    reader: asyncio.StreamReader, *, bytes_max: int = FRAME_BYTES_MAX
) -> tuple[FrameType, bytes]:
    """The next frame. Raises Malformed, or IncompleteReadError where the stream ends."""
    return await read_content(reader, await read_size(reader, bytes_max=bytes_max))


async def read_size(reader: asyncio.StreamReader, *, bytes_max: int = FRAME_BYTES_MAX) -> int:
    """The bytes that `read_content` has to read; raises as `read_frame`."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if not 1 <= size <= bytes_max:
        raise Malformed("frame", f"{size} bytes, 1 to {bytes_max} allowed")
    return size


async def read_content(reader: asyncio.StreamReader, size: int) -> tuple[FrameType, bytes]:
    """What follows a frame's length; raises as `read_frame`."""
    content = await reader.readexactly(size)
    try:
        return FrameType(content[0]), content[1:]
    except ValueError:
        raise Malformed("frame", f"unknown type {content[0]}") from None
