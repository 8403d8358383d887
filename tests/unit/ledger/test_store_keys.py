"""Keys of the store: one prefix per kind, and the order of bytes is the order of numbers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import store_keys
from ledger.store_keys import read_number
from ledger.types import Height, LeafIndex

numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
digests = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=16, max_size=16)
levels = st.integers(0, 255)

BY_NUMBER: dict[bytes, Callable[[int], bytes]] = {
    b"a": lambda number: store_keys.attached_key(LeafIndex(number)),
    b"b": lambda number: store_keys.block_key(Height(number)),
    b"c": lambda number: store_keys.certificate_key(Height(number)),
    b"e": store_keys.entry_key,
    b"l": lambda number: store_keys.leaf_key(LeafIndex(number)),
    b"o": lambda number: store_keys.own_signature_key(Height(number)),
    b"x": store_keys.evidence_key,
}
"""Kinds whose key is a prefix and one number."""

BY_DIGEST: dict[bytes, Callable[[bytes], bytes]] = {
    b"d": store_keys.document_key,
    b"r": store_keys.record_key,
    b"w": store_keys.promise_key,
}
"""Kinds whose key is a prefix and 32 bytes."""

BY_BYTES: dict[bytes, Callable[[bytes], bytes]] = {
    b"p": store_keys.state_page_key,
    b"v": store_keys.state_key,
}
"""Kinds whose key is a prefix and bytes of any length, to the end of the key."""

keys = st.one_of(
    *(st.tuples(st.just(make), st.tuples(numbers)) for make in BY_NUMBER.values()),
    *(st.tuples(st.just(make), st.tuples(digests)) for make in BY_DIGEST.values()),
    *(st.tuples(st.just(make), st.tuples(st.binary(max_size=40))) for make in BY_BYTES.values()),
    st.tuples(st.just(store_keys.nonce_key), st.tuples(digests, nonces)),
)
"""A key's function and its arguments."""


def prefixes() -> dict[str, bytes]:
    return {
        name: value
        for name, value in vars(store_keys).items()
        if name.isupper() and isinstance(value, bytes) and not name.endswith("_MARK")
    }


def marks() -> list[bytes]:
    return [value for name, value in vars(store_keys).items() if name.endswith("_MARK")]


def test_prefixes_are_one_byte_each_unique_and_the_ones_in_the_table() -> None:
    found = list(prefixes().values())
    assert all(len(prefix) == 1 for prefix in found)
    assert found == sorted(set(found))
    assert store_keys.__doc__ is not None
    documented = re.findall(r"^\| `(.)` ", store_keys.__doc__, re.MULTILINE)
    assert [letter.encode() for letter in documented] == found


def test_every_key_function_is_tested_here() -> None:
    public = {name for name in vars(store_keys) if name.endswith("_key")}
    assert len(public) == len(BY_NUMBER) + len(BY_DIGEST) + len(BY_BYTES) + 3
    assert set(prefixes().values()) == {
        *BY_NUMBER,
        *BY_DIGEST,
        *BY_BYTES,
        store_keys.LIST_ITEM,
        store_keys.MARK,
        store_keys.NONCE,
        store_keys.TILE,
    }


def test_marks_lie_under_their_prefix_and_are_unique() -> None:
    assert len(marks()) == len(set(marks())) >= 6
    assert all(mark[:1] == store_keys.MARK and len(mark) > 1 for mark in marks())


@given(numbers)
def test_a_number_reads_back_from_its_key(number: int) -> None:
    for prefix, make in BY_NUMBER.items():
        key = make(number)
        assert (key[:1], len(key)) == (prefix, 9)
        assert read_number(key[1:]) == number


@given(numbers, numbers)
def test_keys_sort_as_their_numbers_do(one: int, other: int) -> None:
    for make in BY_NUMBER.values():
        assert (make(one) < make(other)) is (one < other)


@given(digests, st.binary(max_size=40))
def test_digests_paths_and_state_keys_read_back_from_their_keys(digest: bytes, rest: bytes) -> None:
    for prefix, make in BY_DIGEST.items():
        assert make(digest) == prefix + digest
    for prefix, make_from_bytes in BY_BYTES.items():
        assert make_from_bytes(rest) == prefix + rest


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_state_keys_and_pages_sort_as_the_keys_and_paths_do(one: bytes, other: bytes) -> None:
    for make in BY_BYTES.values():
        assert (make(one) < make(other)) is (one < other)


@given(digests, nonces)
def test_a_record_key_and_its_nonce_read_back_from_their_key(
    record_key: bytes, nonce: bytes
) -> None:
    key = store_keys.nonce_key(record_key, nonce)
    assert (key[:1], key[1:33], key[33:]) == (b"n", record_key, nonce)


@given(st.tuples(digests, numbers), st.tuples(digests, numbers))
def test_the_items_of_a_list_lie_together_in_their_order(
    one: tuple[bytes, int], other: tuple[bytes, int]
) -> None:
    key, other_key = (
        store_keys.list_item_key(digest, number=number) for digest, number in (one, other)
    )
    assert (key[:1], key[1:33], read_number(key[33:])) == (b"i", *one)
    assert (key < other_key) is (one < other)


@given(st.tuples(levels, numbers), st.tuples(levels, numbers))
def test_tiles_sort_by_level_and_then_by_index(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    key, other_key = (
        store_keys.tile_key(level=level, index=index) for level, index in (one, other)
    )
    assert (key[:1], key[1], read_number(key[2:])) == (b"t", *one)
    assert (key < other_key) is (one < other)


@given(keys, keys)
def test_no_two_things_share_a_key(one: Any, other: Any) -> None:
    (make, arguments), (make_other, arguments_other) = one, other
    same = (make, arguments) == (make_other, arguments_other)
    assert (make(*arguments) == make_other(*arguments_other)) is same


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9)])
def test_a_stored_number_of_another_length_is_a_mistake_of_the_caller(data: bytes) -> None:
    with pytest.raises(ValueError, match="a stored number has 8 bytes"):
        read_number(data)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_that_need_more_than_8_bytes_are_a_mistake_of_the_caller(number: int) -> None:
    for make in BY_NUMBER.values():
        with pytest.raises(OverflowError):
            make(number)
    with pytest.raises(OverflowError):
        store_keys.tile_key(level=256, index=0)
