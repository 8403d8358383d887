"""Sealed chunks and wrapped keys: what opens, and that nothing else does."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.sealing import WRAPPED_BYTES, SealBroken, seal_of, unwrap, wrap

NAMES = {"ledger_id": bytes([1]) * 32, "exchange_id": bytes([2]) * 32}
KEY = sha256(b"content key").digest()
CHUNKS = [b"first", b"second", b"third"]


def sealed() -> list[bytes]:
    seal = seal_of(KEY, **NAMES)
    return [
        seal.seal(chunk, number=number, last=number == len(CHUNKS) - 1)
        for number, chunk in enumerate(CHUNKS)
    ]


def opened(chunks: list[bytes], key: bytes = KEY, names: dict[str, bytes] = NAMES) -> list[bytes]:
    seal = seal_of(key, **names)
    return [
        seal.open(chunk, number=number, last=number == len(chunks) - 1)
        for number, chunk in enumerate(chunks)
    ]


def test_chunks_open_in_their_places() -> None:
    assert opened(sealed()) == CHUNKS


def test_chunks_left_out_moved_cut_off_or_changed_do_not_open() -> None:
    first, second, third = sealed()
    for wrong in (
        [first, second],
        [second, first, third],
        [second, third],
        [first, third],
        [first, second, third, third],
        [first, second, third[:-1]],
        [first, second, bytes([third[0] ^ 1]) + third[1:]],
    ):
        with pytest.raises(SealBroken):
            opened(wrong)


def test_another_key_or_exchange_opens_nothing_and_has_another_commitment() -> None:
    other = {**NAMES, "exchange_id": bytes(32)}
    for key, names in ((bytes(32), NAMES), (KEY, other)):
        with pytest.raises(SealBroken):
            opened(sealed(), key, names)
        assert seal_of(key, **names).commitment != seal_of(KEY, **NAMES).commitment


def test_a_key_is_wrapped_for_one_recipient_and_one_exchange() -> None:
    private = X25519PrivateKey.generate()
    wrapped = wrap(KEY, private.public_key().public_bytes_raw(), **NAMES)
    assert len(wrapped) == WRAPPED_BYTES
    assert unwrap(wrapped, private, **NAMES) == KEY
    with pytest.raises(SealBroken):
        unwrap(wrapped, X25519PrivateKey.generate(), **NAMES)
    with pytest.raises(SealBroken):
        unwrap(wrapped, private, ledger_id=NAMES["ledger_id"], exchange_id=bytes(32))
    with pytest.raises(SealBroken):
        unwrap(wrapped[:-1], private, **NAMES)
    with pytest.raises(ValueError, match="shared key"):
        wrap(KEY, bytes(32), **NAMES)


def test_key_and_commitment_are_what_hkdf_makes_of_the_content_key() -> None:
    salt = b"concordat/sealed/v1\x00" + NAMES["ledger_id"] + NAMES["exchange_id"]
    seal = seal_of(KEY, **NAMES)
    assert seal.key == HKDF(SHA256(), 32, salt, b"key").derive(KEY)
    assert seal.commitment == HKDF(SHA256(), 32, salt, b"commitment").derive(KEY)


def test_what_does_not_open_is_named() -> None:
    with pytest.raises(SealBroken) as caught:
        seal_of(KEY, **NAMES).open(bytes(16), number=3, last=True)
    assert str(caught.value) == "chunk 3: it does not open"
    with pytest.raises(SealBroken) as caught:
        unwrap(bytes(WRAPPED_BYTES), X25519PrivateKey.generate(), **NAMES)
    assert str(caught.value) == "the wrapped key: it does not open"
