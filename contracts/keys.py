"""A department's own record keys: what it may do by itself.

It adds a key with a record that a present key signs, and revokes one in the same way; in between
both count, so a rotation has an overlap. The new key's own signature shows that its private half is
held. The last key in force stays: only ballots revoke it, and only an enrolment that ballots admit
brings a key to a department that has none.
"""

from typing import Annotated

from msgspec import Meta

from contracts.consortium import member, record_key
from contracts.context import Context
from contracts.membership import add_key, revoke_key
from contracts.refusals import Refusal
from ledger.codec import Format
from ledger.errors import BadKey
from ledger.genesis import RecordKey
from ledger.signatures import check_public_key, verify
from ledger.statements import record_key_statement
from ledger.types import PublicKey, Signature


class KeyAdd(Format, frozen=True):
    """Body of `key.add`. signature: the new key's own, over `record_key_statement`."""

    key: RecordKey
    signature: Signature


class KeyRevoke(Format, frozen=True):
    """Body of `key.revoke`; the key may be the one that signs the record."""

    key: PublicKey
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


def add(context: Context, body: KeyAdd) -> Refusal | None:
    """A department enrols another record key."""
    key = body.key.key
    try:
        check_public_key(key)
    except BadKey as error:
        return Refusal("invalid-enrolment", str(error))
    statement = record_key_statement(context.ledger_id, department=context.department, key=key)
    if not verify(key, statement, body.signature):
        return Refusal("invalid-enrolment", f"the new key {key.hex()} did not sign")
    return add_key(context, context.department, key, body.key.holder)


def revoke(context: Context, body: KeyRevoke) -> Refusal | None:
    """A department revokes one of its record keys."""
    known = record_key(context.state, body.key)
    if known is None or known.department != context.department:
        return Refusal("unknown-key", f"{body.key.hex()} for {context.department}")
    owner = member(context.state, context.department)
    assert owner is not None
    if owner.record_keys == (body.key,):
        return Refusal("last-key", body.key.hex())
    return revoke_key(context, body.key)
