"""`ledger.witnesses`: requests to witnesses, logs' checkpoints and verifier keys, to the byte."""

from base64 import b64encode
from hashlib import sha256

import pytest
from builders import signer

from ledger.errors import Malformed
from ledger.notes import COSIGNATURE_TYPE, ED25519_TYPE, Note, NoteSignature, key_id
from ledger.witnesses import (
    ML_DSA_44_TYPE,
    PROOF_HASHES_MAX,
    AddCheckpoint,
    LogCheckpoint,
    VerifierKey,
    cosigned_message,
    cosigned_text,
    parse_add_checkpoint,
    parse_cosignatures,
    parse_log_checkpoint,
    parse_verifier_key,
    signed_by_log,
    timestamp_of,
)

ROOT = sha256(b"root").digest()
TEXT = b"log.example/a\n12\n" + b64encode(ROOT) + b"\nheight 3\n"
LOG = signer("a log")
KEY = VerifierKey("log.example/a", ED25519_TYPE, LOG.public_key)


def line_by(known: VerifierKey, signature: bytes) -> NoteSignature:
    return NoteSignature(known.name, known.key_id, signature)


NOTE = Note(TEXT, (line_by(KEY, LOG.sign(TEXT)),))


def test_a_request_is_these_bytes_and_parses_back() -> None:
    asked = AddCheckpoint(5, (ROOT, bytes(32)), NOTE)
    expected = b"old 5\n" + b64encode(ROOT) + b"\n" + b64encode(bytes(32)) + b"\n\n"
    assert asked.to_bytes() == expected + NOTE.to_bytes()
    assert parse_add_checkpoint(asked.to_bytes()) == asked
    first = AddCheckpoint(0, (), NOTE)
    assert parse_add_checkpoint(first.to_bytes()) == first
    longest = AddCheckpoint(1, (ROOT,) * PROOF_HASHES_MAX, NOTE)
    assert parse_add_checkpoint(longest.to_bytes()) == longest
    with pytest.raises(Malformed, match="64 hashes"):
        too_long = (ROOT,) * (PROOF_HASHES_MAX + 1)
        parse_add_checkpoint(AddCheckpoint(1, too_long, NOTE).to_bytes())


def test_any_logs_checkpoint_is_read_and_its_extensions_are_skipped() -> None:
    assert parse_log_checkpoint(TEXT) == LogCheckpoint("log.example/a", 12, ROOT)
    empty = b"log.example/a\n0\n" + b64encode(ROOT) + b"\n"
    assert parse_log_checkpoint(empty).tree_size == 0
    largest = TEXT.replace(b"\n12\n", b"\n%d\n" % (2**63 - 1))
    assert parse_log_checkpoint(largest).tree_size == 2**63 - 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"log.example/a\n12\n",
        TEXT[:-1],
        TEXT.replace(b"\n12\n", b"\n012\n"),
        TEXT.replace(b"\n12\n", b"\n+12\n"),
        TEXT.replace(b"\n12\n", b"\n12 \n"),
        TEXT.replace(b"\n12\n", b"\n\xd9\xa1\n"),
        TEXT.replace(b"\n12\n", b"\n%d\n" % 2**63),
        TEXT.replace(b"\n12\n", b"\n\n"),
        TEXT.replace(b"=", b""),
        TEXT.replace(b64encode(ROOT), b64encode(ROOT[:31])),
        b"\n12\n" + b64encode(ROOT) + b"\n",
        TEXT.replace(b"log", b"\xff"),
        b"x" * 256 + TEXT.removeprefix(b"log.example/a"),
    ],
)
def test_what_is_no_checkpoint_of_a_log_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_log_checkpoint(text)


@pytest.mark.parametrize(
    ("kind", "length"), [(ED25519_TYPE, 32), (COSIGNATURE_TYPE, 32), (ML_DSA_44_TYPE, 1312)]
)
def test_verifier_keys_are_read_as_they_are_written(kind: int, length: int) -> None:
    known = VerifierKey("w.example/w1", kind, bytes(range(32)) * (length // 32))
    assert parse_verifier_key(str(known)) == known
    name, tag, encoded = str(known).split("+", 2)
    assert tag == key_id(name, kind, known.public_key).hex()
    for wrong in (
        f"{name}+{tag}+{encoded[:-4]}",
        f"{name}+00000000+{encoded}",
        f"other+{tag}+{encoded}",
        f"{name}+{tag}",
        f"+{tag}+{encoded}",
        f"{name}+{tag}+é",
        f"{name}+{tag}+" + b64encode(b"\x09" + known.public_key).decode(),
    ):
        with pytest.raises(Malformed):
            parse_verifier_key(wrong)


def test_a_log_signs_its_note_and_one_wrong_signature_spoils_it() -> None:
    other = VerifierKey("log.example/a", ED25519_TYPE, signer("another").public_key)
    assert signed_by_log(NOTE, [KEY]) and signed_by_log(NOTE, [other, KEY])
    assert not signed_by_log(NOTE, [other])
    assert not signed_by_log(NOTE, [])
    forged = line_by(other, bytes(64))
    assert signed_by_log(Note(TEXT, (*NOTE.signatures, forged)), [KEY]), "an unknown key's"
    assert not signed_by_log(Note(TEXT, (*NOTE.signatures, forged)), [KEY, other])
    assert not signed_by_log(Note(TEXT + b"more\n", NOTE.signatures), [KEY])


def test_what_a_cosigner_signs_is_as_the_specification_says() -> None:
    assert cosigned_text(TEXT, timestamp_s=7) == b"cosignature/v1\ntime 7\n" + TEXT
    message = cosigned_message("w.example", parse_log_checkpoint(TEXT), timestamp_s=7)
    assert message.hex() == (
        "737562747265652f76310a00"
        + "09" + b"w.example".hex()
        + "0000000000000007"
        + "0d" + b"log.example/a".hex()
        + "0000000000000000" + "000000000000000c"
        + ROOT.hex()
    )  # fmt: skip


def test_an_answer_is_one_signature_line_or_more() -> None:
    witness = VerifierKey("w.example", COSIGNATURE_TYPE, signer("w").public_key)
    line = line_by(witness, (9).to_bytes(8, "big") + bytes(64))
    body = Note(b"", (line, line)).to_bytes().removeprefix(b"\n")
    assert parse_cosignatures(body) == (line, line)
    assert timestamp_of(line) == 9 and witness.made(line) and not KEY.made(line)
    for wrong in (b"", body[:-1], body + b"\n", b"\xff\n", b"text\n"):
        with pytest.raises(Malformed):
            parse_cosignatures(wrong)
