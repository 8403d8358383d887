"""The golden vectors: ours to the byte, read by a second decoder, hashed again by hand."""

import base64
import json
import subprocess
import sys
from hashlib import sha256
from hmac import digest as hmac_digest
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from vectors.decoders import AGAIN
from vectors.generate import GOLDEN, golden_text, main
from vectors.plain import from_json

from ledger.attachments import attached_fault
from ledger.certificates import certificate_from_note, check_certificate, parse_certificate
from ledger.errors import Malformed
from ledger.genesis import parse_enrolment_file, parse_genesis_file
from ledger.list_heads import parse_list_head, rebuilds
from ledger.notes import parse_note
from ledger.proofs import check_consistency, check_inclusion
from ledger.records import parse_record
from ledger.sealing import unwrap
from ledger.state_proofs import check_absence, check_presence, parse_state_proof
from ledger.state_tree import StateTree
from ledger.types import LeafIndex, TreeSize

VECTORS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="ascii"))
ACCEPTED = [vector for vector in VECTORS if "refused" not in vector]
REFUSED = [vector for vector in VECTORS if "refused" in vector]
BY_NAME = {vector["name"]: vector for vector in VECTORS}

NOT_DECODED = {
    "commitment",
    "cosignature",
    "document",
    "hash",
    "state root",
    "statement",
    "store key",
    "subject tag",
    "tree proofs",
    "tree root",
    "sealed chunk",
    "wrapped key",
}
"""Digests, preimages and keys: nothing is read out of them, they are recomputed below."""


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def of_format(*forms: str) -> list[dict[str, Any]]:
    return [vector for vector in ACCEPTED if vector["format"] in forms]


def data_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


def field(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector[name])


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, strict_map_key=False, use_list=False, raw=False)


# RFC 9162 §2.1.1 and §2.1.3.1 written down as they stand there, over leaves' data.


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(at: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if at < split:
        return [*naive_path(at, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(at - split, leaves[split:]), naive_root(leaves[:split])]


def naive_state_root(hashed: list[tuple[str, bytes]]) -> bytes:
    """hashed: the bits of SHA-256(key), and the leaf SHA-256(0x01 ‖ key hash ‖ value hash)."""
    if not hashed:
        return bytes(32)
    if len(hashed) == 1:
        return hashed[0][1]
    halves = ([(bits[1:], leaf) for bits, leaf in hashed if bits[0] == side] for side in "01")
    return sha256(b"\x02" + b"".join(map(naive_state_root, halves))).digest()


def numbered(size: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(size)]


def test_the_generator_writes_the_golden_file_again_byte_for_byte() -> None:
    assert golden_text() == GOLDEN.read_text(encoding="ascii")


def test_the_generator_can_be_run_as_a_program_under_any_hash_seed(project: Path) -> None:
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "tests/vectors/generate.py", "--check"],
            cwd=project,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_generator_says_where_the_golden_file_differs(tmp_path, monkeypatch, capsys) -> None:
    golden = tmp_path / "ledger.json"
    monkeypatch.setattr("vectors.generate.GOLDEN", golden)
    assert main(["--check"]) == 1
    assert "differs" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert main(["--help"]) == 2


def test_every_format_has_accepted_vectors_and_those_that_are_decoded_refused_ones() -> None:
    assert {vector["format"] for vector in ACCEPTED} == (set(AGAIN) - {"leaf"}) | NOT_DECODED
    assert {vector["format"] for vector in REFUSED} == set(AGAIN)


def test_every_vector_is_named_in_the_documentation_by_its_family(project: Path) -> None:
    text = (project / "docs" / "FORMATS.md").read_text(encoding="utf-8")
    families = {vector["name"].split("/")[0] for vector in ACCEPTED}
    assert not [family for family in sorted(families) if f"`{family}/" not in text]


@pytest.mark.parametrize("name", [v["name"] for v in ACCEPTED if v["format"] in AGAIN])
def test_an_accepted_vector_decodes_and_is_spelled_the_same_again(name: str) -> None:
    vector = BY_NAME[name]
    data = data_of(vector)
    assert AGAIN[vector["format"]](data) == data


@pytest.mark.parametrize("name", [v["name"] for v in ACCEPTED if "value" in v])
def test_an_independent_decoder_reads_the_same_plain_value(name: str) -> None:
    vector = BY_NAME[name]
    data, value = data_of(vector), from_json(vector["value"])
    assert unpack(data) == value
    assert msgpack.packb(value, use_bin_type=True) == data


@pytest.mark.parametrize("name", names(REFUSED))
def test_a_refused_vector_is_malformed(name: str) -> None:
    vector = BY_NAME[name]
    with pytest.raises(Malformed):
        AGAIN[vector["format"]](data_of(vector))


@pytest.mark.parametrize("name", [v["name"] for v in REFUSED if "accepted" in v])
def test_a_lenient_decoder_would_take_a_second_spelling_for_the_first(name: str) -> None:
    vector = BY_NAME[name]
    accepted = field(vector, "accepted")
    assert AGAIN[vector["format"]](accepted) == accepted != data_of(vector)
    assert unpack(data_of(vector)) == unpack(accepted)


def test_record_ids_leaf_hashes_and_signatures_hold_by_hand() -> None:
    for vector in of_format("record header"):
        if "record_id" in vector:
            assert sha256(data_of(vector)).digest() == field(vector, "record_id")
    for vector in of_format("record leaf"):
        assert sha256(b"\x00" + data_of(vector)).digest() == field(vector, "leaf_hash")
        tag, header, signature = unpack(data_of(vector))
        ledger_id, key = unpack(header)[1], unpack(header)[5]
        assert (tag, key) == (1, field(vector, "public_key"))
        preimage = b"concordat/record/v1\x00" + ledger_id + header
        assert preimage == field(vector, "preimage")
        Ed25519PublicKey.from_public_bytes(key).verify(signature, preimage)
    for vector in of_format("record"):
        leaf, _ = unpack(data_of(vector))
        assert sha256(unpack(leaf)[1]).digest() == field(vector, "record_id")


def test_what_is_attached_is_bound_by_the_header_by_hand() -> None:
    for name in ("record/items", "record/document"):
        leaf, attached = unpack(data_of(BY_NAME[name]))
        form, digest, count, size_bytes = unpack(unpack(leaf)[1])[10]
        parsed = parse_record(data_of(BY_NAME[name]))
        assert parsed.header.attached is not None
        assert attached_fault(parsed.header.attached, attached) is None
        assert size_bytes == len(attached)
        if form == "items":
            items = list(unpack(attached))
            assert (naive_root(items), len(items)) == (digest, count)
            assert field(BY_NAME["attachment/three-items"], "items_root") == digest
        else:
            assert (sha256(attached).digest(), count) == (digest, 1)
            assert field(BY_NAME["document/terms"], "digest") == digest
    assert parse_record(data_of(BY_NAME["record/withheld"])).attached is None


def test_blocks_link_by_hashes_computed_by_hand_from_genesis_on() -> None:
    ledger_id = sha256(data_of(BY_NAME["genesis/city"])).digest()
    assert ledger_id == field(BY_NAME["genesis/city"], "ledger_id")
    previous_block = previous_entry = ledger_id
    leaves: list[bytes] = []
    for height, name in enumerate(("records", "enter-joint", "leave-joint"), 1):
        entry = data_of(BY_NAME[f"entry/{name}"])
        header = data_of(BY_NAME[f"block-header/{name}"])
        fields = unpack(header)
        numbers = fields[5].to_bytes(8, "big") + height.to_bytes(8, "big")
        previous_entry = sha256(
            b"concordat/proposal/v1\x00"
            + ledger_id
            + numbers
            + previous_entry
            + sha256(entry).digest()
        ).digest()
        assert fields[:5] == (2, 1, ledger_id, height, previous_block)
        assert fields[6:9] == (previous_entry, unpack(entry)[0], len(leaves))
        assert fields[9] == naive_root(leaves)
        assert fields[10] == field(BY_NAME["state-root/hundred-keys"], "hex")
        assert fields[11] == unpack(data_of(BY_NAME[f"voter-sets/{name}"]))
        assert fields[12] == len(unpack(entry)[2])
        assert previous_entry == field(BY_NAME[f"entry/{name}"], "entry_hash")
        leaves += [unpack(record)[0] for record in unpack(entry)[2]] + [header]
        previous_block = sha256(header).digest()
        assert previous_block == field(BY_NAME[f"block-header/{name}"], "block_hash")
        assert naive_root([header]) == field(BY_NAME[f"block-header/{name}"], "leaf_hash")
        if name == "records":
            assert naive_root(leaves) == field(BY_NAME["checkpoint/majority"], "root")
        if name == "enter-joint":
            assert naive_root(leaves) == field(BY_NAME["checkpoint/joint"], "root")


def digits(value: bytes) -> str:
    number = int.from_bytes(sha256(b"concordat/fingerprint/v1\x00" + value).digest(), "big")
    return " ".join(f"{number // 100_000**place % 100_000:05d}" for place in range(12))


def test_genesis_and_enrolment_files_hold_by_hand() -> None:
    for name in ("city", "village"):
        content = json.loads(data_of(BY_NAME[f"genesis-file/{name}"]))
        genesis = base64.b64decode(content["genesis"])
        ledger_id = sha256(genesis).digest()
        assert genesis == data_of(BY_NAME[f"genesis/{name}"])
        assert content["fingerprint"] == BY_NAME[f"genesis/{name}"]["fingerprint"]
        assert content["fingerprint"] == digits(ledger_id)
        for entry in content["signatures"]:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["key"])).verify(
                base64.b64decode(entry["signature"]), b"concordat/genesis/v1\x00" + ledger_id
            )
        parse_genesis_file(data_of(BY_NAME[f"genesis-file/{name}"])).check()
    file = BY_NAME["enrolment-file/health"]
    content = json.loads(data_of(file))
    enrolment = base64.b64decode(content["enrolment"])
    assert enrolment == data_of(BY_NAME["enrolment/health"])
    assert content["fingerprint"] == digits(sha256(enrolment).digest())
    for key, signature in zip(file["public_keys"], content["signatures"], strict=True):
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            base64.b64decode(signature), b"concordat/enrolment/v1\x00" + bytes(32) + enrolment
        )
    parse_enrolment_file(data_of(file)).check()


@pytest.mark.parametrize("name", ["majority", "joint"])
def test_checkpoint_cosignature_certificate_and_note_say_the_same(name: str) -> None:
    checkpoint, signed = BY_NAME[f"checkpoint/{name}"], BY_NAME[f"cosignature/{name}"]
    ledger_id, root = field(checkpoint, "ledger_id"), field(checkpoint, "root")
    text = data_of(checkpoint).decode("ascii").split("\n")
    assert text[0] == checkpoint["origin"] == "concordat/" + ledger_id.hex()
    assert text[1:] == [
        str(checkpoint["tree_size"]),
        base64.b64encode(root).decode(),
        f"height {checkpoint['height']}",
        "",
    ]
    key = field(signed, "public_key")
    preimage = b"cosignature/v1\ntime %d\n" % signed["timestamp_s"] + data_of(checkpoint)
    assert preimage == field(signed, "preimage")
    assert data_of(signed)[:8] == signed["timestamp_s"].to_bytes(8, "big")
    Ed25519PublicKey.from_public_bytes(key).verify(data_of(signed)[8:], preimage)
    key_name = f"{checkpoint['origin']}/{key.hex()}"
    key_id = sha256(key_name.encode() + b"\n\x04" + key).digest()[:4]
    encoded = base64.b64encode(b"\x04" + key).decode()
    assert (signed["key_name"], field(signed, "key_id")) == (key_name, key_id)
    assert signed["verifier_key"] == f"{key_name}+{key_id.hex()}+{encoded}"
    certificate = parse_certificate(data_of(BY_NAME[f"certificate/{name}"]))
    line = base64.b64encode(key_id + data_of(signed)).decode()
    note = data_of(BY_NAME[f"note/{name}"])
    assert note.startswith(data_of(checkpoint) + f"\n\u2014 {key_name} {line}\n".encode())
    assert certificate_from_note(parse_note(note)) == certificate
    sets = [
        tuple(map(bytes.fromhex, voters)) for voters in BY_NAME[f"certificate/{name}"]["voter_sets"]
    ]
    check_certificate(certificate, ledger_id=ledger_id, voter_sets=sets)
    assert len(sets) == (2 if name == "joint" else 1)


def test_tree_roots_and_compact_ranges_are_those_of_the_rfc() -> None:
    for vector in of_format("tree root"):
        size, leaves = vector["size"], numbered(vector["size"])
        assert data_of(vector) == naive_root(leaves)
        pieces, begin = [], 0
        for bit in reversed(range(5)):
            if size >> bit & 1:
                pieces.append(naive_root(leaves[begin : begin + (1 << bit)]).hex())
                begin += 1 << bit
        assert vector["compact_range"] == pieces
    assert [vector["size"] for vector in of_format("tree root")] == list(range(21))


def test_tree_proofs_are_those_of_the_rfc_and_lead_to_the_root() -> None:
    for vector in of_format("tree proofs"):
        size, leaves = vector["size"], numbered(vector["size"])
        root = naive_root(leaves)
        assert data_of(vector) == root
        for at, proof in enumerate(vector["inclusion"]):
            hashes = [bytes.fromhex(digest) for digest in proof]
            assert hashes == naive_path(at, leaves)
            check_inclusion(
                leaf_hash=naive_root(leaves[at : at + 1]),
                leaf_index=LeafIndex(at),
                tree_size=TreeSize(size),
                proof=hashes,
                root=root,
            )
        for old_size, proof in enumerate(vector["consistency"], 1):
            check_consistency(
                old_size=TreeSize(old_size),
                old_root=naive_root(leaves[:old_size]),
                new_size=TreeSize(size),
                new_root=root,
                proof=[bytes.fromhex(digest) for digest in proof],
            )
        assert len(vector["inclusion"]) == len(vector["consistency"]) == size


def test_tiles_bundles_and_their_paths_hold_by_hand() -> None:
    for name, width in (("partial", 5), ("full", 256)):
        vector = BY_NAME[f"tile/{name}"]
        hashes = [naive_root([data]) for data in numbered(width)]
        assert data_of(vector) == b"".join(hashes)
        assert vector["width"] == width
    assert field(BY_NAME["tile/full"], "root") == naive_root(numbered(256))
    assert BY_NAME["tile/full"]["path"] == "tile/0/000"
    assert BY_NAME["tile/partial"]["path"] == "tile/0/000.p/5"
    bundle = BY_NAME["entry-bundle/partial"]
    assert bundle["path"] == "tile/entries/000.p/5"
    assert data_of(bundle) == b"".join(b"\x00\x06" + data for data in numbered(5))
    assert data_of(BY_NAME["tile-path/1234067"]) == b"x001/x234/067"


def test_the_state_root_and_its_proofs_hold_by_hand() -> None:
    for vector in of_format("state root"):
        hashed = []
        for key, value in zip(vector["keys"], vector["values"], strict=True):
            key_hash = sha256(key.encode()).digest()
            leaf = sha256(b"\x01" + key_hash + sha256(value.encode()).digest()).digest()
            hashed.append((f"{int.from_bytes(key_hash, 'big'):0256b}", leaf))
        assert naive_state_root(hashed) == data_of(vector)
    root = data_of(BY_NAME["state-root/hundred-keys"])
    assert len(BY_NAME["state-root/hundred-keys"]["keys"]) == 100
    ends = set()
    for vector in of_format("state proof"):
        proof, key = parse_state_proof(data_of(vector)), field(vector, "key")
        assert field(vector, "root") == root
        if vector["value_bytes"] is None:
            check_absence(root, key, proof)
            ends.add(proof.other is None)
        else:
            check_presence(root, key, field(vector, "value_bytes"), proof)
    assert ends == {True, False}


def test_pages_rebuild_the_root_and_prove_from_the_vectors_alone() -> None:
    stored: dict[bytes, bytes] = {}
    state = BY_NAME["state-root/hundred-keys"]
    content = dict(zip(state["keys"], state["values"], strict=True))
    update = StateTree(stored.get).update(
        {key.encode(): value.encode() for key, value in content.items()}
    )
    assert update.root == data_of(state)
    for vector in of_format("state page"):
        assert update.pages[field(vector, "path")] == data_of(vector)


def test_list_heads_rebuild_from_their_items() -> None:
    for vector in of_format("list head"):
        items = [item.encode() for item in vector["items"]]
        head = parse_list_head(data_of(vector))
        assert rebuilds(head, items)
        assert head.root() == naive_root(items) == field(vector, "root")
    assert len(BY_NAME["list-head/seven"]["items"]) == 7


def test_statements_are_laid_out_as_documented_and_signed() -> None:
    assert len(of_format("statement")) == 7
    for vector in of_format("statement"):
        if vector["purpose"] == "proposal":
            numbers = vector["term"].to_bytes(8, "big") + vector["index"].to_bytes(8, "big")
            digest = sha256(field(vector, "entry")).digest()
            payload = numbers + field(vector, "previous_hash") + digest
            assert sha256(data_of(vector)).digest() == field(vector, "entry_hash")
            assert field(vector, "entry_hash") == field(BY_NAME["entry/enter-joint"], "entry_hash")
        elif vector["purpose"] == "transfer":
            payload = vector["term"].to_bytes(8, "big") + field(vector, "target")
        else:
            payload = field(vector, "payload")
        head = f"concordat/{vector['purpose']}/v1\x00".encode()
        assert data_of(vector) == head + field(vector, "ledger_id") + payload
        Ed25519PublicKey.from_public_bytes(field(vector, "public_key")).verify(
            field(vector, "signature"), data_of(vector)
        )


def test_sealed_chunks_and_their_key_hold_by_hand() -> None:
    for vector in of_format("sealed chunk"):
        names = field(vector, "ledger_id") + field(vector, "exchange_id")
        context = b"concordat/sealed/v1\x00" + names
        extracted = hmac_digest(context, field(vector, "content_key"), "sha256")
        key = hmac_digest(extracted, b"key\x01", "sha256")
        assert field(vector, "key") == key
        assert field(vector, "commitment") == hmac_digest(extracted, b"commitment\x01", "sha256")
        nonce = vector["number"].to_bytes(11, "big") + bytes([vector["last"]])
        chunk = ChaCha20Poly1305(key).decrypt(nonce, data_of(vector), None)
        assert chunk == field(vector, "chunk")
    wrapped = BY_NAME["wrapped-key/consumer"]
    private = X25519PrivateKey.from_private_bytes(field(wrapped, "private_key"))
    named = {name: field(wrapped, name) for name in ("ledger_id", "exchange_id")}
    assert unwrap(data_of(wrapped), private, **named) == field(wrapped, "content_key")


def test_commitments_tags_and_plain_hashes_hold_by_hand() -> None:
    for vector in of_format("commitment"):
        head = f"concordat/commitment/v1\x00{vector['role']}\x00".encode()
        rest = b"".join(field(vector, name) for name in ("ledger_id", "blinding", "content"))
        assert data_of(vector) == sha256(head + rest).digest()
    tag = BY_NAME["subject-tag/person"]
    message = b"concordat/subject/v1\x00" + tag["identifier"].encode()
    assert data_of(tag) == hmac_digest(field(tag, "salt"), message, "sha256")
    assert data_of(BY_NAME["hash/leaf"]) == naive_root(numbered(1))
    assert data_of(BY_NAME["hash/node"]) == naive_root(numbered(2))
    named = BY_NAME["hash/key-id"]
    key_id = sha256(named["key_name"].encode() + b"\n\x01" + field(named, "public_key")).digest()
    assert data_of(named) == key_id[:4]
