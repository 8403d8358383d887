"""Content in chunks, encrypted so that one commitment fixes the key (ADR 0010).

One random content key for each exchange. HKDF-SHA-256 (RFC 5869) makes two values of it:

    key         encrypts the chunks with ChaCha20-Poly1305 (RFC 8439)
    commitment  32 bytes that no other content key has: they say which key it is, and nothing of it

The nonce is the chunk's number and whether it is the last one (STREAM, Hoang et al. 2015; age), so
chunks that are left out, moved or cut off at the end do not open. ChaCha20-Poly1305 by itself lets
one ciphertext open under two keys (Albertini et al., USENIX Security 2022); a commitment does not.

HPKE (RFC 9180: X25519, HKDF-SHA-256, ChaCha20-Poly1305, base mode) wraps the content key to a key
that the consumer drew for this one exchange: to show what it was sent, it may give that key away.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ledger.errors import LedgerError

CONTENT_KEY_BYTES = 32
TAG_BYTES = 16
WRAPPED_BYTES = 80
"""A wrapped content key: HPKE's encapsulated key (32), ciphertext (32) and tag (16)."""

_CONTEXT = b"concordat/sealed/v1\x00"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class SealBroken(LedgerError):
    """A chunk or a wrapped key does not open, or the key is not the one committed to."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a content key makes for one exchange. commitment: 32 bytes, may be published."""

    key: bytes
    commitment: bytes

    def seal(self, chunk: bytes, *, number: int, last: bool) -> bytes:
        """A chunk's ciphertext, TAG_BYTES longer. Each number once, 0 ≤ number."""
        return ChaCha20Poly1305(self.key).encrypt(_nonce(number, last), chunk, None)

    def open(self, sealed: bytes, *, number: int, last: bool) -> bytes:
        """The chunk. Raises SealBroken if it is another one, elsewhere, or of another key."""
        try:
            return ChaCha20Poly1305(self.key).decrypt(_nonce(number, last), sealed, None)
        except InvalidTag:
            raise SealBroken(f"chunk {number}", "it does not open") from None


def seal_of(content_key: bytes, *, ledger_id: bytes, exchange_id: bytes) -> Seal:
    """Key and commitment of a content key (32 random bytes) for this exchange."""
    extracted = hmac.digest(_CONTEXT + ledger_id + exchange_id, content_key, sha256)
    key, commitment = (
        hmac.digest(extracted, purpose + b"\x01", sha256) for purpose in (b"key", b"commitment")
    )
    return Seal(key, commitment)


def wrap(content_key: bytes, recipient: bytes, *, ledger_id: bytes, exchange_id: bytes) -> bytes:
    """The content key for whoever has the private key of `recipient` (X25519, 32 bytes).

    Raises ValueError if that is no public key.
    """
    public = X25519PublicKey.from_public_bytes(recipient)
    return _SUITE.encrypt(content_key, public, info=_CONTEXT + ledger_id + exchange_id)


def unwrap(
    wrapped: bytes, private: X25519PrivateKey, *, ledger_id: bytes, exchange_id: bytes
) -> bytes:
    """The content key that was wrapped. Raises SealBroken."""
    try:
        return _SUITE.decrypt(wrapped, private, info=_CONTEXT + ledger_id + exchange_id)
    except (InvalidTag, ValueError):
        raise SealBroken("the wrapped key", "it does not open") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
