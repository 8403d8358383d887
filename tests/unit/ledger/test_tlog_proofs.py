"""C2SP tlog-proofs: the file by hand, its limits, and every other spelling refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.notes import Note, NoteSignature
from ledger.tlog_proofs import PATH_LINES_MAX, TLOG_PROOF_BYTES_MAX, TlogProof, parse_tlog_proof

NOTE = Note(b"example.org/log\n9\nAAAA\n", (NoteSignature("example.org/log", b"abcd", bytes(64)),))
PATH = (bytes(range(32)), bytes(range(32, 64)))
PROOF = TlogProof(5, PATH, NOTE, b"leaf")


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refusal(data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse_tlog_proof(data)
    return str(caught.value)


def test_a_proof_is_what_the_c2sp_page_says() -> None:
    head = f"c2sp.org/tlog-proof@v1\nextra {base(b'leaf')}\nindex 5\n"
    body = "".join(f"{base(digest)}\n" for digest in PATH)
    assert PROOF.to_bytes() == (head + body + "\n").encode() + NOTE.to_bytes()
    assert parse_tlog_proof(PROOF.to_bytes()) == PROOF


@pytest.mark.parametrize("extra", [None, b"", b"\xff\x00"])
@pytest.mark.parametrize("index", [0, 1, 126, 2**63 - 1])
@pytest.mark.parametrize("hashes", [0, 1, PATH_LINES_MAX])
def test_what_may_stand_in_a_proof_reads_back(extra: bytes | None, index: int, hashes: int) -> None:
    proof = TlogProof(index, (PATH[0],) * hashes, NOTE, extra)
    assert parse_tlog_proof(proof.to_bytes()) == proof


@pytest.mark.parametrize(
    "data",
    [
        TlogProof(-1, PATH, NOTE).to_bytes(),
        TlogProof(2**63, PATH, NOTE).to_bytes(),
        TlogProof(5, (PATH[0],) * (PATH_LINES_MAX + 1), NOTE).to_bytes(),
        TlogProof(5, (bytes(31),), NOTE).to_bytes(),
        TlogProof(5, (PATH[0], bytes(33)), NOTE).to_bytes(),
        PROOF.to_bytes().replace(b"@v1", b"@v2"),
        PROOF.to_bytes().replace(b"index 5", b"index 05"),
        PROOF.to_bytes().replace(b"index 5", b"5"),
        PROOF.to_bytes().replace(b"index 5", b"Index 5").replace(b"Index ", b""),
        PROOF.to_bytes().replace(b"extra bGVhZg==", b"extra bGVhZh=="),
    ],
)
def test_what_may_not_stand_in_a_proof_is_said_to_be_another_spelling(data: bytes) -> None:
    assert refusal(data) == "tlog-proof: it is not the one accepted spelling"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\n",
        PROOF.to_bytes().replace(b"index 5", b"index five"),
        PROOF.to_bytes().replace(b"index 5\n", b""),
        PROOF.to_bytes().replace(b"extra bGVhZg==", b"extra bGVhZg"),
        PROOF.to_bytes().replace(b"extra bGVhZg==", b"extra bGVh Zg=="),
        PROOF.to_bytes().replace(b"index 5\n", b"index 5\nAAA*\n"),
        PROOF.to_bytes().replace(b"index 5\n", "index 5\n\u00e9\n".encode()),
    ],
)
def test_lines_that_cannot_be_read_are_said_to_be_so(data: bytes) -> None:
    assert refusal(data) == "tlog-proof: a line is unreadable"


def test_a_proof_without_a_note_is_told_what_its_note_lacks() -> None:
    head = PROOF.to_bytes().partition(b"\n\n")[0]
    assert refusal(head) == "note: no empty line separates its text from its signatures"


def test_the_limit_of_bytes_is_reached_exactly() -> None:
    most = PROOF.to_bytes()
    more = b"x" * (TLOG_PROOF_BYTES_MAX - len(most) + 1)
    assert refusal(most + more) == "tlog-proof: 1114113 bytes, at most 1114112 allowed"
    assert refusal(most + more[1:]).startswith("note: 11139"), "only its note is too long"


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_changed_byte_makes_another_proof_or_none(place: int, flip: int) -> None:
    data = bytearray(PROOF.to_bytes())
    data[place % len(data)] ^= flip
    try:
        parsed = parse_tlog_proof(bytes(data))
    except Malformed:
        return
    assert parsed != PROOF and parsed.to_bytes() == bytes(data)
