"""`node.peers.frames`: what is within the limits is read, all else is Malformed or the end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from node.peers import frames
from node.peers.frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    FrameType,
    Hello,
    frame,
    frame_of,
    read_frame,
)

ZERO = bytes(32)

DECODERS = [
    frames.HELLO,
    frames.GOODBYE,
    frames.REQUEST,
    frames.CHUNK,
    frames.ENDED,
    frames.FAILED,
]

PAYLOADS: list[tuple[Decoder, Format]] = [
    (frames.HELLO, Hello(1, ZERO, ZERO, "messages", "concordat/0.1")),
    (frames.HELLO, Hello(1, ZERO, ZERO, "rpc", "")),
    (frames.GOODBYE, frames.Goodbye("wrong-ledger", "another one")),
    (frames.REQUEST, frames.Request(7, "exchange", b"body")),
    (frames.CHUNK, frames.Chunk(7, bytes(100_000))),
    (frames.ENDED, frames.Ended(7)),
    (frames.FAILED, frames.Failed(7, "busy", "später")),
]


def read_all(data: bytes, *, bytes_max: int = FRAME_BYTES_MAX) -> list[tuple[FrameType, bytes]]:
    """The frames of a stream that ends. Raises Malformed or IncompleteReadError."""

    async def read() -> list[tuple[FrameType, bytes]]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        found = []
        while not reader.at_eof():
            found.append(await read_frame(reader, bytes_max=bytes_max))
        return found

    return asyncio.run(read())


def test_a_frame_is_length_type_and_payload() -> None:
    assert frame(FrameType.MESSAGE, b"abc") == b"\x00\x00\x00\x04\x04abc"
    assert frame(FrameType.PING) == b"\x00\x00\x00\x01\x03"


@pytest.mark.parametrize(("decoder", "value"), PAYLOADS, ids=lambda part: type(part).__name__)
def test_a_payload_comes_back(decoder: Decoder, value: Format) -> None:
    ((kind, payload),) = read_all(frame_of(FrameType.REQUEST, value))
    assert kind is FrameType.REQUEST and decoder.decode(payload) == value


def test_frames_follow_each_other() -> None:
    stream = frame(FrameType.MESSAGE, b"1") + frame(FrameType.PING) + frame(FrameType.MESSAGE)
    assert [(kind.name, payload) for kind, payload in read_all(stream)] == [
        ("MESSAGE", b"1"),
        ("PING", b""),
        ("MESSAGE", b""),
    ]


@pytest.mark.parametrize("size", [0, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_outside_the_limits_is_malformed_before_anything_is_read(size: int) -> None:
    with pytest.raises(Malformed, match=f"{size} bytes, 1 to {FRAME_BYTES_MAX} allowed"):
        read_all(size.to_bytes(4, "big") + b"\x04")


def test_the_largest_frame_is_read() -> None:
    ((kind, payload),) = read_all(frame(FrameType.MESSAGE, bytes(FRAME_BYTES_MAX - 1)))
    assert kind is FrameType.MESSAGE and len(payload) == FRAME_BYTES_MAX - 1


def test_a_larger_one_cannot_be_made() -> None:
    with pytest.raises(AssertionError):
        frame(FrameType.MESSAGE, bytes(FRAME_BYTES_MAX))


def test_a_hello_has_a_smaller_limit() -> None:
    with pytest.raises(Malformed, match="1 to 1024 allowed"):
        read_all(frame(FrameType.HELLO, bytes(HELLO_BYTES_MAX)), bytes_max=HELLO_BYTES_MAX)


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_an_unknown_type_is_malformed(kind: int) -> None:
    with pytest.raises(Malformed, match=f"unknown type {kind}"):
        read_all(b"\x00\x00\x00\x01" + bytes([kind]))


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_truncated_frame_is_the_end_of_the_stream(kept: int) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        read_all(frame(FrameType.MESSAGE, b"message")[:kept])


@pytest.mark.parametrize(
    "hello",
    [
        [1, ZERO, ZERO, "gossip", "x"],
        [1, ZERO[:31], ZERO, "rpc", "x"],
        [-1, ZERO, ZERO, "rpc", "x"],
        [1, ZERO, ZERO, "rpc", "x" * 101],
        [1, ZERO, ZERO, "rpc", "x\x00"],
        [1, ZERO, ZERO, "rpc"],
        [1, ZERO, ZERO, "rpc", "x", 0],
    ],
)
def test_a_hello_outside_its_format_is_malformed(hello: list[object]) -> None:
    with pytest.raises(Malformed):
        frames.HELLO.decode(encode(hello))


@given(st.binary(max_size=300))
def test_random_bytes_are_frames_or_malformed_or_cut_short(data: bytes) -> None:
    try:
        found = read_all(data)
    except (Malformed, asyncio.IncompleteReadError):
        return
    assert b"".join(frame(kind, payload) for kind, payload in found) == data


@given(st.sampled_from(FrameType), st.binary(max_size=300))
def test_a_random_payload_is_read_in_its_one_spelling_or_malformed(
    kind: FrameType, data: bytes
) -> None:
    for decoder in DECODERS:
        try:
            value = decoder.decode(data)
        except Malformed:
            continue
        assert frame_of(kind, value) == frame(kind, data)
