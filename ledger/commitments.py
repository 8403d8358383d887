"""Commitments: digests of content that no dictionary opens.

    commitment = SHA-256("concordat/commitment/v1" NUL ‖ role NUL ‖ ledger id ‖ blinding ‖ content)

A query, an answer or a case number enters the ledger only so. The blinding is 32 random bytes that
both parties keep; whoever has it and the content can show what was committed to, and once it is
destroyed nobody can. A *subject tag* names a person within one grant only, by a salt that the
provider keeps for that subject and grant.
"""

import hmac
from hashlib import sha256
from typing import Literal

BLINDING_BYTES = 32

Role = Literal["request", "response", "case"]


def commitment(ledger_id: bytes, *, role: Role, blinding: bytes, content: bytes) -> bytes:
    """The commitment to `content`, 32 bytes. blinding: 32 random bytes, used once."""
    if len(ledger_id) != 32 or len(blinding) != BLINDING_BYTES:
        raise ValueError("a ledger id and a blinding have 32 bytes each")
    head = b"concordat/commitment/v1\x00" + role.encode("ascii") + b"\x00"
    return sha256(head + ledger_id + blinding + content).digest()


def opens(value: bytes, ledger_id: bytes, *, role: Role, blinding: bytes, content: bytes) -> bool:
    """Whether `value` is the commitment to `content` under `blinding`, in constant time."""
    if len(blinding) != BLINDING_BYTES:
        return False
    made = commitment(ledger_id, role=role, blinding=blinding, content=content)
    return hmac.compare_digest(made, value)


def subject_tag(salt: bytes, identifier: str) -> bytes:
    """A person's tag, 32 bytes. salt: 32 random bytes of that subject and grant."""
    if len(salt) != 32:
        raise ValueError("a subject's salt has 32 bytes")
    return hmac.new(salt, b"concordat/subject/v1\x00" + identifier.encode(), sha256).digest()
