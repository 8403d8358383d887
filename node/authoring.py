"""Builds and signs records for clients who leave that to their node.

The nonce comes from the client's token and its `Idempotency-Key`, so a retry, also one after a
restart, makes the same nonce. A record in the ledger with that nonce is the first try; until there
is one, what was built for a key is remembered while its window lasts.

A try of before a restart may still be on its way when the retry is built. Then there are two
records with one nonce, the contracts accept one of them, and from then on the ledger decides.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from ledger import store_keys
from ledger.attachments import attach_document, attach_items
from ledger.codec import Format, encode
from ledger.records import Record, RecordHeader, assemble_record, parse_leaf
from ledger.statements import record_statement
from ledger.types import LeafIndex
from node.identity import Identity
from node.ports import Clock, StoreReader

REMEMBERED_MAX = 10_000
"""Limit of idempotency keys whose records are remembered."""

VALID_MS = 3_600_000
"""Window of the records that a node builds, in milliseconds."""


class KeyReused(Exception):
    """The same idempotency key came with another content."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client wants on the ledger. items and document exclude each other."""

    kind: str
    body: Format
    actor: str
    items: tuple[bytes, ...] = ()
    document: bytes | None = None


class Author:
    """Signs with the department's record key of this node."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        department: str,
        identity: Identity,
        clock: Clock,
        store: StoreReader,
        valid_ms: int = VALID_MS,
    ) -> None:
        self._ledger_id = ledger_id
        self._department = department
        self._identity = identity
        self._clock = clock
        self._store = store
        self._valid_ms = valid_ms
        self._built: dict[bytes, tuple[bytes, Record]] = {}

    def build(self, draft: Draft, *, idempotency: tuple[str, str] | None = None) -> Record:
        """A signed record. idempotency: token name and key; None: every call is another record.

        Raises KeyReused, or Malformed if the draft is too large.
        """
        if idempotency is None:
            return self._sign(draft, secrets.token_bytes(16))
        token, key = idempotency
        nonce = self._identity.derive("nonce", token.encode(), key.encode())[:16]
        content = _digest(draft)
        stored = self._stored(nonce)
        if stored is not None:
            if not _is_same(stored, draft):
                raise KeyReused(key)
            return stored
        known = self._built.get(nonce)
        if known is not None:
            if known[0] != content:
                raise KeyReused(key)
            if known[1].header.valid_until_ms > self._clock.now_ms():
                return known[1]
        record = self._sign(draft, nonce)
        self._built[nonce] = (content, record)
        if len(self._built) > REMEMBERED_MAX:
            del self._built[next(iter(self._built))]
        return record

    def _stored(self, nonce: bytes) -> Record | None:
        """The record in the ledger that used this nonce."""
        place = self._store.get(store_keys.nonce_key(self._identity.record_key, nonce))
        if place is None:
            return None
        index = LeafIndex(store_keys.read_number(place))
        leaf = self._store.get(store_keys.leaf_key(index))
        assert leaf is not None, "a nonce points to its leaf"
        return parse_leaf(leaf)

    def _sign(self, draft: Draft, nonce: bytes) -> Record:
        attached = data = None
        if draft.items:
            attached, data = attach_items(draft.items)
        elif draft.document is not None:
            attached, data = attach_document(draft.document)
        now_ms = self._clock.now_ms()
        header = RecordHeader(
            version=1,
            ledger_id=self._ledger_id,
            kind=draft.kind,
            department=self._department,
            actor=draft.actor,
            key=self._identity.record_key,
            created_ms=now_ms,
            valid_until_ms=now_ms + self._valid_ms,
            nonce=nonce,
            body=msgspec.Raw(encode(draft.body)),
            attached=attached,
        )
        statement = record_statement(self._ledger_id, encode(header))
        return assemble_record(header, self._identity.sign_record(statement), attached=data)


def _digest(draft: Draft) -> bytes:
    digest = sha256(draft.kind.encode() + b"\x00" + encode(draft.body))
    for part in (*draft.items, draft.document or b""):
        digest.update(sha256(part).digest())
    return digest.digest()


def _is_same(record: Record, draft: Draft) -> bool:
    header = record.header
    attached = None
    if draft.items:
        attached, _ = attach_items(draft.items)
    elif draft.document is not None:
        attached, _ = attach_document(draft.document)
    same_body = bytes(header.body) == encode(draft.body)
    return header.kind == draft.kind and same_body and header.attached == attached
