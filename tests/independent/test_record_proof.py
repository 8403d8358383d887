"""A proof file judged by other means: the checker here shares no line with the product.

It knows the genesis file and the proof file only as docs/FORMATS.md describes them, and uses
hashlib, json, base64, `msgpack` and `cryptography`. The fixture alone runs the product.
"""

import base64
import hashlib
import json
from pathlib import Path

import msgpack
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    """The proof proves nothing."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def signed(key: bytes, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Wrong("signature") from None


def tree_root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """RFC 6962 §2.1.1 read from above: the sibling of the last step is the path's last hash."""
    if size == 1:
        require(path == [], "the path is too long")
        return digest(b"\x00" + leaf)
    require(path != [], "the path is too short")
    left = 1
    while left * 2 < size:
        left *= 2
    if index < left:
        return digest(b"\x01" + tree_root(index, left, leaf, path[:-1]) + path[-1])
    return digest(b"\x01" + path[-1] + tree_root(index - left, size - left, leaf, path[:-1]))


def plain(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def hashes(text: str) -> list[bytes]:
    joined = plain(text)
    require(len(joined) % 32 == 0, "hashes")
    return [joined[place : place + 32] for place in range(0, len(joined), 32)]


def genesis_voters(genesis_file: bytes) -> tuple[bytes, set[bytes]]:
    """The ledger's id and its voters, once every founder's signature is verified."""
    content = json.loads(genesis_file)
    genesis = plain(content["genesis"])
    ledger_id = digest(genesis)
    _, _, _, departments, voters, _ = msgpack.unpackb(genesis)
    keys = {name: {key for key, _ in record_keys} for name, _, record_keys, _ in departments}
    for entry in content["signatures"]:
        key = bytes.fromhex(entry["key"])
        require(key in keys.pop(entry["department"], set()), "a founder's key")
        signed(key, b"concordat/genesis/v1\x00" + ledger_id, plain(entry["signature"]))
    require(keys == {}, "a founder did not sign")
    return ledger_id, set(voters)


def judge(proof_file: bytes, genesis_file: bytes) -> tuple[str, str, str]:
    """Record id, kind and department of the record that the file proves. Raises Wrong."""
    ledger_id, voters = genesis_voters(genesis_file)
    proof = json.loads(proof_file)
    require(proof["format"] == "concordat/proof/1", "version")
    require(proof["ledger_id"] == ledger_id.hex(), "ledger")

    certificate = proof["certificate"]
    height, size, root = certificate["height"], certificate["tree_size"], certificate["root"]
    body = f"concordat/{ledger_id.hex()}\n{size}\n{root}\nheight {height}\n"
    signers = set()
    for entry in certificate["signers"]:
        node_id = bytes.fromhex(entry["node_id"])
        message = f"cosignature/v1\ntime {entry['timestamp_s']}\n{body}".encode()
        signed(node_id, message, plain(entry["signature"]))
        signers.add(node_id)
    require(signers <= voters and 2 * len(signers) > len(voters), "majority")

    header = plain(proof["block"]["header"])
    path = hashes(proof["block"]["path"])
    require(tree_root(size - 1, size, header, path) == plain(root), "block header")
    block = msgpack.unpackb(header)
    require(block[:4] == [2, 1, ledger_id, height], "block header's words")

    statement = proof["statement"]
    require(statement["kind"] == "record", "kind")
    part = statement["record"]
    leaf, index = plain(part["leaf"]), part["leaf_index"]
    path = hashes(part["path"])
    require(0 <= index < size, "leaf index")
    require(tree_root(index, size, leaf, path) == plain(root), "record")
    tag, header, signature = msgpack.unpackb(leaf)
    require(tag == 1, "record")
    record_id = digest(header).hex()
    _, own_ledger, kind, department, _, key, *_ = msgpack.unpackb(header)
    require(own_ledger == ledger_id, "record's ledger")
    signed(key, b"concordat/record/v1\x00" + ledger_id + header, signature)
    return record_id, kind, department


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, bytes]]:
    """Proof and genesis files of three records, by record id."""
    from recorded import record_ledger

    from audit.proofs.build import Prover
    from audit.sources.directory import DirectorySource

    folder: Path = tmp_path_factory.mktemp("independent") / "data"
    genesis = record_ledger(folder).genesis_file
    with DirectorySource(folder) as source:
        prover = Prover(genesis, source)
        ids = [key[1:] for key, _ in source.scan(b"r", b"s")][::60]
        return {each.hex(): (prover.record(each), genesis.to_json()) for each in ids}


def test_a_record_proof_holds_for_a_checker_of_other_making(
    made: dict[str, tuple[bytes, bytes]],
) -> None:
    assert len(made) >= 2
    for record_id, (proof, genesis) in made.items():
        found, kind, department = judge(proof, genesis)
        assert found == record_id
        assert "." in kind and department in ("health", "housing")


def test_and_a_changed_one_does_not(made: dict[str, tuple[bytes, bytes]]) -> None:
    """Members that carry trust; that no byte at all can be another is the product's own test."""
    proof, genesis = next(iter(made.values()))
    for name in ("leaf", "leaf_index", "root", "header", "height", "signature"):
        place = proof.index(b'"' + name.encode() + b'": ') + len(name) + 8
        changed = bytearray(proof)
        changed[place] = ord("1") if changed[place] != ord("1") else ord("2")
        with pytest.raises((Wrong, ValueError)):
            judge(bytes(changed), genesis)
