"""Genesis and enrolment: the files that people mail, and every way they can be wrong."""

import json
from hashlib import sha256

import msgspec
import pytest
from builders import Consortium
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import encode
from ledger.errors import BadSignature, Malformed
from ledger.genesis import (
    EnrolmentFile,
    FounderSignature,
    GenesisFile,
    Setting,
    fingerprint,
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


def test_a_missing_founder_is_named() -> None:
    partly = GenesisFile(FILE.genesis, FILE.genesis_bytes, FILE.signatures[1:])
    assert partly.missing_founders() == ("civil-affairs",)
    partly.check_signatures()
    with pytest.raises(BadSignature, match="civil-affairs"):
        partly.check()


def test_founders_signatures_count_once_by_their_own_key_and_must_fit() -> None:
    first = FILE.signatures[0]
    statement = genesis_statement(FILE.ledger_id)
    stranger = CITY.record_signer("housing")
    for signatures in (
        (first, *FILE.signatures),
        (
            FounderSignature(first.department, stranger.public_key, stranger.sign(statement)),
            *FILE.signatures[1:],
        ),
    ):
        with pytest.raises(BadSignature, match="twice or with a key"):
            GenesisFile(FILE.genesis, FILE.genesis_bytes, signatures).check()
    forged = FounderSignature(first.department, first.key, bytes(64))
    with pytest.raises(BadSignature, match="does not fit"):
        GenesisFile(FILE.genesis, FILE.genesis_bytes, (forged, *FILE.signatures[1:])).check()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"departments": FILE.genesis.departments[::-1]}, "departments are not sorted"),
        ({"voters": FILE.genesis.voters[::-1]}, "voters are not sorted"),
        ({"voters": (bytes(32),)}, "no department's node"),
        ({"settings": (Setting("b", 1), Setting("a", 1))}, "settings are not sorted"),
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
            "enrolled twice",
        ),
    ],
)
def test_a_genesis_outside_its_rules_is_malformed(changes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_genesis(encode(msgspec.structs.replace(FILE.genesis, **changes)))


def spoiled(**changes) -> bytes:
    content = json.loads(FILE.to_json())
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
    with pytest.raises(Malformed, match=why):
        parse_genesis_file(data)


def test_an_enrolment_shows_that_every_private_key_is_held() -> None:
    made = CITY.enrolment_file("housing")
    parsed = parse_enrolment_file(made.to_json())
    assert parsed == made
    parsed.check()
    assert len(parsed.fingerprint) == 71
    short = EnrolmentFile(made.enrolment, made.enrolment_bytes, made.signatures[:-1])
    with pytest.raises(BadSignature, match="6 keys but 5 signed"):
        short.check()
    swapped = EnrolmentFile(made.enrolment, made.enrolment_bytes, made.signatures[::-1])
    with pytest.raises(BadSignature, match="did not sign"):
        swapped.check()
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
    with pytest.raises(ValueError, match="8 bytes"):
        read_number(b"\x00")
