"""The signature rule against public vectors, each of which some library judges differently."""

import json
from pathlib import Path

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import signatures
from ledger.errors import BadKey, SignatureRuleViolated
from ledger.signatures import Signer, check_public_key, public_key_of, self_test, sign, verify

L = 2**252 + 27742317777372353535851937790883648493


def valid_key(public_key: bytes) -> bool:
    try:
        check_public_key(public_key)
    except BadKey:
        return False
    return True


def test_every_cctv_case_that_passes_rule_and_enrolment_is_free_of_every_oddity(
    shared: Path,
) -> None:
    cases = json.loads((shared / "vectors/cctv-ed25519/ed25519/ed25519vectors.json").read_text())
    accepted = [
        tuple(case["flags"] or ())
        for case in cases
        if verify(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
        and valid_key(bytes.fromhex(case["key"]))
    ]
    assert len(cases) == 914
    assert accepted == [()]


def test_the_equation_is_cofactorless_and_refuses_low_order_and_second_encodings(
    shared: Path,
) -> None:
    cases = json.loads((shared / "vectors/cctv-ed25519/ed25519/ed25519vectors.json").read_text())
    refused_flags = {
        "low_order_A",
        "low_order_R",
        "low_order_residue",
        "non_canonical_A",
        "non_canonical_R",
        "reencoded_k",
    }
    for case in cases:
        judged = verify(
            bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"])
        )
        assert not (judged and refused_flags & set(case["flags"] or ())), case["number"]


def test_every_wycheproof_case_is_judged_as_it_says(shared: Path) -> None:
    path = shared / "vectors/wycheproof/testvectors_v1/ed25519_test.json"
    content = json.loads(path.read_text())
    judged = 0
    for group in content["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            expected = case["result"] == "valid"
            got = verify(public_key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert got is expected, case["tcId"]
            judged += 1
    assert judged == content["numberOfTests"]


def test_the_identity_as_r_is_refused_although_openssl_takes_it() -> None:
    # With r = 0, S = k·a: only whoever holds the key can make it, and the rule has no room for it.
    seed = bytes(range(32))
    from hashlib import sha512

    digest = sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    public_key = public_key_of(seed)
    identity = b"\x01" + bytes(31)
    challenge = int.from_bytes(sha512(identity + public_key + b"m").digest(), "little")
    forged = identity + (challenge * secret % L).to_bytes(32, "little")
    Ed25519PrivateKey.from_private_bytes(seed).public_key().verify(forged, b"m")
    assert not verify(public_key, b"m", forged)


def test_signatures_are_those_of_rfc_8032_and_of_an_independent_library() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert sign(seed, b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert sign(seed, b"abc") == Ed25519PrivateKey.from_private_bytes(seed).sign(b"abc")
    assert verify(public_key_of(seed), b"abc", Signer(seed).sign(b"abc"))


def test_a_signature_of_another_message_key_or_length_is_refused() -> None:
    signer = Signer(bytes(32))
    signature = signer.sign(b"message")
    assert verify(signer.public_key, b"message", signature)
    assert not verify(signer.public_key, b"messages", signature)
    assert not verify(public_key_of(bytes([1] * 32)), b"message", signature)
    assert not verify(signer.public_key, b"message", signature[:-1])
    assert not verify(signer.public_key[:-1], b"message", signature)


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ],
)
def test_keys_of_low_order_or_in_a_second_encoding_cannot_be_enrolled(public_key: bytes) -> None:
    with pytest.raises(BadKey):
        check_public_key(public_key)


def test_a_key_of_mixed_order_cannot_be_enrolled(shared: Path) -> None:
    cases = json.loads((shared / "vectors/cctv-ed25519/ed25519/ed25519vectors.json").read_text())
    mixed = [case for case in cases if "low_order_component_A" in (case["flags"] or ())]
    assert mixed
    assert not any(valid_key(bytes.fromhex(case["key"])) for case in mixed)


def test_a_seed_of_another_length_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        public_key_of(bytes(31))


def test_a_signer_shows_its_public_key_only() -> None:
    seed = bytes(range(32))
    assert seed.hex() not in repr(Signer(seed))
    assert Signer(seed).public_key.hex()[:16] in repr(Signer(seed))


def test_the_self_test_passes_here_and_fails_with_a_laxer_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    self_test()
    monkeypatch.setattr(nacl.bindings, "crypto_sign_open", lambda signed, key: signed[64:])
    with pytest.raises(SignatureRuleViolated, match="misjudges"):
        signatures.self_test()


@pytest.mark.parametrize(("key_bytes", "signature_bytes"), [(31, 64), (33, 64), (32, 63), (32, 65)])
def test_a_key_or_signature_of_another_length_signs_nothing(
    key_bytes: int, signature_bytes: int
) -> None:
    assert not verify(bytes(key_bytes), b"message", bytes(signature_bytes))


def test_what_is_wrong_with_a_public_key_is_said() -> None:
    for key, why in (
        (bytes(31), "31 bytes instead of 32"),
        (bytes(32), "it is no canonical point of prime order"),
    ):
        with pytest.raises(BadKey) as caught:
            check_public_key(key)
        assert str(caught.value) == f"public key: {why}"


def test_a_signer_shows_its_public_key_and_no_more() -> None:
    signer = Signer(bytes(range(32)))
    assert repr(signer) == f"Signer({signer.public_key.hex()[:16]}…)"


def test_a_library_that_misjudges_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "verify", lambda *_: False)
    with pytest.raises(SignatureRuleViolated) as caught:
        self_test()
    assert str(caught.value) == "cryptographic library: it misjudges: RFC 8032 §7.1 test 1"


def test_a_signature_that_lends_its_end_to_the_message_is_no_signature() -> None:
    # Joined, signature and message are the same bytes as before: only the lengths tell.
    signer = Signer(bytes(32))
    signature = signer.sign(b"message")
    assert verify(signer.public_key, b"message", signature)
    assert not verify(signer.public_key, signature[63:] + b"message", signature[:63])
    assert not verify(signer.public_key, b"essage", signature + b"m")
    assert not verify(signer.public_key[:31], b"message", signature)
    assert not verify(signer.public_key + b"\x00", b"message", signature)
