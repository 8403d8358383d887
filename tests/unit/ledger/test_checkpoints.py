"""The one spelling of a checkpoint, its limits, and which lines of a note are a node's."""

import base64

import pytest
from builders import Consortium

from ledger.checkpoints import (
    Checkpoint,
    Cosignature,
    contradict,
    cosigner_name,
    from_note,
    parse_checkpoint,
    to_note,
)
from ledger.errors import Malformed
from ledger.notes import COSIGNATURE_TYPE, Note, NoteSignature, key_id

CITY = Consortium()
CHECKPOINT = Checkpoint(CITY.ledger_id, 7, 20, bytes(range(32)))
FIRST, SECOND = CITY.node_ids[:2]


def spelled(**changes: object) -> bytes:
    """A checkpoint's text, whatever its members are."""
    return Checkpoint(
        **({"ledger_id": bytes(32), "height": 7, "tree_size": 20, "root": bytes(32)} | changes)
    ).body()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("concordat/é\n".encode(), "it is not ASCII"),
        (spelled()[:-1], "it needs origin, size, root and height, a line each"),
        (spelled() + b"\n", "it needs origin, size, root and height, a line each"),
        (spelled() + b"x", "it needs origin, size, root and height, a line each"),
        (
            spelled().replace(b"height", b"depth"),
            "it needs origin, size, root and height, a line each",
        ),
        (spelled().replace(b"height 7", b"height x"), "a line is unreadable"),
        (spelled().replace(b"\n20\n", b"\nx\n"), "a line is unreadable"),
        (spelled().replace(b"=\n", b"!\n"), "a line is unreadable"),
        (spelled().replace(b"=\n", b"\n"), "a line is unreadable"),
        (spelled().replace(b"concordat/", b"concordat/x"), "a line is unreadable"),
        (spelled().replace(b"concordat/", b""), "it is not the one accepted spelling"),
        (spelled().replace(b"height 7", b"height 07"), "it is not the one accepted spelling"),
        (spelled().replace(b"\n20\n", b"\n 20\n"), "it is not the one accepted spelling"),
        (spelled(ledger_id=bytes(31)), "it is not the one accepted spelling"),
        (spelled(ledger_id=bytes(33)), "it is not the one accepted spelling"),
        (spelled(root=bytes(31)), "it is not the one accepted spelling"),
        (spelled(root=bytes(33)), "it is not the one accepted spelling"),
        (spelled(height=0), "it is not the one accepted spelling"),
        (spelled(height=2**63), "it is not the one accepted spelling"),
        (spelled(tree_size=0), "it is not the one accepted spelling"),
        (spelled(tree_size=2**63), "it is not the one accepted spelling"),
    ],
)
def test_what_is_wrong_with_a_checkpoints_text_is_said(text: bytes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_checkpoint(text)
    assert str(caught.value) == f"checkpoint: {why}"


@pytest.mark.parametrize("number", [1, 127, 2**63 - 1])
def test_heights_and_sizes_reach_from_one_to_the_largest_natural(number: int) -> None:
    for made in (
        Checkpoint(CITY.ledger_id, number, 20, bytes(32)),
        Checkpoint(CITY.ledger_id, 7, number, bytes(32)),
    ):
        assert parse_checkpoint(made.body()) == made


def lines_of(*cosignatures: Cosignature) -> tuple[NoteSignature, ...]:
    return to_note(CHECKPOINT, cosignatures).signatures


def signed(node_id: bytes, timestamp_s: int = 99) -> Cosignature:
    return Cosignature(node_id, timestamp_s, bytes(64))


def test_lines_that_are_no_nodes_are_skipped_wherever_they_stand() -> None:
    own = cosigner_name(CITY.ledger_id, FIRST)
    wanted = lines_of(signed(FIRST), signed(SECOND))
    strangers = (
        NoteSignature("example.org/witness", b"abcd", bytes(72)),
        NoteSignature(own, key_id(own, COSIGNATURE_TYPE, FIRST), bytes(71)),
        NoteSignature(own[:-1] + "x", b"abcd", bytes(72)),
        NoteSignature(own.upper(), b"abcd", bytes(72)),
        NoteSignature(own, b"abcd", bytes(72)),
        *lines_of(signed(FIRST, 2**63)),
    )
    for stranger in strangers:
        note = Note(CHECKPOINT.body(), (stranger, wanted[0], stranger, wanted[1]))
        assert from_note(note) == (CHECKPOINT, (signed(FIRST), signed(SECOND)))


@pytest.mark.parametrize("timestamp_s", [0, 1, 127, 2**32, 2**63 - 1])
def test_a_cosignatures_moment_reads_back_from_a_note(timestamp_s: int) -> None:
    (line,) = lines_of(signed(FIRST, timestamp_s))
    assert line.signature == timestamp_s.to_bytes(8, "big") + bytes(64)
    note = Note(CHECKPOINT.body(), (line,))
    assert from_note(note) == (CHECKPOINT, (signed(FIRST, timestamp_s),))


def test_a_name_in_capitals_is_another_key() -> None:
    """Hexadecimal in capitals reads as the same bytes, and is another spelling of them."""
    name = cosigner_name(CITY.ledger_id, FIRST)
    prefix, _, node = name.rpartition("/")
    capital = f"{prefix}/{node.upper()}"
    line = NoteSignature(capital, key_id(capital, COSIGNATURE_TYPE, FIRST), bytes(72))
    assert from_note(Note(CHECKPOINT.body(), (line,))) == (CHECKPOINT, ())


def test_a_note_that_is_no_checkpoint_is_malformed() -> None:
    with pytest.raises(Malformed, match="checkpoint: it needs origin"):
        from_note(Note(b"text\n", ()))


def test_a_root_in_the_spelling_of_other_base64_is_refused() -> None:
    root = base64.b64encode(CHECKPOINT.root)
    loose = CHECKPOINT.body().replace(root, root[:-2] + b"9=")
    assert loose != CHECKPOINT.body()
    with pytest.raises(Malformed, match="the one accepted spelling"):
        parse_checkpoint(loose)


@pytest.mark.parametrize("height", [6, 7, 8])
@pytest.mark.parametrize("tree_size", [19, 20, 21])
def test_only_a_later_larger_or_an_earlier_smaller_tree_can_be_of_one_ledger(
    height: int, tree_size: int
) -> None:
    other = Checkpoint(CITY.ledger_id, height, tree_size, CHECKPOINT.root)
    possible = (height, tree_size) in ((6, 19), (7, 20), (8, 21))
    assert contradict(CHECKPOINT, other) is not possible
    assert contradict(other, CHECKPOINT) is not possible
