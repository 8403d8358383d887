"""A log and a client of our witness by other means: hashlib, base64 and `cryptography` alone.

`Log` is any transparency log (RFC 6962 tree, c2sp.org/tlog-checkpoint); it asks for cosignatures as
c2sp.org/tlog-witness says, and checks them as c2sp.org/tlog-cosignature says.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from ledger.witnesses import parse_verifier_key
from node.errors import StoreCorrupt
from node.identity import Identity, create_identity
from node.witness import Witness, WitnessRefused

ORIGIN, NAME = "log.example/behind-the-sofa", "witness.example/w1"
NOW_MS = 1_790_000_000_123


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split(count: int) -> int:
    left = 1
    while left * 2 < count:
        left *= 2
    return left


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1."""
    if not leaves:
        return digest(b"")
    if len(leaves) == 1:
        return digest(b"\x00" + leaves[0])
    left = split(len(leaves))
    return digest(b"\x01" + root_of(leaves[:left]) + root_of(leaves[left:]))


def consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 §2.1.2."""
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    left = split(len(leaves))
    if old <= left:
        return [*consistency(old, leaves[:left], whole), root_of(leaves[left:])]
    return [*consistency(old - left, leaves[left:], False), root_of(leaves[:left])]


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return digest(name.encode() + b"\n" + bytes([kind]) + public)[:4]


class Log:
    """A log with a key of its own."""

    def __init__(self, *leaves: str, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.leaves = [leaf.encode() for leaf in leaves]
        self.key = Ed25519PrivateKey.from_private_bytes(digest(b"a log's key"))
        self.public = self.key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        raw = base64.b64encode(b"\x01" + self.public).decode()
        return f"{self.origin}+{key_id(self.origin, 1, self.public).hex()}+{raw}"

    def text(self) -> bytes:
        root = base64.b64encode(root_of(self.leaves)).decode()
        return f"{self.origin}\n{len(self.leaves)}\n{root}\n".encode()

    def request(self, old: int, proof: list[bytes] | None = None) -> bytes:
        proof = (consistency(old, self.leaves) if old else []) if proof is None else proof
        lines = "".join(base64.b64encode(each).decode() + "\n" for each in proof)
        signature = key_id(self.origin, 1, self.public) + self.key.sign(self.text())
        stranger = base64.b64encode(bytes(68)).decode()
        note = f"— {self.origin} {base64.b64encode(signature).decode()}\n— else {stranger}\n"
        return f"old {old}\n{lines}\n".encode() + self.text() + b"\n" + note.encode()


def check(log: Log, answer: bytes, ed25519: bytes, ml_dsa: bytes | None = None) -> int:
    """Which time the cosignatures in an answer say; they hold for the log's checkpoint."""
    lines = dict[bytes, bytes]()
    for line in answer.decode().removesuffix("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        assert (dash, name) == ("—", NAME)
        raw = base64.b64decode(encoded)
        lines[raw[:4]] = raw[4:]
    assert len(lines) == 1 + (ml_dsa is not None)
    signature = lines[key_id(NAME, 4, ed25519)]
    time_s = int.from_bytes(signature[:8], "big")
    message = f"cosignature/v1\ntime {time_s}\n".encode() + log.text()
    Ed25519PublicKey.from_public_bytes(ed25519).verify(signature[8:], message)
    if ml_dsa is not None:
        signature = lines[key_id(NAME, 6, ml_dsa)]
        message = b"subtree/v1\n\x00" + bytes([len(NAME)]) + NAME.encode() + signature[:8]
        message += bytes([len(log.origin)]) + log.origin.encode() + bytes(8)
        message += len(log.leaves).to_bytes(8, "big") + root_of(log.leaves)
        MLDSA44PublicKey.from_public_bytes(ml_dsa).verify(signature[8:], message)
    return time_s


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return create_identity(tmp_path / "keys")


Make = Callable[..., Witness]


@pytest.fixture
def make(identity: Identity, tmp_path: Path) -> Make:
    """Makes the witness, again with the same memory."""

    def made(*, ml_dsa_44: bool = False) -> Witness:
        return Witness(
            identity,
            name=NAME,
            ml_dsa_44=ml_dsa_44,
            logs={ORIGIN: (parse_verifier_key(Log().vkey),)},
            folder=tmp_path / "keys" / "witnessed",
            now_ms=lambda: NOW_MS,
        )

    return made


def refused(witness: Witness, body: bytes) -> tuple[str, int]:
    with pytest.raises(WitnessRefused) as caught:
        witness.add(body)
    return caught.value.fault, caught.value.size


def test_a_growing_log_is_cosigned_at_every_size(make: Make, identity: Identity) -> None:
    witness, log, old = make(), Log(), 0
    for size in (1, 2, 3, 4, 7, 8, 9, 40):
        log.leaves = [f"leaf {number}".encode() for number in range(size)]
        answer = witness.add(log.request(old))
        assert check(log, answer, identity.witness_key) == NOW_MS // 1_000
        old = size
    again = witness.add(log.request(old))
    assert check(log, again, identity.witness_key)


def test_both_kinds_of_cosignature_hold_and_a_changed_one_does_not(make: Make) -> None:
    witness, log = make(ml_dsa_44=True), Log("a", "b", "c")
    ed25519, ml_dsa = (key.public_key for key in witness.keys)
    answer = witness.add(log.request(0))
    check(log, answer, ed25519, ml_dsa)
    log.leaves[1] = b"B"
    with pytest.raises(InvalidSignature):
        check(log, answer, ed25519, ml_dsa)


def test_a_rollback_and_a_fork_get_no_signature_also_after_a_restart(make: Make) -> None:
    log = Log(*"abcdefgh")
    make().add(log.request(0))
    witness = make()
    smaller = Log(*"abcde")
    assert refused(witness, smaller.request(0)) == ("conflict", 8)
    assert refused(witness, smaller.request(8, [])) == ("malformed", 0)
    other = Log(*"abcdefgX")
    assert refused(witness, other.request(8)) == ("conflict", 8)
    grown = Log(*"abcdefgXi")
    assert refused(witness, grown.request(8)) == ("inconsistent", 0)
    assert refused(witness, grown.request(0)) == ("conflict", 8)
    log.leaves.append(b"i")
    assert witness.add(log.request(8))


def test_what_is_no_request_of_a_known_log_is_refused(make: Make) -> None:
    witness, log = make(), Log("a", "b")
    assert refused(witness, Log("a", origin="log.example/other").request(0)) == ("unknown", 0)
    forger = Log("a", "b")
    forger.key = Ed25519PrivateKey.generate()
    assert refused(witness, forger.request(0)) == ("unsigned", 0)
    good = log.request(0)
    for body in (
        b"",
        b"old 0\n",
        good.replace(b"old 0", b"old 00"),
        good.replace(b"old 0", b"old -1"),
        good.replace(b"old 0", b"new 0"),
        good.replace(b"old 0\n", b"old 0\nnot base64\n"),
        good.replace(b"old 0\n", b"old 0\n" + base64.b64encode(bytes(31)) + b"\n"),
        good.replace(b"old 0\n", b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64),
        good.replace(b"\n2\n", b"\n02\n"),
        good + bytes(70_000),
    ):
        assert refused(witness, body) == ("malformed", 0), body[:40]
    assert refused(witness, log.request(0, [bytes(32)])) == ("inconsistent", 0)
    witness.add(good)
    assert refused(witness, log.request(2, [bytes(32)])) == ("inconsistent", 0)
    log.leaves.append(b"c")
    assert refused(witness, log.request(2, [])) == ("inconsistent", 0)


def test_every_changed_byte_of_a_request_but_in_a_strangers_line_is_refused(make: Make) -> None:
    log = Log(*"abcde")
    make().add(Log(*"abc").request(0))
    good = log.request(3)
    strangers = good.index("— else".encode())
    for place in range(strangers):
        changed = bytearray(good)
        changed[place] ^= 1
        with pytest.raises(WitnessRefused):
            make().add(bytes(changed))
    changed = bytearray(good)
    changed[strangers + len("— ".encode())] ^= 1
    witness = make()
    check(log, witness.add(bytes(changed)), witness.keys[0].public_key)


def test_nothing_is_signed_that_is_not_durable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    witness, log = make(), Log("a")

    def broken(_: int) -> None:
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StoreCorrupt, match="the disk is gone"):
        witness.add(log.request(0))
    monkeypatch.undo()
    assert witness.add(log.request(0))


def test_a_memory_that_cannot_be_read_ends_witnessing(make: Make, tmp_path: Path) -> None:
    witness, log = make(), Log("a")
    witness.add(log.request(0))
    (path,) = (tmp_path / "keys" / "witnessed").iterdir()
    path.write_text("{", encoding="utf-8")
    with pytest.raises(StoreCorrupt):
        witness.add(log.request(1))
