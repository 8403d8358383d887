"""Commitments open with their blinding and content alone; a tag names a person in one grant."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.commitments import BLINDING_BYTES, Role, commitment, opens, subject_tag

LEDGER, BLINDING = bytes(range(32)), bytes(range(32, 64))
ROLES: tuple[Role, ...] = ("request", "response", "case")


def test_a_commitment_is_the_digest_that_the_format_says() -> None:
    made = commitment(LEDGER, role="request", blinding=BLINDING, content=b"query")
    preimage = b"concordat/commitment/v1\x00request\x00" + LEDGER + BLINDING + b"query"
    assert made == sha256(preimage).digest()


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(min_size=32, max_size=32))
def test_a_commitment_opens_to_its_content_under_its_blinding_only(
    content: bytes, other: bytes, blinding: bytes
) -> None:
    made = commitment(LEDGER, role="response", blinding=BLINDING, content=content)
    assert opens(made, LEDGER, role="response", blinding=BLINDING, content=content)
    same = opens(made, LEDGER, role="response", blinding=BLINDING, content=other)
    assert same == (other == content)
    same = opens(made, LEDGER, role="response", blinding=blinding, content=content)
    assert same == (blinding == BLINDING)
    assert not opens(made, bytes(32), role="response", blinding=BLINDING, content=content)


def test_each_role_has_commitments_of_its_own() -> None:
    made = {commitment(LEDGER, role=role, blinding=BLINDING, content=b"x") for role in ROLES}
    assert len(made) == len(ROLES)


@pytest.mark.parametrize("size", [0, BLINDING_BYTES - 1, BLINDING_BYTES + 1])
def test_a_blinding_or_ledger_id_of_another_length_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="^a ledger id and a blinding have 32 bytes each$"):
        commitment(LEDGER, role="case", blinding=bytes(size), content=b"")
    with pytest.raises(ValueError, match="^a ledger id and a blinding have 32 bytes each$"):
        commitment(bytes(size), role="case", blinding=BLINDING, content=b"")


def test_a_foreign_blinding_of_another_length_opens_nothing() -> None:
    made = commitment(LEDGER, role="case", blinding=BLINDING, content=b"")
    assert not opens(made, LEDGER, role="case", blinding=BLINDING[:-1], content=b"")


def test_a_tag_depends_on_the_salt_and_the_person() -> None:
    tag = subject_tag(BLINDING, "110101199003070000")
    words = b"concordat/subject/v1\x00110101199003070000"
    assert tag == hmac.new(BLINDING, words, sha256).digest()
    assert subject_tag(LEDGER, "110101199003070000") != tag
    assert subject_tag(BLINDING, "110101199003070001") != tag


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_salt_of_another_length_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="^a subject's salt has 32 bytes$"):
        subject_tag(bytes(size), "someone")
