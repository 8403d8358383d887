"""Every signed statement of the system, with its preimage, in one place.

A signature says something only about its preimage. Each preimage here starts with a purpose of its
own and the ledger it speaks of, so that no signature made for one purpose, or one ledger, can be
shown as another:

    preimage = "concordat/" purpose "/v1" NUL ‖ ledger id (32 bytes) ‖ payload

| statement        | signed by (key)           | payload                                      |
|------------------|---------------------------|----------------------------------------------|
| record           | department (record key)   | the header's bytes                           |
| proposal         | leader (proposal key)     | term ‖ index ‖ previous hash ‖ SHA-256(data) |
| transfer         | leader (proposal key)     | term ‖ the next leader's node id             |
| exchange-request | consumer (record key)     | the request's bytes                          |
| genesis          | founder (record key)      | nothing: the ledger id is the genesis' hash  |
| enrolment        | every enrolled key        | its bytes; a founder's ledger id is all zero |
| record-key       | the new record key        | the key ‖ the department's short name        |

Checkpoints are signed as C2SP cosignatures (`ledger.checkpoints`), whose origin line names the
ledger. Integers are 8 bytes, big-endian; every field before the last has a fixed length, so no two
statements share a preimage.
"""

from hashlib import sha256

NO_LEDGER = bytes(32)
"""Stands for the ledger in statements that are made before it exists."""


def _preimage(purpose: str, ledger_id: bytes, payload: bytes) -> bytes:
    if len(ledger_id) != 32:
        raise ValueError("a ledger id has 32 bytes")
    return b"concordat/" + purpose.encode("ascii") + b"/v1\x00" + ledger_id + payload


def record_statement(ledger_id: bytes, header: bytes) -> bytes:
    """What an author signs: header is the record header's bytes (`ledger.records`)."""
    return _preimage("record", ledger_id, header)


def proposal_statement(
    ledger_id: bytes, *, term: int, index: int, previous_hash: bytes, data: bytes
) -> bytes:
    """What a leader signs for the entry it proposes at (term, index); its hash is the entry's.

    previous_hash: hash of the entry at index − 1, 32 bytes (the ledger id for index 1).
    data: the entry's bytes (`ledger.entries`).
    """
    return proposal_of_digest(
        ledger_id, term=term, index=index, previous_hash=previous_hash, digest=sha256(data).digest()
    )


def proposal_of_digest(
    ledger_id: bytes, *, term: int, index: int, previous_hash: bytes, digest: bytes
) -> bytes:
    """The same from SHA-256 of the entry's bytes: enough to judge a leader's signature."""
    if len(previous_hash) != 32:
        raise ValueError("an entry's hash has 32 bytes")
    payload = term.to_bytes(8, "big") + index.to_bytes(8, "big") + previous_hash
    return _preimage("proposal", ledger_id, payload + digest)


def entry_hash(
    ledger_id: bytes, *, term: int, index: int, previous_hash: bytes, data: bytes
) -> bytes:
    """An entry's hash, 32 bytes: SHA-256 of the statement that proposes it."""
    statement = proposal_statement(
        ledger_id, term=term, index=index, previous_hash=previous_hash, data=data
    )
    return sha256(statement).digest()


def transfer_statement(ledger_id: bytes, *, term: int, target: bytes) -> bytes:
    """What the leader of `term` signs to let `target` (a node id, 32 bytes) campaign at once."""
    if len(target) != 32:
        raise ValueError("a node id has 32 bytes")
    return _preimage("transfer", ledger_id, term.to_bytes(8, "big") + target)


def exchange_request_statement(ledger_id: bytes, request: bytes) -> bytes:
    """What a consumer's node signs when it asks a provider's node for data."""
    return _preimage("exchange-request", ledger_id, request)


def genesis_statement(ledger_id: bytes) -> bytes:
    """What each founder signs; ledger_id is the SHA-256 of the genesis' bytes."""
    return _preimage("genesis", ledger_id, b"")


def enrolment_statement(ledger_id: bytes, enrolment: bytes) -> bytes:
    """What every key of an enrolment signs, to show that its private half is held.

    ledger_id: the one that the enrolment names; `NO_LEDGER` for founders.
    """
    return _preimage("enrolment", ledger_id, enrolment)


def record_key_statement(ledger_id: bytes, *, department: str, key: bytes) -> bytes:
    """What a new record key signs, to show that its private half is held.

    key: itself, 32 bytes; department: for which it is to sign from then on.
    """
    if len(key) != 32:
        raise ValueError("a record key has 32 bytes")
    return _preimage("record-key", ledger_id, key + department.encode("ascii"))
