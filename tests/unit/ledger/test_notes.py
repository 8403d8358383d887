"""Signed notes (c2sp.org/signed-note): one spelling, limits to the line, words on what failed."""

import base64
from hashlib import sha256

import pytest

from ledger.errors import Malformed
from ledger.notes import (
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    Note,
    NoteSignature,
    key_id,
    parse_note,
    signature_lines,
    verifier_key,
)

DASH = "\u2014"
GOOD = f"{DASH} example.org/x AAAAAAA=".encode()
"""A signature line of the least length, five bytes, without its line feed."""


def refusal(data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse_note(data)
    return str(caught.value)


def test_a_note_reads_back_with_every_line_of_its_text() -> None:
    data = b"one\ntwo\n\nthree\n\n" + GOOD + b"\n"
    note = parse_note(data)
    assert note == Note(
        b"one\ntwo\n\nthree\n", (NoteSignature("example.org/x", bytes(4), bytes(1)),)
    )
    assert note.to_bytes() == data


def test_text_may_hold_any_character_but_controls() -> None:
    accepted = "a b\u00e9\u5e02\n".encode()
    assert parse_note(accepted + b"\n" + GOOD + b"\n").text == accepted
    for control in (b"\x00", b"\t", b"\r", b"\x1f"):
        assert refusal(b"a" + control + b"b\n\n" + GOOD + b"\n") == (
            "note: it contains a control character"
        )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bytes(NOTE_BYTES_MAX + 1), "1048577 bytes, at most 1048576 allowed"),
        (b"\xff\n\n" + GOOD + b"\n", "it is not UTF-8"),
        (b"text\n" + GOOD + b"\n", "no empty line separates its text from its signatures"),
        (b"\n\n" + GOOD + b"\n", "no empty line separates its text from its signatures"),
        (b"text\n\n" + GOOD, "no empty line separates its text from its signatures"),
        (b"text\n\n" + GOOD + b"x", "no empty line separates its text from its signatures"),
    ],
)
def test_what_is_wrong_with_a_note_is_said(data: bytes, why: str) -> None:
    assert refusal(data) == f"note: {why}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("- name AAAAAAA=", "unreadable signature line '- name AAAAAAA='"),
        (f"{DASH}name AAAAAAA=", f"unreadable signature line '{DASH}name AAAAAAA='"),
        (f"{DASH} name", f"unreadable signature line '{DASH} name'"),
        (f"{DASH}  AAAAAAA=", f"unreadable signature line '{DASH}  AAAAAAA='"),
        (f"{DASH} na+me AAAAAAA=", f"unreadable signature line '{DASH} na+me AAAAAAA='"),
        ("x" * 60, f"unreadable signature line '{'x' * 40}'"),
        (f"{DASH} name AAA*AAA=", "a signature line is not base64"),
        (f"{DASH} name AAA\u00e9AAA=", "a signature line is not base64"),
        (f"{DASH} name AAAAAAA", "a signature line is not base64"),
        (f"{DASH} name AAAAAA==", "a signature line is too short or spelled in a second way"),
        (f"{DASH} name AAAAAAB=", "a signature line is too short or spelled in a second way"),
        (f"{DASH} name AAAA AAA=", "a signature line is not base64"),
    ],
)
def test_what_is_wrong_with_a_signature_line_is_said(line: str, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        signature_lines([GOOD.decode(), line])
    assert str(caught.value) == f"note: {why}"


def test_limits_are_reached_exactly() -> None:
    lines = [GOOD.decode()] * SIGNATURES_MAX
    assert len(signature_lines(lines)) == SIGNATURES_MAX
    with pytest.raises(Malformed) as caught:
        signature_lines([*lines, GOOD.decode()])
    assert str(caught.value) == "note: 1101 signatures, at most 1100 allowed"
    tail = b"\n\n" + GOOD + b"\n"
    text = b"x" * (NOTE_BYTES_MAX - len(tail))
    assert len(parse_note(text + tail).text) == len(text) + 1


def test_a_key_id_is_the_start_of_the_digest_of_name_type_and_key() -> None:
    made = key_id("example.org/\u00e9", 4, bytes(range(32)))
    assert made == sha256("example.org/\u00e9\n\x04".encode() + bytes(range(32))).digest()[:4]
    spelled = verifier_key("example.org/x", 4, bytes(range(32)))
    assert spelled == (
        f"example.org/x+{key_id('example.org/x', 4, bytes(range(32))).hex()}+"
        f"{base64.b64encode(bytes([4, *range(32)])).decode()}"
    )


def test_a_note_without_signatures_is_its_text_and_an_empty_line() -> None:
    assert Note(b"text\n", ()).to_bytes() == b"text\n\n"
