"""Every preimage has its documented layout, and no two statements share one."""

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import statements
from ledger.checkpoints import Checkpoint, cosignature_message
from ledger.statements import (
    NO_LEDGER,
    enrolment_statement,
    entry_hash,
    exchange_request_statement,
    genesis_statement,
    proposal_statement,
    record_key_statement,
    record_statement,
    transfer_statement,
)

LEDGER = bytes(range(32))

hashes = st.one_of(st.just(NO_LEDGER), st.just(LEDGER), st.binary(min_size=32, max_size=32))
numbers = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
names = st.sampled_from(("health", "health-2", "housing"))
payloads = st.one_of(
    st.binary(max_size=80),
    st.builds(record_statement, hashes, st.binary(max_size=3)),
    st.builds(genesis_statement, hashes),
)


def proposed(ledger_id: bytes, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
    return proposal_statement(
        ledger_id, term=term, index=index, previous_hash=previous_hash, data=data
    )


def transferred(ledger_id: bytes, term: int, target: bytes) -> bytes:
    return transfer_statement(ledger_id, term=term, target=target)


def keyed(ledger_id: bytes, department: str, key: bytes) -> bytes:
    return record_key_statement(ledger_id, department=department, key=key)


def cosigned(ledger_id: bytes, height: int, tree_size: int, root: bytes, timestamp_s: int) -> bytes:
    return cosignature_message(Checkpoint(ledger_id, height, tree_size, root), timestamp_s)


STATEMENTS = {
    record_statement: st.tuples(hashes, payloads),
    proposed: st.tuples(hashes, numbers, numbers, hashes, payloads),
    transferred: st.tuples(hashes, numbers, hashes),
    exchange_request_statement: st.tuples(hashes, payloads),
    genesis_statement: st.tuples(hashes),
    enrolment_statement: st.tuples(hashes, payloads),
    keyed: st.tuples(hashes, names, hashes),
    cosigned: st.tuples(hashes, numbers, numbers, hashes, numbers),
}

said = st.one_of(*(st.tuples(st.just(make), arguments) for make, arguments in STATEMENTS.items()))
"""A statement's function and its arguments."""


def purpose_of(preimage: bytes) -> tuple[str, bytes, bytes]:
    """(purpose, ledger id, payload), read out of a preimage without knowing what made it."""
    head, _, rest = preimage.partition(b"\x00")
    prefix, purpose, version = head.decode("ascii").split("/")
    assert (prefix, version) == ("concordat", "v1")
    return purpose, rest[:32], rest[32:]


@given(hashes, payloads)
def test_a_preimage_is_its_purpose_then_its_ledger_then_its_payload(
    ledger_id: bytes, payload: bytes
) -> None:
    assert record_statement(ledger_id, payload) == (
        b"concordat/record/v1\x00" + ledger_id + payload
    )
    assert exchange_request_statement(ledger_id, payload) == (
        b"concordat/exchange-request/v1\x00" + ledger_id + payload
    )
    assert genesis_statement(ledger_id) == b"concordat/genesis/v1\x00" + ledger_id
    assert enrolment_statement(ledger_id, payload) == (
        b"concordat/enrolment/v1\x00" + ledger_id + payload
    )
    assert keyed(ledger_id, "health", ledger_id) == (
        b"concordat/record-key/v1\x00" + 2 * ledger_id + b"health"
    )


@given(hashes, numbers, numbers, hashes, payloads)
def test_a_proposal_says_term_index_previous_hash_and_the_datas_digest(
    ledger_id: bytes, term: int, index: int, previous_hash: bytes, data: bytes
) -> None:
    preimage = proposed(ledger_id, term, index, previous_hash, data)
    assert len(preimage) == 22 + 32 + 8 + 8 + 32 + 32
    purpose, spoken_of, payload = purpose_of(preimage)
    assert (purpose, spoken_of) == ("proposal", ledger_id)
    assert int.from_bytes(payload[:8], "big") == term
    assert int.from_bytes(payload[8:16], "big") == index
    assert payload[16:48] == previous_hash
    assert payload[48:] == sha256(data).digest()
    assert sha256(preimage).digest() == entry_hash(
        ledger_id, term=term, index=index, previous_hash=previous_hash, data=data
    )


@given(hashes, numbers, hashes)
def test_a_transfer_says_term_and_target(ledger_id: bytes, term: int, target: bytes) -> None:
    payload = term.to_bytes(8, "big") + target
    preimage = transferred(ledger_id, term, target)
    assert purpose_of(preimage) == ("transfer", ledger_id, payload)


@given(hashes, payloads)
def test_purpose_ledger_and_payload_can_be_read_back(ledger_id: bytes, payload: bytes) -> None:
    assert purpose_of(record_statement(ledger_id, payload)) == ("record", ledger_id, payload)
    assert purpose_of(exchange_request_statement(ledger_id, payload)) == (
        "exchange-request",
        ledger_id,
        payload,
    )
    assert purpose_of(genesis_statement(ledger_id)) == ("genesis", ledger_id, b"")
    assert purpose_of(enrolment_statement(ledger_id, payload)) == (
        "enrolment",
        ledger_id,
        payload,
    )
    assert purpose_of(keyed(ledger_id, "health", NO_LEDGER)) == (
        "record-key",
        ledger_id,
        NO_LEDGER + b"health",
    )


@given(said, said)
@example((genesis_statement, (LEDGER,)), (record_statement, (LEDGER, b"")))
@example((enrolment_statement, (NO_LEDGER, b"x")), (record_statement, (NO_LEDGER, b"x")))
@example((genesis_statement, (NO_LEDGER,)), (enrolment_statement, (NO_LEDGER, b"")))
def test_no_two_statements_share_a_preimage_nor_start_another(one, other) -> None:
    (make, arguments), (make_other, arguments_other) = one, other
    preimage, preimage_other = make(*arguments), make_other(*arguments_other)
    same = (make, arguments) == (make_other, arguments_other)
    assert (preimage == preimage_other) is same
    if make is not make_other:
        assert not preimage.startswith(preimage_other)


@given(said)
def test_a_statement_is_the_same_each_time_it_is_made(one) -> None:
    make, arguments = one
    assert make(*arguments) == make(*arguments)


def test_every_statement_of_the_module_is_among_those_compared() -> None:
    public = {name for name in dir(statements) if name.endswith("_statement")}
    wrapped = {"proposed", "transferred", "cosigned", "keyed"}
    compared = {make.__name__ for make in STATEMENTS} - wrapped
    assert public == compared | {
        "proposal_statement",
        "record_key_statement",
        "transfer_statement",
    }


@pytest.mark.parametrize("length", [0, 31, 33])
def test_ledger_ids_and_entry_hashes_of_another_length_are_a_mistake_of_the_caller(
    length: int,
) -> None:
    wrong = bytes(length)
    for make in (genesis_statement, lambda ledger_id: record_statement(ledger_id, b"")):
        with pytest.raises(ValueError, match="a ledger id has 32 bytes"):
            make(wrong)
    with pytest.raises(ValueError, match="an entry's hash has 32 bytes"):
        proposed(LEDGER, 1, 1, wrong, b"")
    with pytest.raises(ValueError, match="a ledger id has 32 bytes"):
        proposed(wrong, 1, 1, LEDGER, b"")
    with pytest.raises(ValueError, match="a node id has 32 bytes"):
        transferred(LEDGER, 1, wrong)
    with pytest.raises(ValueError, match="a record key has 32 bytes"):
        keyed(LEDGER, "health", wrong)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_that_need_more_than_8_bytes_are_a_mistake_of_the_caller(number: int) -> None:
    with pytest.raises(OverflowError):
        proposed(LEDGER, number, 1, LEDGER, b"")
    with pytest.raises(OverflowError):
        proposed(LEDGER, 1, number, LEDGER, b"")


def test_the_callers_mistakes_are_said_in_whole_sentences() -> None:
    for make, words in (
        (lambda: genesis_statement(b""), "a ledger id has 32 bytes"),
        (lambda: proposed(LEDGER, 1, 1, b"", b""), "an entry's hash has 32 bytes"),
        (lambda: transferred(LEDGER, 1, b""), "a node id has 32 bytes"),
        (lambda: keyed(LEDGER, "health", b""), "a record key has 32 bytes"),
    ):
        with pytest.raises(ValueError) as caught:
            make()
        assert str(caught.value) == words
