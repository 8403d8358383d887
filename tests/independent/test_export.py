"""A static export read and verified by other means: this checker shares no line with the product.

It knows C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-cosignature, RFC 6962, and of
Concordat only docs/FORMATS.md; it uses hashlib, json, base64, `msgpack` and `cryptography`. It
rebuilds the tree from the leaves and compares every tile, checks links, sizes, roots and every
author's signature, and counts the voters that signed the checkpoint.
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
    """The export is not a ledger of this genesis."""


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


def root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as it stands there."""
    if len(hashes) == 1:
        return hashes[0]
    left = 1
    while left * 2 < len(hashes):
        left *= 2
    return digest(b"\x01" + root_of(hashes[:left]) + root_of(hashes[left:]))


def name_of(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def parts(folder: Path, kind: str, count: int) -> list[bytes]:
    """The files that hold `count` entries, 256 in each, the last one partial."""
    names = [f"{name_of(at)}" for at in range(count // 256)]
    if count % 256:
        names.append(f"{name_of(count // 256)}.p/{count % 256}")
    return [(folder / "tile" / kind / name).read_bytes() for name in names]


def leaves_of(folder: Path, size: int) -> list[bytes]:
    leaves = []
    for bundle in parts(folder, "entries", size):
        while bundle:
            end = 2 + int.from_bytes(bundle[:2], "big")
            leaves.append(bundle[2:end])
            bundle = bundle[end:]
    require(len(leaves) == size, "number of entries")
    return leaves


def check_tiles(folder: Path, hashes: list[bytes]) -> None:
    level = 0
    while hashes:
        require(b"".join(parts(folder, str(level), len(hashes))) == b"".join(hashes), "tile")
        full = len(hashes) // 256
        hashes = [root_of(hashes[256 * at : 256 * at + 256]) for at in range(full)]
        level += 1


def check_note(note: str, ledger_id: bytes, voters: set[bytes]) -> tuple[int, int, bytes]:
    """Height, size and root of a checkpoint that a majority of the voters has cosigned."""
    text, _, lines = note.partition("\n\n")
    origin, size, root, height = text.split("\n")
    require(origin == f"concordat/{ledger_id.hex()}" and height.startswith("height "), "origin")
    signers = set()
    for line in lines.strip().split("\n"):
        dash, name, encoded = line.split(" ")
        raw = base64.b64decode(encoded, validate=True)
        node_id = bytes.fromhex(name.rpartition("/")[2])
        require(dash == "\u2014" and name == f"{origin}/{node_id.hex()}", "key name")
        require(raw[:4] == digest(name.encode() + b"\n\x04" + node_id)[:4], "key id")
        time = int.from_bytes(raw[4:12], "big")
        signed(node_id, f"cosignature/v1\ntime {time}\n{text}\n".encode(), raw[12:])
        signers.add(node_id)
    require(2 * len(signers & voters) > len(voters), "majority")
    return int(height.removeprefix("height ")), int(size), base64.b64decode(root)


def check_export(folder: Path) -> dict[str, int]:
    """Verifies everything but the contracts' own rules; how many records of each kind there are."""
    genesis = base64.b64decode(json.loads((folder / "genesis.json").read_text())["genesis"])
    ledger_id = digest(genesis)
    _, _, _, departments, voters, _ = msgpack.unpackb(genesis)
    keys = {key: name for name, _, record_keys, _ in departments for key, _ in record_keys}
    note = (folder / "checkpoint").read_text(encoding="utf-8")
    height, size, root = check_note(note, ledger_id, set(voters))
    leaves = leaves_of(folder, size)
    hashes = [digest(b"\x00" + leaf) for leaf in leaves]
    require(root_of(hashes) == root, "root")
    check_tiles(folder, hashes)
    counts: dict[str, int] = {}
    previous, blocks, first = ledger_id, 0, 0
    for index, leaf in enumerate(leaves):
        tag, *rest = msgpack.unpackb(leaf)
        if tag == 1:
            header, signature = rest
            _, ledger, kind, department, _, key, *_ = msgpack.unpackb(header)
            require(ledger == ledger_id and keys.get(key) == department, "record")
            signed(key, b"concordat/record/v1\x00" + ledger_id + header, signature)
            counts[kind] = counts.get(kind, 0) + 1
            continue
        blocks += 1
        _, ledger, number, link, _, _, _, before, before_root, _, _, records = rest
        require((ledger, number, link) == (ledger_id, blocks, previous), "link")
        require((before, records) == (first, index - first), "block's records")
        require(first == 0 or before_root == root_of(hashes[:first]), "block's root")
        previous, first = digest(leaf), index + 1
    require((blocks, first) == (height, size), "the last block")
    return counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export made by the command, of a ledger with more than 256 leaves."""
    from branches import Branch, write_store
    from builders import START_MS, Consortium
    from click.testing import CliRunner
    from recorded import dataset

    from cli.main import main

    folder = tmp_path_factory.mktemp("export")
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=3)
    branch = Branch(consortium)
    for start in range(0, 600, 60):
        branch.block(
            *(
                dataset(consortium, "health", f"table-{number}")
                for number in range(start, start + 60)
            ),
            time_ms=START_MS + 20_000 + start,
        )
    branch.certify(("civil-affairs", "housing"))
    write_store(branch, folder / "data")
    genesis = folder / "genesis.json"
    genesis.write_bytes(consortium.genesis_file.to_json())
    done = CliRunner().invoke(
        main,
        [
            *("audit", "export", str(folder / "data")),
            *("--genesis", str(genesis), "-o", str(folder / "export")),
        ],
    )
    assert done.exit_code == 0, done.output
    return folder


def test_an_export_holds_for_a_checker_of_other_making(folder: Path) -> None:
    assert check_export(folder / "export") == {"dataset.publish": 600}
    assert (folder / "export" / "tile" / "1" / "000.p" / "2").is_file()


@pytest.mark.parametrize(
    "name", ["tile/entries/001", "tile/0/000", "tile/1/000.p/2", "checkpoint", "genesis.json"]
)
def test_and_a_changed_one_does_not(folder: Path, name: str) -> None:
    path = folder / "export" / name
    kept = path.read_bytes()
    changed = bytearray(kept)
    place = 700 if name == "genesis.json" else len(kept) * 2 // 3
    changed[place] ^= 1
    path.write_bytes(bytes(changed))
    try:
        with pytest.raises((Wrong, ValueError, msgpack.UnpackException)):
            check_export(folder / "export")
    finally:
        path.write_bytes(kept)


def test_the_product_verifies_and_compares_it_too(folder: Path) -> None:
    from click.testing import CliRunner

    from cli.main import main

    run = CliRunner().invoke
    data, export, trusted = folder / "data", folder / "export", folder / "genesis.json"
    done = run(
        main, ["audit", "verify", str(export), "--genesis", str(trusted), "--forget", "--json"]
    )
    assert done.exit_code == 0 and json.loads(done.output)["records"] == 600, done.output
    done = run(main, ["audit", "compare", str(export), str(data), "--json"])
    assert json.loads(done.output)["relation"] == "same"
    again = run(main, ["audit", "export", str(data), "--genesis", str(trusted), "-o", str(export)])
    assert again.exit_code == 1 and "nothing is overwritten" in again.output
    made = []
    for target in (data, export):
        proof = folder / f"{target.name}.proof.json"
        prove = ["audit", "prove", "datasets", "health", str(target), "--genesis", str(trusted)]
        done = run(main, [*prove, "-o", str(proof)])
        assert done.exit_code == 0, done.output
        made.append(proof.read_bytes())
    assert made[0] == made[1], "what an export proves is what the store proves"
    done = run(main, ["audit", "consistency", "61", "610", str(export), "--json"])
    same = run(main, ["audit", "consistency", "61", "610", str(data), "--json"])
    assert done.output == same.output and len(json.loads(done.output)["hashes"]) > 3
    assert run(main, ["audit", "consistency", "9", "611", str(export)]).exit_code == 1
    assert run(main, ["audit", "consistency", "9", "8", str(export)]).exit_code == 2
