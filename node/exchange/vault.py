"""What a party keeps for itself about its exchanges, encrypted at rest: blindings, salts, queries.

Destroying an entry makes its commitments and tags mean nothing to anybody, while every proof on the
ledger still holds. Entries are encrypted with ChaCha20-Poly1305 (RFC 8439) under a key derived from
the node's secret; the entry's name is authenticated with it, and is itself a keyed digest, so the
file names nobody.
"""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.errors import StoreCorrupt
from node.exchange.recovery import Unfinished
from node.identity import Identity
from node.store.leveldb import open_database

_NONCE_BYTES = 12


class SubjectsExhausted(Exception):
    """An answer is about more people than its grant allows."""


class Vault:
    """Encrypted entries by exchange, and one salt for each subject and grant."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Opens or creates the vault. Raises StoreInUse, StoreCorrupt, Unavailable."""
        self._identity = identity
        self._ended: list[bytes] = []
        self._drawing = threading.Lock()
        self._cipher = ChaCha20Poly1305(identity.derive("vault"))
        self._db = open_database(path, mode=0o700)

    def begin(self, exchange_id: bytes, unfinished: Unfinished, content: Mapping[str, Any]) -> None:
        """Keeps an exchange of this provider and that it is under way, synced. Blocking.

        Exchanges that have ended since are forgotten as unfinished by the same write.
        """
        ended, self._ended = self._ended, []
        name = b"x" + exchange_id
        height = unfinished.since_height.to_bytes(8, "big")
        with self._db.write_batch(sync=True) as writes:
            writes.put(name, self._seal(name, json.dumps(dict(content)).encode()))
            writes.put(b"u" + exchange_id, unfinished.grant_id + height)
            for each in ended:
                writes.delete(b"u" + each)

    def end(self, exchange_id: bytes) -> None:
        """The exchange is over: released, or voided. Durable with the next write."""
        self._ended.append(exchange_id)

    def unfinished(self) -> dict[bytes, Unfinished]:
        """Exchanges that were under way when the node ended."""
        with self._db.iterator(prefix=b"u") as found:
            return {
                key[1:]: Unfinished(value[:32], int.from_bytes(value[32:], "big"))
                for key, value in found
            }

    def put(self, entries: Mapping[bytes, Mapping[str, Any]]) -> None:
        """Keeps what belongs to these exchanges, synced. Blocking."""
        with self._db.write_batch(sync=True) as writes:
            for exchange_id, content in entries.items():
                name = b"x" + exchange_id
                writes.put(name, self._seal(name, json.dumps(dict(content)).encode()))

    def get(self, exchange_id: bytes) -> dict[str, Any] | None:
        """What is kept about an exchange, None if nothing (any more)."""
        name = b"x" + exchange_id
        sealed = self._db.get(name)
        if sealed is None:
            return None
        content: dict[str, Any] = json.loads(self._open(name, sealed))
        return content

    def salts(
        self, grant_id: bytes, identifiers: Sequence[str], *, subjects_max: int = 0
    ) -> list[bytes]:
        """A random salt for each subject under this grant, drawn at its first sight. Blocking.

        subjects_max: distinct subjects over the grant's whole life, 0 for no limit. Raises
        SubjectsExhausted, and then draws nothing; where a version of the grant lowers the limit
        below what was seen, it allows nobody any more. A subject counts from its first answer on,
        also if that answer was not released in the end.
        """
        with self._drawing:
            return self._salts(grant_id, identifiers, subjects_max)

    def _salts(self, grant_id: bytes, identifiers: Sequence[str], subjects_max: int) -> list[bytes]:
        salts: list[bytes] = []
        drawn: dict[bytes, bytes] = {}
        for identifier in identifiers:
            name = self._subject(grant_id, identifier)
            salt = drawn.get(name)
            if salt is None:
                sealed = self._db.get(name)
                salt = secrets.token_bytes(32) if sealed is None else self._open(name, sealed)
                if sealed is None:
                    drawn[name] = salt
            salts.append(salt)
        if not drawn and not subjects_max:
            return salts
        counter = b"n" + self._identity.derive("subjects", grant_id)
        stored = self._db.get(counter)
        seen = 0 if stored is None else int.from_bytes(self._open(counter, stored), "big")
        count = seen + len(drawn)
        if subjects_max and count > subjects_max and identifiers:
            raise SubjectsExhausted(f"{subjects_max} subjects allowed, {seen} seen before")
        if drawn:
            with self._db.write_batch(sync=True) as writes:
                for name, salt in drawn.items():
                    writes.put(name, self._seal(name, salt))
                writes.put(counter, self._seal(counter, count.to_bytes(8, "big")))
        return salts

    def provided(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Each exchange that this node provided and still keeps, by id, as of now. Blocking."""
        with self._db.iterator(prefix=b"x") as found:
            for name, sealed in found:
                content: dict[str, Any] = json.loads(self._open(name, sealed))
                if content["side"] == "provider":
                    yield name[1:], content

    def salt(self, grant_id: bytes, identifier: str) -> bytes | None:
        """A subject's salt under a grant; None if no answer was about it. Blocking."""
        name = self._subject(grant_id, identifier)
        sealed = self._db.get(name)
        return None if sealed is None else self._open(name, sealed)

    def _subject(self, grant_id: bytes, identifier: str) -> bytes:
        return b"s" + self._identity.derive("subject", grant_id, identifier.encode())

    def close(self) -> None:
        """Closes the vault; what has ended is forgotten as unfinished."""
        with self._db.write_batch(sync=True) as writes:
            for exchange_id in self._ended:
                writes.delete(b"u" + exchange_id)
        self._db.close()

    def _seal(self, name: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, name)

    def _open(self, name: bytes, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
        except InvalidTag:
            raise StoreCorrupt("an entry of the vault is damaged or under another key") from None
