"""`audit.proofs`: what a ledger says is proved alone, and no byte of a proof can be another."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import plyvel
import pytest
from branches import Branch
from builders import START_MS, Consortium
from click.testing import CliRunner
from recorded import RIGHT, Recorder, dataset, grant_request, receipts, record_ledger
from vectors.proof_files import shown_by

from audit.evidence import Convicted
from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import Proved, check_proof
from audit.proofs.format import KINDS as FORMS
from audit.proofs.format import Proof, ProofRefused, parse_proof
from cli.main import main
from cli.proofs import check_file
from contracts import grants
from contracts.exchanges import Receipt, ReceiptLine, Receipts
from ledger import store_keys
from ledger.attachments import items_root
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.certificates import Certificate, parse_certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.codec import encode
from ledger.genesis import parse_genesis_file
from ledger.records import Record, parse_leaf
from ledger.tree import leaf_hash, root_of

FLIPS_MAX = 120


class Memory:
    """A store in memory."""

    whole = True

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.values):
            if start <= key < stop:
                yield key, self.values[key]

    def damage(self) -> Iterable[tuple[str, str]]:
        return ()


class Ledger:
    """A recorded ledger: its folder, its keys, and what tests ask about."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.consortium = record_ledger(folder)
        self._more()
        self.genesis = self.consortium.genesis_file
        with plyvel.DB(str(folder)) as db:
            self.values = dict(db)
        self.prover = Prover(self.genesis, Memory(self.values))
        self.granted = next(
            record for record in self.records() if record.header.kind == "grant.request"
        ).record_id

    def _more(self) -> None:
        """A refused grant, a revoked one, and one that was only asked for and never used."""
        recorder = Recorder(self.folder, self.consortium)
        asked = grant_request(self.consortium, "housing", "health", "table-1")
        recorder.put(asked)
        decision = grants.GrantReply(asked.record_id, "no legal basis")
        recorder.put(
            self.consortium.record("health", "grant.refuse", decision, created_ms=START_MS + 9_000)
        )
        self.refused = asked.record_id
        revoked = grant_request(self.consortium, "housing", "health", "table-2")
        recorder.put(revoked)
        recorder.put(
            self.consortium.record(
                "health",
                "grant.approve",
                grants.GrantApprove(revoked.record_id),
                created_ms=START_MS + 9_000,
            )
        )
        recorder.put(receipts(self.consortium, "health", revoked.record_id, range(5_000, 5_007)))
        decision = grants.GrantDecision(revoked.record_id, "the\nline ends")
        recorder.put(
            self.consortium.record("health", "grant.revoke", decision, created_ms=START_MS + 9_000)
        )
        self.revoked = revoked.record_id
        recorder.close()

    def records(self) -> Iterator[Record]:
        for key, value in sorted(self.values.items()):
            if key[:1] == store_keys.LEAF and not isinstance(parse_any_leaf(value), BlockHeader):
                yield parse_leaf(value)

    def make(self, kind: str) -> bytes:
        match kind:
            case "record":
                return self.prover.record(self.granted)
            case "receipt":
                return self.prover.receipt((733).to_bytes(32, "big"))
            case "grant":
                return self.prover.grant(self.refused)
            case "absence":
                return self.prover.absence("housing", "health", "table-2")
            case "absence, never asked":
                return self.prover.absence("housing", "health", "table-3")
            case "grants":
                return self.prover.grants("health", "table-2")
            case "grants, none":
                return self.prover.grants("health", "table-3")
            case "datasets":
                return self.prover.datasets("housing")
            case "receipts":
                return self.prover.receipts(self.granted)
            case "receipts, few":
                return self.prover.receipts(self.revoked)
            case _:
                return self.prover.receipts(self.refused)

    def check(self, data: bytes) -> Proved:
        return check_proof(data, self.genesis)

    def accepts(self, data: bytes) -> bool:
        """Whether the checker finds nothing wrong; what it refuses comes with a remedy."""
        try:
            self.check(data)
        except ProofRefused as error:
            return not error.remedy
        return True


KINDS = (
    "record",
    "receipt",
    "grant",
    "absence",
    "absence, never asked",
    "receipts",
    "receipts, few",
    "receipts, none",
    "grants",
    "grants, none",
    "datasets",
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(tmp_path_factory.mktemp("proofs") / "data")


@pytest.fixture(scope="module")
def proofs(ledger: Ledger) -> dict[str, bytes]:
    return {kind: ledger.make(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_proved_and_checked(
    kind: str, ledger: Ledger, proofs: dict[str, bytes]
) -> None:
    proved = ledger.check(proofs[kind])
    newest = ledger.prover.certificate
    assert proved.kind == kind.partition(",")[0]
    assert proved.checkpoint == newest.checkpoint and proved.ledger_id == ledger.genesis.ledger_id
    assert (proved.signers, proved.voters) == (("health",), 1)
    assert proved.words and all("\n" not in sentence for sentence in proved.words)
    json.dumps(proved.facts)


def test_statements_say_what_the_ledger_holds(ledger: Ledger, proofs: dict[str, bytes]) -> None:
    facts = {kind: ledger.check(data).facts for kind, data in proofs.items()}
    assert facts["record"]["record_kind"] == "grant.request"
    assert facts["record"]["department"] == "housing"
    assert facts["receipt"]["grant_id"] == ledger.granted.hex()
    assert (facts["receipt"]["rows"], facts["receipt"]["size_bytes"]) == (1, 10)
    assert facts["grant"]["status"] == "refused"
    assert facts["grant"]["request"]["dataset"] == "table-1"
    assert facts["absence"]["grants"] == {ledger.revoked.hex(): "grant-revoked"}
    assert facts["absence, never asked"]["grants"] == {}
    assert facts["receipts"]["exchanges"] == 2_000 and len(facts["receipts"]["records"]) == 100
    assert facts["receipts, few"]["exchanges"] == 7
    assert facts["receipts, none"]["records"] == []
    assert [entry["status"] for entry in facts["grants"]["grants"]] == ["revoked"]
    assert facts["grants, none"]["grants"] == []
    listed = facts["datasets"]["datasets"]
    assert [entry["dataset"] for entry in listed] == [f"housing/table-{n}" for n in range(40, 60)]
    assert listed[0]["fields"] == ["id_number", "name"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_can_be_another(kind: str, ledger: Ledger, proofs: dict[str, bytes]) -> None:
    data = proofs[kind]
    chance = random.Random(kind)
    places: Iterable[int] = range(len(data))
    if len(data) > 10_000:
        places = sorted(chance.sample(range(len(data)), FLIPS_MAX))
    accepted = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        if ledger.accepts(bytes(changed)):
            accepted.append(place)
    assert accepted == []


@pytest.mark.parametrize("kind", KINDS)
def test_other_spellings_are_refused(kind: str, ledger: Ledger, proofs: dict[str, bytes]) -> None:
    data = proofs[kind]
    loose = json.loads(data)
    spellings = [
        data + b"\n",
        data[:-1],
        data.replace(b"\n", b"\r\n"),
        json.dumps(loose).encode(),
        json.dumps(loose | {"note": ""}).encode(),
        data.replace(b"{\n", b'{\n "ledger_id": "' + b"0" * 64 + b'",\n', 1),
        data.replace(b"proof/1", b"proof/2"),
        data.replace(loose["ledger_id"].encode(), loose["ledger_id"].upper().encode()),
        b"",
        b"[" * 100_000,
        b"\xff",
    ]
    for spelling in spellings:
        assert spelling != data
        with pytest.raises(ProofRefused):
            ledger.check(spelling)


@pytest.mark.parametrize("kind", KINDS)
def test_another_genesis_refuses(kind: str, proofs: dict[str, bytes]) -> None:
    other = Consortium(("health", "housing", "tourism"), voter_count=1).genesis_file
    with pytest.raises(ProofRefused, match="another ledger"):
        check_proof(proofs[kind], other)
    same_voter = Consortium(("health", "housing"), voter_count=1, settings=(("record-skew-ms", 9),))
    proof = parse_proof(proofs[kind])
    renamed = replaced(proof, ledger_id=same_voter.genesis_file.ledger_id.hex())
    with pytest.raises(ProofRefused):
        check_proof(renamed, same_voter.genesis_file)


def test_a_genesis_without_all_founders_proves_nothing(
    ledger: Ledger, proofs: dict[str, bytes]
) -> None:
    genesis = ledger.genesis
    less = type(genesis)(genesis.genesis, genesis.genesis_bytes, genesis.signatures[1:])
    with pytest.raises(ProofRefused, match="not signed by"):
        check_proof(proofs["record"], less)


def replaced(proof: Proof, **changes: object) -> bytes:
    """A proof file with other members, spelled as it has to be."""
    return msgspec.structs.replace(proof, **changes).to_json()


def restated(data: bytes, **changes: object) -> bytes:
    """A proof file with other members in its statement."""
    proof = parse_proof(data)
    return replaced(proof, statement=msgspec.structs.replace(proof.statement, **changes))


def test_a_proof_for_one_thing_does_not_prove_another(
    ledger: Ledger, proofs: dict[str, bytes]
) -> None:
    other_grant = parse_proof(ledger.prover.grant(ledger.granted)).statement
    other_record = parse_proof(ledger.prover.record(ledger.refused)).statement
    few = parse_proof(proofs["receipts, few"]).statement
    asked = parse_proof(proofs["absence"]).statement
    never = parse_proof(proofs["absence, never asked"]).statement
    granted = ledger.granted.hex()
    absence, receipt = proofs["absence"], proofs["receipt"]
    forged = {
        "a grant's id": restated(proofs["grant"], grant_id=granted),
        "a grant's state": restated(proofs["grant"], state=other_grant.state),
        "a receipt's place": restated(receipt, item_index=0),
        "a receipt's line": restated(receipt, line=1),
        "a receipt's record": restated(receipt, record=few.records[0]),
        "no receipts' record": restated(receipt, record=other_record.record),
        "a list's grant": restated(proofs["receipts"], grant_id=ledger.revoked.hex()),
        "a list cut short": restated(
            proofs["receipts"], records=parse_proof(proofs["receipts"]).statement.records[:-1]
        ),
        "a list of others": restated(proofs["receipts, few"], records=(other_record.record,)),
        "a list emptied": restated(
            proofs["receipts, few"], records=(), head=parse_proof(absence).statement.held
        ),
        "a dataset": restated(absence, dataset="table-0"),
        "a consumer": restated(absence, consumer="health", publisher="housing"),
        "no department": restated(absence, consumer="tourism"),
        "the consumer's own": restated(absence, consumer="health"),
        "grants left out": restated(absence, grants=()),
        "a list never begun": restated(absence, held=never.held, grants=()),
        "a dataset's grants left out": restated(proofs["grants"], grants=()),
        "another dataset's grants": restated(proofs["grants"], dataset="table-3"),
        "a dataset that is none": restated(proofs["grants"], dataset="table-999"),
        "a list of grants never begun": restated(proofs["grants"], head=never.held, grants=()),
        "datasets left out": restated(
            proofs["datasets"], datasets=parse_proof(proofs["datasets"]).statement.datasets[1:]
        ),
        "datasets in another order": restated(
            proofs["datasets"], datasets=parse_proof(proofs["datasets"]).statement.datasets[::-1]
        ),
        "another department's datasets": restated(proofs["datasets"], department="health"),
        "a department that is none": restated(proofs["datasets"], department="tourism"),
        "another member": restated(
            absence, consumer_state=parse_proof(proofs["grants"]).statement.offered
        ),
        "a grant's state in a list": restated(
            absence,
            grants=(msgspec.structs.replace(asked.grants[0], state=other_grant.state),),
        ),
    }
    for name, data in forged.items():
        with pytest.raises(ProofRefused):
            pytest.fail(f"{name}: {ledger.check(data).words}")


def test_an_absence_is_refused_while_a_grant_lets_through(
    ledger: Ledger, proofs: dict[str, bytes]
) -> None:
    """The prover's own refusal is left out, so that the checker's is what is tested."""
    prover = ledger.prover
    part, state = prover._state_part, parse_proof(proofs["absence"]).statement.grants[0]
    grant = msgspec.structs.replace(
        state, grant_id=ledger.granted.hex(), state=part(b"grant/" + ledger.granted)
    )
    data = restated(
        proofs["absence"],
        dataset="table-0",
        offered=part(b"dataset/health/table-0"),
        held=part(b"list/held/housing/health/table-0"),
        grants=(grant,),
    )
    with pytest.raises(ProofRefused, match="does let the consumer read"):
        ledger.check(data)


def test_what_is_absent_cannot_be_proved(ledger: Ledger) -> None:
    prover, nothing = ledger.prover, bytes(31) + b"\xee"
    attempts = {
        "there is no record": lambda: prover.record(nothing),
        "no receipt of exchange": lambda: prover.receipt(b"\xee" * 32),
        "there is no grant": lambda: prover.grant(nothing),
        f"there is no grant {nothing.hex()}": lambda: prover.receipts(nothing),
        "lets housing read": lambda: prover.absence("housing", "health", "table-0"),
        "no dataset": lambda: prover.absence("housing", "health", "table-999"),
        "no department": lambda: prover.absence("tourism", "health", "table-0"),
        "tourism is no department": lambda: prover.datasets("tourism"),
        "no dataset health/none": lambda: prover.grants("health", "none"),
        "needs no grant": lambda: prover.absence("health", "health", "table-0"),
    }
    for words, attempt in attempts.items():
        with pytest.raises(Unprovable, match=words) as caught:
            attempt()
        assert caught.value.remedy


def test_a_store_ahead_of_its_certificate_proves_the_state_of_then(ledger: Ledger) -> None:
    """An older certificate is signed here for the block before the refusal."""
    values = dict(ledger.values)
    newest = ledger.prover.certificate
    place = values[store_keys.record_key(ledger.refused)]
    height = store_keys.read_number(place[8:])
    earlier = earlier_certificate(ledger, height)
    del values[store_keys.certificate_key(newest.height)]
    values[store_keys.certificate_key(height)] = earlier
    prover = Prover(ledger.genesis, Memory(values))
    assert prover.certificate == parse_certificate(earlier)
    proved = ledger.check(prover.grant(ledger.refused))
    assert proved.facts["status"] == "requested" and proved.checkpoint.height == height
    assert ledger.check(prover.receipts(ledger.granted)).facts["exchanges"] == 2_000
    assert ledger.check(prover.absence("housing", "health", "table-2")).facts["grants"] == {}
    with pytest.raises(Unprovable, match="there is no record"):
        prover.record(ledger.revoked)
    with pytest.raises(Unprovable, match="there is no grant"):
        prover.grant(ledger.revoked)
    with pytest.raises(Unprovable, match="no receipt"):
        prover.receipt((5_003).to_bytes(32, "big"))


def earlier_certificate(ledger: Ledger, height: int) -> bytes:
    """A certificate of an earlier block by the one voter's own key."""
    size = store_keys.read_number(ledger.values[store_keys.block_key(height)]) + 1
    leaves = [leaf_hash(ledger.values[store_keys.leaf_key(index)]) for index in range(size)]
    checkpoint = Checkpoint(ledger.genesis.ledger_id, height, size, root_of(leaves))
    key = ledger.consortium.checkpoint_signer("health")
    signature = key.sign(cosignature_message(checkpoint, 1_790_000_000))
    cosignature = Cosignature(key.public_key, 1_790_000_000, signature)
    return Certificate.of(checkpoint, [cosignature]).to_bytes()


@pytest.mark.parametrize("prefix", [b"l", b"t", b"p", b"vgrant/", b"i", b"r", b"a"])
def test_a_damaged_store_makes_an_error_and_no_proof(prefix: bytes, ledger: Ledger) -> None:
    """Every value of one kind is changed; whatever still comes out is right."""
    refused = 0
    for change in (lambda value: bytes([value[0] ^ 1]) + value[1:], lambda _: None):
        values = {
            key: change(value) if key.startswith(prefix) else value
            for key, value in ledger.values.items()
        }
        store = Memory({key: value for key, value in values.items() if value is not None})
        for attempt in (
            lambda prover: prover.record(ledger.granted),
            lambda prover: prover.receipt((733).to_bytes(32, "big")),
            lambda prover: prover.grant(ledger.refused),
            lambda prover: prover.absence("housing", "health", "table-2"),
            lambda prover: prover.receipts(ledger.granted),
            lambda prover: prover.grants("health", "table-2"),
            lambda prover: prover.datasets("housing"),
        ):
            try:
                ledger.check(attempt(Prover(ledger.genesis, store)))
            except Unprovable:
                refused += 1
    assert refused


def test_a_store_without_certificate_or_of_another_genesis_proves_nothing(ledger: Ledger) -> None:
    values = {key: value for key, value in ledger.values.items() if key[:1] != b"c"}
    with pytest.raises(Unprovable, match="no certificate"):
        Prover(ledger.genesis, Memory(values))
    other = Consortium(("health",), voter_count=1).genesis_file
    with pytest.raises(Unprovable, match="not this genesis' ledger"):
        Prover(other, Memory(ledger.values))


def test_a_receipts_proof_is_small_in_a_large_ledger() -> None:
    """Three voters, ten million leaves: paths are as long as there, whatever they lead to.

    The last leaf's has one hash for each bit that is set in its index.
    """
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=3)
    branch = Branch(consortium)
    branch.block(dataset(consortium, "health", "vaccinations-by-district"))
    asked = grant_request(consortium, "housing", "health", "vaccinations-by-district")
    branch.block(asked)
    approval = grants.GrantApprove(asked.record_id)
    branch.block(
        consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000)
    )
    branch.block(receipts(consortium, "health", asked.record_id, range(16)))
    branch.certify(consortium.departments)
    data = Prover(consortium.genesis_file, branch).receipt((13).to_bytes(32, "big"))
    assert len(check_proof(data, consortium.genesis_file).signers) == 2
    proof = parse_proof(data)
    statement, certificate = proof.statement, proof.certificate
    paths = {size: (24, (size - 1).bit_count()) for size in (10_000_000, 9_999_999, 9_876_543)}
    for size, (record, block) in paths.items():
        part = msgspec.structs.replace(
            statement.record, leaf_index=size // 2, path=bytes(32) * record
        )
        large = replaced(
            proof,
            certificate=msgspec.structs.replace(certificate, tree_size=size, height=size // 3),
            block=msgspec.structs.replace(proof.block, path=bytes(32) * block),
            statement=msgspec.structs.replace(statement, record=part),
        )
        print(f"{size} leaves: {len(large)} bytes")
        assert len(large) <= 4_096


def test_the_commands_prove_and_check(ledger: Ledger, tmp_path: Path) -> None:
    genesis, proof = tmp_path / "genesis.json", tmp_path / "proof.json"
    genesis.write_bytes(ledger.genesis.to_json())
    run = CliRunner().invoke
    trusted = ["--genesis", str(genesis)]
    made = ["audit", "prove", "absence", "housing", "health/table-2", str(ledger.folder), *trusted]
    done = run(main, [*made, "-o", str(proof)])
    assert done.exit_code == 0, done.output
    done = run(main, ["audit", "check", str(proof), *trusted])
    assert done.exit_code == 0, done.output
    assert ledger.genesis.ledger_id.hex() in done.output
    assert "No grant lets housing read health/table-2" in done.output
    assert "signed by   health (1 of 1 voters)" in done.output
    done = run(main, ["audit", "check", str(proof), *trusted, "--json"])
    assert json.loads(done.output)["facts"]["grants"] == {ledger.revoked.hex(): "grant-revoked"}
    assert run(main, [*made, "-o", str(proof)]).exit_code == 1, "nothing is overwritten"
    proof.write_bytes(proof.read_bytes()[:-1])
    done = run(main, ["audit", "check", str(proof), *trusted, "--json"])
    assert done.exit_code == 1 and json.loads(done.output)["proved"] is False
    assert run(main, ["audit", "check", str(proof), *trusted]).exit_code == 1
    wrong = {
        1: (("grant", "zz"), ("grant", "00" * 32), ("absence", "housing", "health")),
        2: (("grant", "00" * 32, "11" * 32), ("absence", "housing"), ("all", "00" * 32)),
    }
    for code, attempts in wrong.items():
        for attempt in attempts:
            output = ["-o", str(tmp_path / "none.json")]
            done = run(main, ["audit", "prove", *attempt, str(ledger.folder), *trusted, *output])
            assert done.exit_code == code, (attempt, done.output)
    assert not (tmp_path / "none.json").exists()


def test_a_grant_with_several_lines_in_a_record_is_found_by_its_own(tmp_path: Path) -> None:
    """One record with receipts of two grants: each list and each receipt finds its line."""
    recorder = Recorder(tmp_path / "data")
    consortium = recorder.consortium
    ids = []
    for name in ("one", "two"):
        recorder.put(dataset(consortium, "health", name))
        asked = grant_request(consortium, "housing", "health", name)
        recorder.put(asked)
        approval = grants.GrantApprove(asked.record_id)
        recorder.put(
            consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000)
        )
        ids.append(asked.record_id)
    zero = bytes(32)
    items = [
        encode(Receipt(number.to_bytes(32, "big"), zero, zero, zero, 2, 10, 0, zero))
        for number in range(5)
    ]
    ids.sort()
    parts = (items[:3], items[3:])
    lines = tuple(
        ReceiptLine(
            grant_id,
            *RIGHT,
            len(part),
            2 * len(part),
            10 * len(part),
            items_root(part),
        )
        for grant_id, part in zip(ids, parts, strict=True)
    )
    recorder.put(
        consortium.record(
            "health",
            "exchange.receipts",
            Receipts(lines),
            items=tuple(items),
            created_ms=START_MS + 9_000,
        )
    )
    recorder.close()
    with plyvel.DB(str(tmp_path / "data")) as db:
        prover = Prover(consortium.genesis_file, Memory(dict(db)))
    for number, grant_id in ((1, ids[0]), (4, ids[1])):
        data = prover.receipt(number.to_bytes(32, "big"))
        proved = check_proof(data, consortium.genesis_file)
        assert proved.facts["grant_id"] == grant_id.hex()
    counts = [
        check_proof(prover.receipts(grant_id), consortium.genesis_file).facts["rows"]
        for grant_id in ids
    ]
    assert counts == [6, 4]


GOLDEN = Path(__file__).resolve().parents[2] / "vectors" / "proofs"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_golden_files_are_accepted_by_this_and_every_later_version(path: Path) -> None:
    genesis = parse_genesis_file((GOLDEN / "genesis.json").read_bytes())
    if path.stem == "genesis":
        genesis.check()
        return
    expected = json.loads((GOLDEN.parent / "shown.json").read_text(encoding="ascii"))[path.name]
    shown = check_file(path.read_bytes(), genesis)
    if isinstance(shown, Convicted):
        assert shown.facts() == expected
    else:
        assert json.loads(json.dumps(shown_by(shown))) == expected and shown.kind == path.stem


def test_there_is_a_golden_file_of_each_kind() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*FORMS, "evidence", "genesis"}
