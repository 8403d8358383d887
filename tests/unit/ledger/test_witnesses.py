"""`ledger.witnesses`: requests to witnesses, logs' checkpoints and verifier keys, to the byte."""

from base64 import b64encode
from hashlib import sha256

import pytest
from builders import signer

from ledger.errors import Malformed
from ledger.notes import COSIGNATURE_TYPE, ED25519_TYPE, Note, NoteSignature, key_id
from ledger.witnesses import (
    ML_DSA_44_TYPE,
    NAME_BYTES_MAX,
    PROOF_HASHES_MAX,
    REQUEST_BYTES_MAX,
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


ORIGIN, SIZE, HASH = b"log.example/a\n", b"12\n", b64encode(ROOT) + b"\n"
NEEDED = "it needs origin, size and root, a line each"
NO_HASH = "is no hash of 32 bytes"
SHORT = b64encode(ROOT[:31])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", NEEDED),
        (ORIGIN + SIZE, NEEDED),
        (TEXT[:-1], NEEDED),
        (ORIGIN + b"\n" + HASH, NEEDED),
        (b"\n" + SIZE + HASH, NEEDED),
        (TEXT + b"\n", NEEDED),
        (ORIGIN + b"012\n" + HASH, "'012' is no size"),
        (ORIGIN + b"+12\n" + HASH, "'+12' is no size"),
        (ORIGIN + b"12 \n" + HASH, "'12 ' is no size"),
        (ORIGIN + b"twelve\n" + HASH, "'twelve' is no size"),
        (ORIGIN + b"\xd9\xa1\n" + HASH, "'\u0661' is no size"),
        (ORIGIN + b"%d\n" % 2**63 + HASH, f"'{2**63}' is no size"),
        (ORIGIN + b"%d\n" % 10**50 + HASH, f"'1{'0' * 39}' is no size"),
        (ORIGIN + SIZE + HASH.replace(b"=", b""), f"{HASH[:-2].decode()!r} is no base64"),
        (ORIGIN + SIZE + b"*" + HASH, f"{'*' + HASH[:-1].decode()!r} is no base64"),
        (ORIGIN + SIZE + "é\n".encode(), "'é' is no base64"),
        (ORIGIN + SIZE + b"*" * 70 + b"\n", f"'{'*' * 60}' is no base64"),
        (ORIGIN + SIZE + SHORT + b"\n", f"{SHORT.decode()!r} {NO_HASH}"),
        (ORIGIN + SIZE + b64encode(bytes(60)) + b"\n", f"'{'A' * 60}' {NO_HASH}"),
        (ORIGIN + SIZE + b"A" * 42 + b"B=\n", f"'{'A' * 42}B=' {NO_HASH}"),
        (TEXT.replace(b"log", b"\xff"), "it is not UTF-8"),
        (b"x" * 256 + b"\n" + SIZE + HASH, "its origin is longer than 255 bytes"),
        ("é".encode() * 128 + b"\n" + SIZE + HASH, "its origin is longer than 255 bytes"),
    ],
)
def test_what_is_no_checkpoint_of_a_log_is_malformed(text: bytes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_log_checkpoint(text)
    assert (caught.value.what, caught.value.why) == ("checkpoint", why)
    assert str(caught.value) == f"checkpoint: {why}"


def test_the_longest_origin_is_read_and_named_to_a_cosigner() -> None:
    longest = "x" * NAME_BYTES_MAX
    checkpoint = parse_log_checkpoint(longest.encode() + b"\n" + SIZE + HASH)
    assert checkpoint == LogCheckpoint(longest, 12, ROOT)
    message = cosigned_message(longest, checkpoint, timestamp_s=7)
    assert message.count(b"\xff" + longest.encode()) == 2
    assert b"\x01y" in cosigned_message("y", checkpoint, timestamp_s=7)
    with pytest.raises(AssertionError):
        cosigned_message("", checkpoint, timestamp_s=7)
    with pytest.raises(AssertionError):
        cosigned_message(longest + "x", checkpoint, timestamp_s=7)


BEGINNING = "it does not begin with an old size, a proof and an empty line"


@pytest.mark.parametrize(
    ("body", "what", "why"),
    [
        (b"", "request", BEGINNING),
        (b"old 5\n", "request", BEGINNING),
        (b"new 5\n\n" + NOTE.to_bytes(), "request", BEGINNING),
        (b"old 5\n\xff\n\n" + NOTE.to_bytes(), "request", "its first lines are not ASCII"),
        (b"old -5\n\n" + NOTE.to_bytes(), "checkpoint", "'-5' is no size"),
        (b"old 5\nAA==\n\n" + NOTE.to_bytes(), "checkpoint", f"'AA==' {NO_HASH}"),
        (b"old 5\n" + HASH * 64 + b"\n", "request", "its proof has 64 hashes"),
        (
            bytes(REQUEST_BYTES_MAX + 1),
            "request",
            f"{REQUEST_BYTES_MAX + 1} bytes, at most {REQUEST_BYTES_MAX} are allowed",
        ),
        (bytes(REQUEST_BYTES_MAX), "request", BEGINNING),
    ],
)
def test_what_is_no_request_to_a_witness_is_malformed(body: bytes, what: str, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_add_checkpoint(body)
    assert str(caught.value) == f"{what}: {why}"


@pytest.mark.parametrize(
    ("kind", "length"), [(ED25519_TYPE, 32), (COSIGNATURE_TYPE, 32), (ML_DSA_44_TYPE, 1312)]
)
def test_verifier_keys_are_read_as_they_are_written(kind: int, length: int) -> None:
    known = VerifierKey("w.example/w1", kind, bytes(range(32)) * (length // 32))
    assert parse_verifier_key(str(known)) == known
    name, tag, encoded = str(known).split("+", 2)
    assert tag == key_id(name, kind, known.public_key).hex()
    no_form, no_base64 = "is not name+key id+base64", "has no base64 at its end"
    no_length, no_id = "is not of this length", "its key id is not that of its name and key"
    unknown_type = b64encode(b"\x09" + known.public_key).decode()
    long_name, longer = "x" * NAME_BYTES_MAX, "x" * (NAME_BYTES_MAX + 1)
    at_the_limit = VerifierKey(long_name, kind, known.public_key)
    assert parse_verifier_key(str(at_the_limit)) == at_the_limit
    beyond = str(VerifierKey(longer, kind, known.public_key))
    for wrong, why in (
        (f"{name}+{tag}+{encoded[:-4]}", f"{name}: a key of type {kind} {no_length}"),
        (f"{name}+{tag}+{unknown_type}", f"{name}: a key of type 9 {no_length}"),
        (f"{name}+{tag}+CQ==", f"{name}: a key of type 9 {no_length}"),
        (f"{name}+00000000+{encoded}", f"{name}: {no_id}"),
        (f"other+{tag}+{encoded}", f"other: {no_id}"),
        (f"{name}+{tag}", f"'{name}+{tag}' {no_form}"),
        (f"+{tag}+CQ==", f"'+{tag}+CQ==' {no_form}"),
        (f"x+{'0' * 80}+", f"'x+{'0' * 58}' {no_form}"),
        (beyond, f"'{longer[:60]}' {no_form}"),
        (f"{name}+{tag}+é", f"'{name}+{tag}+é' {no_base64}"),
        (f"{name}+{tag}+*{encoded}", f"{f'{name}+{tag}+*{encoded}'[:60]!r} {no_base64}"),
        (f"{name}+{tag}+CQ==+CQ==", f"'{name}+{tag}+CQ==+CQ==' {no_base64}"),
    ):
        with pytest.raises(Malformed) as caught:
            parse_verifier_key(wrong)
        assert str(caught.value) == f"verifier key: {why}"


def test_a_log_signs_its_note_and_one_wrong_signature_spoils_it() -> None:
    other = VerifierKey("log.example/a", ED25519_TYPE, signer("another").public_key)
    assert signed_by_log(NOTE, [KEY]) and signed_by_log(NOTE, [other, KEY])
    assert not signed_by_log(NOTE, [other])
    assert signed_by_log(NOTE, []) is False
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
    for wrong, why in (
        (b"", "answer: its last line does not end"),
        (body[:-1], "answer: its last line does not end"),
        (b"\xff\n", "answer: it is not UTF-8"),
        (body + b"\n", "note: "),
        (b"text\n", "note: "),
    ):
        with pytest.raises(Malformed) as caught:
            parse_cosignatures(wrong)
        assert str(caught.value).startswith(why)
        assert why == "note: " or str(caught.value) == why
