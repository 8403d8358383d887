"""One spelling per value, and text that every Python judges alike."""

from typing import Annotated, Literal

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import Decoder, Format, _fault_of_texts, _finder, _is_plain, encode
from ledger.errors import Malformed
from ledger.text import _ASSIGNED_IN_15, _is_later_than_14, text_fault


class Inner(Format, frozen=True):
    name: str


class Outer(Format, frozen=True):
    number: int
    data: bytes
    inner: tuple[Inner, ...]
    note: str | None
    rest: msgspec.Raw


OUTER: Decoder[Outer] = Decoder(Outer, what="outer", bytes_max=1_000)


def outer(**changes) -> Outer:
    fields = {
        "number": 5,
        "data": b"\x00",
        "inner": (Inner("é"),),
        "note": None,
        "rest": msgspec.Raw(b"\x01"),
    }
    return Outer(**(fields | changes))


def test_a_value_reads_back_and_an_independent_decoder_agrees() -> None:
    data = encode(outer())
    assert OUTER.decode(data) == outer()
    assert msgpack.unpackb(data) == [5, b"\x00", [["é"]], None, 1]


@pytest.mark.parametrize(
    "spelling",
    [
        b"\x95\xcc\x05\xc4\x01\x00\x91\x91\xa2\xc3\xa9\xc0\x01",  # 5 in two bytes
        b"\x95\x05\xc5\x00\x01\x00\x91\x91\xa2\xc3\xa9\xc0\x01",  # a long length of bytes
        b"\xdc\x00\x05\x05\xc4\x01\x00\x91\x91\xa2\xc3\xa9\xc0\x01",  # a long length of an array
        b"\x95\x05\xc4\x01\x00\x91\x91\xd9\x02\xc3\xa9\xc0\x01",  # a long length of a text
    ],
)
def test_a_second_spelling_of_the_same_value_is_malformed(spelling: bytes) -> None:
    assert msgpack.unpackb(spelling) == msgpack.unpackb(encode(outer()))
    with pytest.raises(Malformed, match="one accepted spelling"):
        OUTER.decode(spelling)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (encode(outer()) + b"\x00", "trailing"),
        (encode(outer())[:-1], "truncated"),
        (b"\x81\xa6number\x05", "Expected `array`"),
        (b"\x95\x05\xc4\x01\x00\x91\x91\xa1\xff\xc0\x01", "utf-8"),
        (bytes(1_001), "at most 1000"),
        (b"\x96\x05\xc4\x01\x00\x90\xc0\x01\x02", "at most length 5"),
    ],
)
def test_bytes_that_are_not_the_format_are_malformed(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        OUTER.decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_decode_to_their_own_spelling_or_are_malformed(data: bytes) -> None:
    try:
        value = OUTER.decode(data)
    except Malformed:
        return
    assert encode(value) == data


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("plain\ttext\n", None),
        ("", None),
        ("市民", None),
        ("é", None),
        ("e\u0301", "Normalization Form C"),
        ("bell\x07", "control character"),
        ("é\x07", "control character"),
        ("del\x7f", "control character"),
        ("c1\x85", "control character"),
        ("new in 15: \U0001fae8", "not a character of Unicode 14.0"),
        ("new in 15: \U00031350", "not a character of Unicode 14.0"),
        ("unassigned: \U0003fffd", "not a character of Unicode 14.0"),
        ("\u0378", "not a character of Unicode 14.0"),
        ("in 14: \U0001fae7", None),
    ],
)
def test_text_is_nfc_over_unicode_14_without_controls(text: str, fault: str | None) -> None:
    found = text_fault(text)
    assert (found is None) if fault is None else fault in (found or "")


def test_what_is_wrong_with_a_text_is_said_in_whole_sentences() -> None:
    assert text_fault("é\x07") == text_fault("\x07") == "it contains a control character"
    assert text_fault("\ud800") == "U+D800 is not a character of Unicode 14.0"
    assert text_fault("e\u0301") == "it is not in Unicode Normalization Form C"
    assert text_fault("é\n\t") is None


def test_every_range_that_unicode_15_added_is_later_than_14_and_its_neighbours_are_not() -> None:
    # Python 3.11 knows none of them; where 3.12 knows them, this alone refuses them.
    for first, last in _ASSIGNED_IN_15:
        assert _is_later_than_14(first) and _is_later_than_14(last)
        assert not _is_later_than_14(first - 1) and not _is_later_than_14(last + 1)
    assert not _is_later_than_14(ord("a")) and not _is_later_than_14(0x10FFFF)


@pytest.mark.parametrize("field", [{"note": "e\u0301"}, {"inner": (Inner("ok"), Inner("\x00"))}])
def test_text_outside_the_rules_is_malformed_wherever_it_stands(field) -> None:
    with pytest.raises(Malformed, match="Normalization|control"):
        OUTER.decode(encode(outer(**field)))


def test_limits_in_the_format_are_checked() -> None:
    class Limited(Format, frozen=True):
        digest: Annotated[bytes, msgspec.Meta(min_length=2, max_length=2)]

    decoder: Decoder[Limited] = Decoder(Limited, what="limited", bytes_max=100)
    tight: Decoder[Limited] = Decoder(Limited, what="limited", bytes_max=5)
    assert tight.decode(encode(Limited(b"ab"))) == Limited(b"ab"), "5 bytes of at most 5"
    assert decoder.decode(encode(Limited(b"ab"))).digest == b"ab"
    with pytest.raises(Malformed, match="length"):
        decoder.decode(encode(Limited(b"abc")))


def test_a_decoder_that_remembers_gives_the_same_as_one_that_does_not() -> None:
    decoder: Decoder[Inner] = Decoder(Inner, what="inner", bytes_max=100, remembered=4)
    for _ in range(2):
        for number in range(10):
            value = Inner(f"name {number}")
            assert decoder.decode(encode(value)) == value
            assert decoder.decode(encode(value)) is decoder.decode(encode(value))
    bad = encode(Inner("e\u0301"))
    for _ in range(2):
        with pytest.raises(Malformed, match="Normalization"):
            decoder.decode(bad)


@pytest.mark.parametrize(
    ("pattern", "plain"),
    [
        (r"\A[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", True),
        (r"\A[a-z]+\.[A-Z]*\Z", True),
        (None, False),
        (r"[a-z]", False),
        (r"\A[a-z]", False),
        (r"\A.\Z", False),
        (r"\A\w\Z", False),
        (r"\A[^a]\Z", False),
        (r"\Aa|b\Z", False),
        (r"\A(?i:k)\Z", False),
        ("\\A\u00e9\\Z", False),
        ("\\A[\t-z]\\Z", False),
    ],
)
def test_only_a_pattern_of_plain_ascii_spares_a_text_its_second_look(pattern, plain) -> None:
    assert _is_plain(pattern) is plain


class Tagged(Format, frozen=True, tag=2):
    name: str


def test_text_is_found_in_every_shape_of_format() -> None:
    class Shapes(Format, frozen=True):
        either: Tagged | None
        pair: tuple[int, str]
        many: tuple[tuple[str, ...], ...]
        maybe: str | int

    decoder: Decoder[Shapes] = Decoder(Shapes, what="shapes", bytes_max=200)
    good = Shapes(Tagged("a"), (1, "b"), (("c",), ()), 7)
    assert decoder.decode(encode(good)) == good
    for field, value in (
        ("either", Tagged("\x07")),
        ("pair", (1, "\x07")),
        ("many", (("c", "\x07"),)),
        ("maybe", "\x07"),
    ):
        with pytest.raises(Malformed, match="control"):
            decoder.decode(encode(msgspec.structs.replace(good, **{field: value})))


class Labelled(Format, frozen=True, tag=3):
    number: int
    data: bytes
    label: str
    several: tuple[str, ...] = ()


def test_text_is_found_in_formats_that_may_stand_in_each_others_place() -> None:
    decoder: Decoder[Tagged | Labelled] = Decoder(
        Tagged | Labelled, what="one of two", bytes_max=200
    )
    for good in (Tagged("a"), Labelled(1, b"", "b", ("c",))):
        assert decoder.decode(encode(good)) == good
    for bad in (
        Tagged("\x07"),
        Labelled(1, b"", "\x07"),
        Labelled(1, b"", "b", ("c", "\x07")),
    ):
        with pytest.raises(Malformed) as caught:
            decoder.decode(encode(bad))
        assert str(caught.value) == "one of two: it contains a control character"


def test_a_format_is_named_in_what_is_wrong_with_it() -> None:
    for data, why in (
        (bytes(1_001), "1001 bytes, at most 1000 allowed"),
        (b"\x95\xcc\x05\xc4\x01\x00\x91\x91\xa2\xc3\xa9\xc0\x01", "not the one accepted spelling"),
        (encode(outer(note="\x07")), "it contains a control character"),
        (b"", "Input data was truncated"),
    ):
        with pytest.raises(Malformed) as caught:
            OUTER.decode(data)
        assert str(caught.value).startswith(f"outer: {why}")


def test_what_was_decoded_before_is_decoded_again_unchecked() -> None:
    assert OUTER.reread(encode(outer())) == outer()
    assert OUTER.reread(encode(outer(note="\x07"))).note == "\x07"


def test_a_decoder_keeps_nothing_unless_it_is_told_to() -> None:
    decoder: Decoder[Inner] = Decoder(Inner, what="inner", bytes_max=100)
    data = encode(Inner("a"))
    assert decoder.decode(data) is not decoder.decode(data)


def test_a_format_that_can_hold_no_text_is_not_walked() -> None:
    class Silent(Format, frozen=True):
        number: int
        data: bytes
        flag: bool
        nothing: None
        raw: msgspec.Raw
        kind: Literal["a", "b"]
        name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z]+\Z")]
        several: tuple[int, ...]
        maybe: int | None

    class Around(Format, frozen=True):
        inner: Silent
        more: tuple[Silent, ...]

    for form in (Silent, Around, tuple[Silent, ...], Silent | None, bytes):
        assert _finder(msgspec.inspect.type_info(form)) is None, form


def test_text_is_looked_for_in_the_way_of_each_shape() -> None:
    fault = "it contains a control character"
    for form, good, bad in (
        (str, "a", "\x07"),
        (str | None, None, "\x07"),
        (str | int, 1, "\x07"),
        (tuple[str, ...], ("a", "b"), ("a", "\x07")),
        (Inner | None, None, Inner("\x07")),
        (Labelled, Labelled(1, b"", "a"), Labelled(1, b"", "a", ("\x07",))),
    ):
        find = _finder(msgspec.inspect.type_info(form))
        assert find is not None
        assert (find(good), find(bad)) == (None, fault)
    ways = {
        str: text_fault,
        str | int: _fault_of_texts,
        Tagged | Labelled: _fault_of_texts,
    }
    for form, way in ways.items():
        assert _finder(msgspec.inspect.type_info(form)) is way
    for form in (str | None, tuple[str, ...], Inner, Inner | None):
        assert _finder(msgspec.inspect.type_info(form)) is not _fault_of_texts
