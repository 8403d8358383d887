"""Genesis and enrolment: the files that people mail, and every way they can be wrong."""

import json
from base64 import b64encode
from hashlib import sha256

import msgspec
import pytest
from builders import Consortium
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import encode
from ledger.errors import BadSignature, Malformed
from ledger.genesis import (
    GENESIS_FILE_BYTES_MAX,
    JOINING_BYTES_MAX,
    JOINING_KEYS_MAX,
    EnrolmentFile,
    FounderSignature,
    GenesisFile,
    Setting,
    SignedEnrolment,
    fingerprint,
    open_enrolment,
    parse_enrolment_file,
    parse_genesis,
    parse_genesis_file,
)
from ledger.statements import genesis_statement
from ledger.store_keys import read_number
from ledger.types import (
    Height,
    LeafIndex,
    TreeSize,
    height_of_entry,
    next_height,
    next_leaf_index,
    size_through,
)

CITY = Consortium()
FILE = CITY.genesis_file


def test_a_genesis_file_reads_back_and_holds() -> None:
    parsed = parse_genesis_file(FILE.to_json())
    assert parsed == FILE
    parsed.check()
    assert parsed.ledger_id == sha256(FILE.genesis_bytes).digest()


def test_a_fingerprint_is_twelve_groups_of_five_digits() -> None:
    groups = FILE.fingerprint.split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert FILE.fingerprint.replace(" ", "").isdigit()
    assert fingerprint(bytes(32)) != fingerprint(bytes(31) + b"\x01")
    digest = sha256(b"concordat/fingerprint/v1\x00" + FILE.ledger_id).hexdigest()
    digits = str(int(digest, 16) % 10**60).zfill(60)
    expected = [digits[place : place + 5] for place in range(0, 60, 5)]
    assert groups == expected[::-1], "the lowest five digits first"


def test_a_missing_founder_is_named() -> None:
    partly = GenesisFile(FILE.genesis, FILE.genesis_bytes, FILE.signatures[1:])
    assert partly.missing_founders() == ("civil-affairs",)
    partly.check_signatures()
    with pytest.raises(BadSignature) as caught:
        partly.check()
    assert str(caught.value) == "genesis: not signed by civil-affairs"
    nobody = GenesisFile(FILE.genesis, FILE.genesis_bytes, ())
    with pytest.raises(BadSignature) as caught:
        nobody.check()
    missing = ", ".join(entry.department for entry in FILE.genesis.departments)
    assert str(caught.value) == f"genesis: not signed by {missing}"


def test_founders_signatures_count_once_by_their_own_key_and_must_fit() -> None:
    first = FILE.signatures[0]
    statement = genesis_statement(FILE.ledger_id)
    stranger = CITY.record_signer("housing")
    by_stranger = stranger.public_key, stranger.sign(statement)
    why = "signed twice or with a key it has not enrolled"
    forged = FounderSignature(first.department, first.key, bytes(64))
    for signatures, wrong in (
        ((first, *FILE.signatures), f"{first.department} {why}"),
        (
            (FounderSignature(first.department, *by_stranger), *FILE.signatures[1:]),
            f"{first.department} {why}",
        ),
        ((*FILE.signatures, FounderSignature("nobody", *by_stranger)), f"nobody {why}"),
        ((forged, *FILE.signatures[1:]), f"the signature of {first.department} does not fit"),
    ):
        with pytest.raises(BadSignature) as caught:
            GenesisFile(FILE.genesis, FILE.genesis_bytes, signatures).check()
        assert str(caught.value) == f"genesis: {wrong}"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"departments": FILE.genesis.departments[::-1]},
            "its departments are not sorted and unique",
        ),
        ({"voters": FILE.genesis.voters[::-1]}, "its voters are not sorted and unique"),
        ({"voters": (bytes(32),)}, "a voter is no department's node"),
        (
            {"settings": (Setting("b", 1), Setting("a", 1))},
            "its settings are not sorted and unique",
        ),
        (
            {
                "departments": (
                    msgspec.structs.replace(
                        FILE.genesis.departments[0],
                        record_keys=FILE.genesis.departments[1].record_keys,
                    ),
                    *FILE.genesis.departments[1:],
                )
            },
            "one key is enrolled twice",
        ),
    ],
)
def test_a_genesis_outside_its_rules_is_malformed(changes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_genesis(encode(msgspec.structs.replace(FILE.genesis, **changes)))
    assert str(caught.value) == f"genesis: {why}"


def spoiled(made: GenesisFile | EnrolmentFile = FILE, **changes) -> bytes:
    content = json.loads(made.to_json())
    return json.dumps(content | changes).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"not json", "malformed"),
        (b"\xff", "JSON is malformed|utf-8|invalid"),
        (bytes(5 * 1024 * 1024), "at most"),
        (spoiled(concordat="genesis/2"), "genesis/2"),
        (spoiled(extra=1), "unknown field"),
        (spoiled(fingerprint="0"), "fingerprint"),
        (spoiled(genesis="é"), "base64"),
        (spoiled(genesis="AAA"), "base64"),
        (spoiled(signatures=[{}]), "signature is unreadable"),
        (
            spoiled(signatures=[{"department": "a", "key": "zz", "signature": ""}]),
            "signature is unreadable",
        ),
        (
            spoiled(signatures=[{"department": "a", "key": "00", "signature": ""}]),
            "signature is unreadable",
        ),
    ],
)
def test_a_spoiled_genesis_file_is_malformed(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=f"^genesis file: .*({why})"):
        parse_genesis_file(data)


MADE = CITY.enrolment_file("housing")
NO_BASE64 = "a field is not base64"
SIGNED = {"department": "a", "key": "00", "signature": "*AA="}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (spoiled(fingerprint="0"), "genesis file: its fingerprint is not that of its genesis"),
        (
            spoiled(genesis="*" + b64encode(FILE.genesis_bytes).decode()),
            f"genesis file: {NO_BASE64}",
        ),
        (spoiled(signatures=[SIGNED]), f"genesis file: {NO_BASE64}"),
        (
            spoiled(MADE, fingerprint="0"),
            "enrolment file: its fingerprint is not that of its content",
        ),
        (spoiled(MADE, enrolment="é"), f"enrolment file: {NO_BASE64}"),
        (spoiled(MADE, signatures=["AAA"]), f"enrolment file: {NO_BASE64}"),
    ],
)
def test_a_spoiled_file_says_which_part_is_wrong(data: bytes, why: str) -> None:
    parse = parse_genesis_file if why.startswith("genesis") else parse_enrolment_file
    with pytest.raises(Malformed) as caught:
        parse(data)
    assert str(caught.value) == why


def test_a_file_at_its_limit_is_looked_at_and_one_beyond_is_not() -> None:
    for parse, what in ((parse_genesis_file, "genesis"), (parse_enrolment_file, "enrolment")):
        with pytest.raises(Malformed, match=f"^{what} file: JSON is malformed"):
            parse(bytes(GENESIS_FILE_BYTES_MAX))
        with pytest.raises(Malformed) as caught:
            parse(bytes(GENESIS_FILE_BYTES_MAX + 1))
        size = f"{GENESIS_FILE_BYTES_MAX + 1} bytes, at most {GENESIS_FILE_BYTES_MAX} allowed"
        assert str(caught.value) == f"{what} file: {size}"


def test_files_are_written_for_people_to_look_at() -> None:
    for made in (FILE, MADE):
        content = json.loads(made.to_json())
        assert made.to_json() == json.dumps(content, indent=2).encode() + b"\n"


def test_an_enrolment_that_fits_travels_in_a_record() -> None:
    signed = MADE.signed()
    assert open_enrolment(signed) == MADE
    with pytest.raises(Malformed, match="^enrolment: "):
        open_enrolment(SignedEnrolment(b"\x90", ()))
    largest = EnrolmentFile(
        MADE.enrolment, bytes(JOINING_BYTES_MAX), (bytes(64),) * JOINING_KEYS_MAX
    )
    assert largest.signed().signatures == largest.signatures
    for size, keys in (
        (JOINING_BYTES_MAX + 1, JOINING_KEYS_MAX),
        (JOINING_BYTES_MAX, JOINING_KEYS_MAX + 1),
    ):
        with pytest.raises(Malformed) as caught:
            EnrolmentFile(MADE.enrolment, bytes(size), (bytes(64),) * keys).signed()
        limits = f"at most {JOINING_BYTES_MAX} and {JOINING_KEYS_MAX} can join at once"
        assert str(caught.value) == f"enrolment: {size} bytes and {keys} keys, {limits}"


def test_an_enrolment_shows_that_every_private_key_is_held() -> None:
    made = CITY.enrolment_file("housing")
    parsed = parse_enrolment_file(made.to_json())
    assert parsed == made
    parsed.check()
    assert len(parsed.fingerprint) == 71
    short = EnrolmentFile(made.enrolment, made.enrolment_bytes, made.signatures[:-1])
    with pytest.raises(BadSignature) as caught:
        short.check()
    assert str(caught.value) == "enrolment: 6 keys but 5 signed"
    swapped = EnrolmentFile(made.enrolment, made.enrolment_bytes, made.signatures[::-1])
    with pytest.raises(BadSignature) as caught:
        swapped.check()
    first = made.enrolment.department.keys()[0].hex()[:16]
    assert str(caught.value) == f"enrolment: key {first}… did not sign it"
    content = json.loads(made.to_json())
    with pytest.raises(Malformed, match="fingerprint"):
        parse_enrolment_file(json.dumps(content | {"fingerprint": ""}).encode())


@given(st.binary(max_size=100))
def test_any_bytes_are_a_genesis_file_or_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_genesis_file(data)
    with pytest.raises(Malformed):
        parse_enrolment_file(data)


def test_numbers_are_converted_by_name() -> None:
    assert next_leaf_index(TreeSize(3)) == 3
    assert size_through(LeafIndex(3)) == 4
    assert height_of_entry(1) == next_height(Height(0)) == 1
    with pytest.raises(ValueError, match="starts from 1"):
        height_of_entry(0)
    with pytest.raises(ValueError, match="^a stored number has 8 bytes$"):
        read_number(b"\x00")
