"""C2SP tlog-proof files and COSE receipts: made here, judged also by others' libraries."""

import json
import random
from pathlib import Path

import cbor2
import pytest
from branches import Branch, write_store
from builders import Consortium, signer
from click.testing import CliRunner, Result
from cwt import COSE, COSEKey
from recorded import dataset

from audit.cose import check_receipt, make_receipt
from audit.proofs.build import Prover
from audit.proofs.check import check_tlog_proof
from audit.proofs.format import ProofRefused
from audit.proofs.trust import Trust
from cli.main import main
from ledger import store_keys
from ledger.errors import BadSignature, LedgerError, Malformed
from ledger.records import parse_leaf
from ledger.tlog_proofs import TlogProof, parse_tlog_proof
from ledger.tree import inclusion_proof, leaf_hash, root_of
from ledger.types import LeafIndex, TreeSize

KEY = signer("health/0/publication")


@pytest.fixture(scope="module")
def branch() -> Branch:
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=3)
    made = Branch(consortium)
    for number in range(7):
        made.block(dataset(consortium, "health", f"table-{number}"))
    made.certify(("civil-affairs", "health"))
    return made


@pytest.fixture(scope="module")
def record_id(branch: Branch) -> bytes:
    return next(key[1:] for key, _ in branch.scan(b"r", b"s"))


# tlog-proof.


def test_a_tlog_proof_is_spelled_as_the_c2sp_page_says(branch: Branch, record_id: bytes) -> None:
    data = Prover(branch.genesis, branch).tlog_proof(record_id)
    first, extra, index, *rest = data.decode().split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    assert extra.startswith("extra ") and index.startswith("index ")
    assert rest[rest.index("") + 1] == f"concordat/{branch.genesis.ledger_id.hex()}"
    shown = check_tlog_proof(data, Trust(branch.genesis))
    assert shown.facts["record_id"] == record_id.hex() and len(shown.signers) == 2
    assert parse_tlog_proof(data).to_bytes() == data


def test_a_tlog_proof_with_any_byte_changed_is_refused(branch: Branch, record_id: bytes) -> None:
    data = Prover(branch.genesis, branch).tlog_proof(record_id)
    trust, pick = Trust(branch.genesis), random.Random(5)
    accepted = []
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << pick.randrange(8)
        try:
            check_tlog_proof(bytes(changed), trust)
            accepted.append(place)
        except ProofRefused as error:
            accepted += [] if error.remedy else [place]
    assert accepted == []


def test_other_tlog_proofs_are_malformed_or_prove_nothing(branch: Branch, record_id: bytes) -> None:
    good = parse_tlog_proof(Prover(branch.genesis, branch).tlog_proof(record_id))
    without = TlogProof(good.index, good.path, good.note)
    assert parse_tlog_proof(without.to_bytes()) == without
    with pytest.raises(ProofRefused, match="does not hold the record's leaf"):
        check_tlog_proof(without.to_bytes(), Trust(branch.genesis))
    for text in (b"", b"c2sp.org/tlog-proof@v1\n\n", b"c2sp.org/tlog-proof@v1\nindex 01\n\n"):
        with pytest.raises(Malformed):
            parse_tlog_proof(text)


def test_the_commands_make_and_check_a_tlog_proof(
    branch: Branch, record_id: bytes, tmp_path: Path
) -> None:
    data, genesis = write_store(branch, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(branch.genesis.to_json())
    proof, trusted = tmp_path / "record.tlog-proof", ["--genesis", str(genesis)]
    prove = ["audit", "prove", "record", record_id.hex(), str(data), *trusted]
    run = CliRunner().invoke
    done = run(main, [*prove, "-o", str(proof), "--format", "tlog-proof"])
    assert done.exit_code == 0, done.output
    done = run(main, ["audit", "check", str(proof), *trusted])
    assert done.exit_code == 0 and record_id.hex() in done.output, done.output
    grant = ["audit", "prove", "grant", "00" * 32, str(data), *trusted, "-o", "x"]
    assert run(main, [*grant, "--format", "tlog-proof"]).exit_code == 2


# COSE receipts.


def receipt_of(branch: Branch, index: int) -> tuple[bytes, bytes, bytes]:
    """A receipt, the leaf it is about, and the root."""
    leaves = [value for key, value in sorted(branch.values.items()) if key[:1] == store_keys.LEAF]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    path = inclusion_proof(
        lambda level, place: root_of(hashes[place << level : (place + 1) << level]),
        leaf_index=LeafIndex(index),
        tree_size=TreeSize(len(leaves)),
    )
    receipt = make_receipt(
        KEY.sign,
        key=KEY.public_key,
        leaf_index=index,
        tree_size=len(leaves),
        path=path,
        root=root_of(hashes),
    )
    return receipt, leaves[index], root_of(hashes)


def test_another_library_verifies_a_receipts_signature(branch: Branch) -> None:
    receipt, _, root = receipt_of(branch, 4)
    key = COSEKey.new({1: 1, -1: 6, -2: KEY.public_key, 2: KEY.public_key, 3: -8})
    assert COSE.new().decode(receipt, key, detached_payload=root) == root
    with pytest.raises(Exception, match="verify"):
        COSE.new().decode(receipt, key, detached_payload=bytes(32))


def test_a_receipt_is_laid_out_as_rfc_9942_says(branch: Branch) -> None:
    receipt, leaf, root = receipt_of(branch, 4)
    tag = cbor2.loads(receipt)
    protected, unprotected, payload, signature = tag.value
    assert (tag.tag, payload, len(signature)) == (18, None, 64)
    assert cbor2.loads(protected) == {1: -8, 4: KEY.public_key, 395: 1}
    size, index, path = cbor2.loads(unprotected[396][-1][0])
    assert (size, index) == (branch.checkpoint.tree_size, 4) and all(len(h) == 32 for h in path)
    shown = check_receipt(receipt, leaf)
    assert (shown.key, shown.leaf_index, shown.root) == (KEY.public_key, 4, root)


def test_a_changed_receipt_or_another_record_is_refused(branch: Branch) -> None:
    receipt, leaf, root = receipt_of(branch, 4)
    size = branch.checkpoint.tree_size
    accepted = []
    for place in range(len(receipt)):
        changed = bytearray(receipt)
        changed[place] ^= 1
        try:
            shown = check_receipt(bytes(changed), leaf)
        except LedgerError:
            continue
        accepted.append((shown.root, shown.leaf_index, shown.tree_size != size))
    assert accepted in ([], [(root, 4, True)]), "nothing but the size, which is not signed"
    pair = cbor2.dumps([1, 2])
    for wrong in (b"", b"\xff", receipt + b"\x00", receipt[:-1], pair, bytes(99_999)):
        with pytest.raises(Malformed):
            check_receipt(wrong, leaf)
    with pytest.raises(BadSignature):
        check_receipt(receipt, leaf + b"\x00")


class Files:
    """A node's receipt of a record, and the record in every form in which a person may have it."""

    def __init__(self, branch: Branch, folder: Path) -> None:
        self.folder = folder
        receipt, leaf, _ = receipt_of(branch, 4)
        record = parse_leaf(leaf)
        prover = Prover(branch.genesis, branch)
        self.record_id = record.record_id.hex()
        self.receipt = self.put("receipt.cose", receipt)
        self.genesis = self.put("genesis.json", branch.genesis.to_json())
        self.records = {
            "leaf": self.put("leaf", leaf),
            "record": self.put("record", record.to_bytes()),
            "proof": self.put("record.json", prover.record(record.record_id)),
            "tlog-proof": self.put("record.tlog", prover.tlog_proof(record.record_id)),
        }
        self.branch = branch

    def put(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def check(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["audit", "check", *words, "--genesis", self.genesis])


@pytest.fixture
def files(branch: Branch, tmp_path: Path) -> Files:
    return Files(branch, tmp_path)


def test_a_receipt_is_checked_with_its_record_in_any_form(files: Files) -> None:
    for form, path in files.records.items():
        done = files.check(files.receipt, "--record", path, "--json")
        assert done.exit_code == 0, (form, done.output)
        shown = json.loads(done.output)
        assert (shown["signed_by"], shown["facts"]["record_id"]) == (["health"], files.record_id)
    said = files.check(files.receipt, "--record", files.records["leaf"]).output
    assert "This is one node's word and no certificate" in " ".join(said.split())


def test_a_receipt_proves_nothing_of_another_record_or_by_a_stranger(files: Files) -> None:
    def refused(words: str, *more: str, receipt: str = files.receipt) -> None:
        done = files.check(receipt, *more)
        said = " ".join(done.output.split())
        assert done.exit_code == 1 and words in said and "what to do: " in said, said

    refused("it does not hold the record that it is about")
    leaf = Path(files.records["leaf"]).read_bytes()
    other = receipt_of(files.branch, 6)[1]
    refused("its signature does not fit this record", "--record", files.put("other", other))
    forged = files.put("forged", leaf[:-1] + bytes([leaf[-1] ^ 1]))
    refused("did not sign it", "--record", forged)
    refused("record: ", "--record", files.put("nothing", b"nothing"))
    listed = Prover(files.branch.genesis, files.branch).datasets("health")
    refused("it is of no single record", "--record", files.put("listed", listed))
    stranger = Branch(Consortium(("health", "housing"), voter_count=1))
    stranger.block(dataset(stranger.consortium, "health", "table-0"))
    theirs = next(value for _, value in stranger.scan(store_keys.LEAF, b"m"))
    refused("it is another ledger's", "--record", files.put("theirs", theirs))
    unknown = signer("nobody")
    hashes = (leaf_hash(leaf), leaf_hash(other))
    made = make_receipt(
        unknown.sign,
        key=unknown.public_key,
        leaf_index=0,
        tree_size=2,
        path=hashes[1:],
        root=root_of(hashes),
    )
    refused(
        "no node that is known here",
        "--record",
        files.records["leaf"],
        receipt=files.put("unknown", made),
    )


def test_a_directory_gives_no_receipt_for_its_nodes_key_is_elsewhere(files: Files) -> None:
    prove = ["audit", "prove", "record", files.record_id, str(files.folder)]
    options = ["--genesis", files.genesis, "-o", "never", "--format", "cose"]
    done = CliRunner().invoke(main, [*prove, *options])
    assert done.exit_code == 2 and "a running node's word" in done.output
