"""The one rule by which every signature of every role is judged, on every node.

Ed25519 (RFC 8032) libraries disagree about edge cases: on 165 of the 914 signatures of the CCTV
collection the two libraries this project installs give different answers. Replicas that disagree
about one signature fork. The rule, which is libsodium's together with a check at enrolment:

1. S < L (RFC 8032 §5.1.7 step 1).
2. The key A and the point R are in their one canonical encoding.
3. R is not of low order, the identity included.
4. A is of prime order. `check_public_key` says so when a key is enrolled; `verify` itself refuses
   keys of low order only, so a signature counts only together with an enrolled key.
5. The equation without the cofactor: the encoding of S·B − k·A equals R byte for byte.

With A of prime order, rules 1, 2 and 5 leave no mixed-order R that could pass, so a library with
the cofactored equation would accept the same signatures for an honest signer. `self_test` checks
vectors at start, and a node does not run where one differs.
"""

from functools import lru_cache
from typing import NamedTuple

import nacl.bindings
from nacl.exceptions import BadSignatureError

from ledger.errors import BadKey, SignatureRuleViolated

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32

KEYS_REMEMBERED = 4_096
"""Limit of the keys whose validity is remembered: a genesis is checked with each proof."""


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is `public_key`'s (32 bytes) under the rule."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def check_public_key(public_key: bytes) -> None:
    """Rule 4, and rule 2 for A: canonical, on the curve, of prime order. Raises BadKey."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise BadKey("public key", f"{len(public_key)} bytes instead of {PUBLIC_KEY_BYTES}")
    if not _is_valid_point(public_key):
        raise BadKey("public key", "it is no canonical point of prime order")


@lru_cache(KEYS_REMEMBERED)
def _is_valid_point(public_key: bytes) -> bool:
    return nacl.bindings.crypto_core_ed25519_is_valid_point(public_key)


def public_key_of(seed: bytes) -> bytes:
    """The public key, 32 bytes, of a private key given as its seed (RFC 8032 §5.1.5, 32 bytes)."""
    public_key, _ = nacl.bindings.crypto_sign_seed_keypair(_seed(seed))
    return public_key


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature over `message` by the private key whose seed is given, 32 bytes.

    Deterministic (RFC 8032 §5.1.6). Whoever signs often keeps a `Signer` instead.
    """
    return Signer(seed).sign(message)


class Signer:
    """A private key that signs; the expanded key is derived once."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, seed: bytes) -> None:
        self.public_key, self._secret = nacl.bindings.crypto_sign_seed_keypair(_seed(seed))

    def __repr__(self) -> str:
        return f"Signer({self.public_key.hex()[:16]}…)"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`."""
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def _seed(seed: bytes) -> bytes:
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a private key's seed has {SEED_BYTES} bytes")
    return seed


class _Vector(NamedTuple):
    why: str
    public_key: str
    message: bytes
    signature: str
    valid: bool


_BASE = "5866666666666666666666666666666666666666666666666666666666666666"
_IDENTITY = "01" + 31 * "00"

_VECTORS = (
    _Vector(
        "RFC 8032 §7.1 test 1",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        True,
    ),
    _Vector(
        "S + L instead of S (rule 1)",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "4c8c7872aa064e049dbb3013fbf29380d25bf5f0595bbe24655141438e7a101b",
        False,
    ),
    _Vector(
        "R in a second encoding of the identity (rule 2)",
        _BASE,
        b"",
        "ee" + 30 * "ff" + "7f" + 32 * "00",
        False,
    ),
    _Vector("R and A of low order (rules 3 and 4)", _IDENTITY, b"", _IDENTITY + 32 * "00", False),
)


def self_test() -> None:
    """Known signatures are judged as the rule says. Raises SignatureRuleViolated otherwise."""
    for vector in _VECTORS:
        judged = verify(
            bytes.fromhex(vector.public_key), vector.message, bytes.fromhex(vector.signature)
        )
        if judged is not vector.valid:
            raise SignatureRuleViolated("cryptographic library", f"it misjudges: {vector.why}")
