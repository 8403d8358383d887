"""Any bytes from a peer are the peer's fault: the check that `make fuzz` runs for longer."""

from random import Random

import pytest
from fuzz.peer_streams import check, framed, samples, shortened
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLES = list(samples())


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_a_right_stream_and_every_cut_of_it_is_read(number: int) -> None:
    assert framed(shortened(SAMPLES[number])) == SAMPLES[number]
    for end in range(len(SAMPLES[number]) + 1):
        check(SAMPLES[number][:end])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 11), st.binary(max_size=60)), max_size=6))
def test_whole_frames_of_anything_in_any_order_harm_nobody(parts: list[tuple[int, bytes]]) -> None:
    check(framed(b"".join(bytes([kind, len(data)]) + data for kind, data in parts)))


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_mutated_streams_harm_nobody(seed: int) -> None:
    dice = Random(seed)
    data = bytearray(b"".join(dice.choice(SAMPLES) for _ in range(dice.randrange(1, 4))))
    for _ in range(dice.randrange(1, 8)):
        place = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                data[place] ^= 1 << dice.randrange(8)
            case 2:
                del data[place : place + dice.randrange(1, 9)]
                data += b"\x00"
            case 3:
                data[place:place] = dice.randbytes(dice.randrange(1, 9))
    check(bytes(data))
