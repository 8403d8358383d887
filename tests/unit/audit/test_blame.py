"""`audit.blame` and `audit.evidence`: liars are named, by a file that stands alone; nobody else."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from branches import Branch, cosign
from builders import Consortium
from recorded import dataset

from audit.blame import TwoCheckpoints, TwoProposals, blame
from audit.evidence import Convicted, check_evidence, evidence_file
from audit.forks import full_path
from audit.proofs.format import ProofRefused
from audit.signed import Statements, of_certificate, signatories_of
from ledger import store_keys
from ledger.checkpoints import Checkpoint
from ledger.evidence import (
    CertifiedOther,
    CommittedReplaced,
    ProposedTwice,
    SignedOther,
    SignedProposal,
    SignedText,
    SignedTwice,
    evidence_bytes,
)
from ledger.types import Height

FLIPS_MAX = 600
ROOT = Path(__file__).resolve().parents[3]

HONEST = ("housing", "tourism")
LIARS = ("civil-affairs", "health", "transport")


@pytest.fixture(scope="module")
def consortium() -> Consortium:
    return Consortium()


@pytest.fixture(scope="module")
def trunk(consortium: Consortium) -> Branch:
    branch = Branch(consortium)
    for number in range(5):
        branch.block(dataset(consortium, "health", f"table-{number}"))
    branch.certify(consortium.departments)
    return branch


def accused(*stores: Branch, more: Statements | None = None) -> tuple[str, ...]:
    """Departments named from these stores, by an evidence file that holds."""
    genesis = stores[0].genesis
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, stores, more=more)
    if not found:
        return ()
    return check_evidence(evidence_file(found, genesis), genesis).departments


def forked(trunk: Branch, *, blocks: tuple[int, int] = (1, 1)) -> tuple[Branch, Branch]:
    """Two certified ledgers that part: three liars sign both, one honest node each."""
    one, other = trunk.copy(), trunk.copy()
    for branch, name, count in ((one, "mine", blocks[0]), (other, "yours", blocks[1])):
        for number in range(count):
            branch.block(dataset(trunk.consortium, "health", f"{name}-{number}"))
    one.certify((*LIARS, "housing"))
    other.certify((*LIARS, "tourism"))
    return one, other


# Scenario A1: two proposals of one leader for one place.


def test_a_leader_that_proposes_twice_is_named_and_nobody_else(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    for branch, name in ((one, "mine"), (other, "yours")):
        branch.block(dataset(trunk.consortium, "health", name), term=7, leader="transport")
    assert accused(one, other) == ("transport",)
    assert accused(one) == accused(other) == accused(one, one.copy()) == ()


def test_what_one_node_kept_against_a_leader_is_enough(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    for branch, name in ((one, "mine"), (other, "yours")):
        branch.block(dataset(trunk.consortium, "health", name), leader="transport")
    kept, refused = (kept_proposal(branch, 6) for branch in (one, other))
    witness = trunk.copy()
    sender = trunk.consortium.node_ids[0]
    for evidence, names in (
        (ProposedTwice(kept, refused), ("transport",)),
        (CommittedReplaced(sender, kept, refused), ("transport",)),
        (ProposedTwice(kept, kept), ()),
    ):
        witness.values[store_keys.evidence_key(0)] = evidence_bytes(evidence)
        assert accused(witness) == names


def test_two_logs_of_one_term_that_a_node_kept_name_their_leader(trunk: Branch) -> None:
    one, other, short = trunk.copy(), trunk.copy(), trunk.copy()
    one.block(term=5, leader="tourism")
    other.block(term=6, leader="housing")
    for branch in (one, other, short):
        branch.block(term=7, leader="transport")
    kept, refused, before = (
        kept_proposal(branch, index) for branch, index in ((one, 7), (other, 7), (short, 6))
    )
    assert kept.previous_hash != refused.previous_hash
    witness = trunk.copy()
    for evidence in (ProposedTwice(kept, refused), ProposedTwice(kept, before)):
        witness.values[store_keys.evidence_key(0)] = evidence_bytes(evidence)
        assert accused(witness) == ("transport",)


def kept_proposal(branch: Branch, index: int) -> SignedProposal:
    """The entry at `index` of a branch's log, as a node keeps it as evidence."""
    entry, _ = msgspec.msgpack.decode(branch.values[store_keys.entry_key(index)])
    _, before = msgspec.msgpack.decode(branch.values[store_keys.entry_key(index - 1)])
    term, _, data, proposer, signature = entry
    return SignedProposal(term, index, before, data, proposer, signature)


def test_a_leader_that_does_not_build_on_its_own_entry_is_named(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), term=7, leader="transport")
    other.block(dataset(trunk.consortium, "health", "yours"), term=6, leader="tourism")
    other.block(term=7, leader="transport")
    assert accused(one, other) == ("transport",)
    genesis = trunk.genesis
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, (one, other))
    (liar,) = check_evidence(evidence_file(found, genesis), genesis).accused
    what = "an entry for index 7 that does not build on its own before it"
    assert liar.words == (f"transport (node {liar.node_id.hex()}) led term 7 and signed {what}.",)


def test_leaders_of_different_terms_replace_each_other_and_are_honest(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), term=7, leader="transport")
    other.block(dataset(trunk.consortium, "health", "yours"), term=8, leader="tourism")
    assert accused(one, other) == ()


# Scenario A2: certified forks.


@pytest.mark.parametrize("blocks", [(1, 1), (1, 3), (4, 1), (3, 2)])
def test_voters_who_certified_both_branches_are_named_and_nobody_else(
    trunk: Branch, blocks: tuple[int, int]
) -> None:
    one, other = forked(trunk, blocks=blocks)
    for branch in (one, other):
        for index in range(6, 12):
            branch.values.pop(store_keys.entry_key(index), None)
    assert accused(one, other) == accused(other, one) == LIARS


def test_signers_at_different_sizes_are_named(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), log=False)
    one.certify(("civil-affairs", "housing", "tourism"))
    other.block(dataset(trunk.consortium, "health", "yours"), log=False)
    other.certify(("health", "transport", "civil-affairs"))
    one.block(log=False)
    one.sign_own("health")
    other.block(log=False)
    other.sign_own("transport")
    assert accused(one, other) == ("civil-affairs", "health")


def test_two_certificates_are_enough_where_heights_or_sizes_meet(trunk: Branch) -> None:
    one, other = forked(trunk)
    certificates = [
        of_certificate(branch.certify(names))
        for branch, names in ((one, (*LIARS, "housing")), (other, (*LIARS, "tourism")))
    ]
    assert accused(trunk, more=certificates[0] + certificates[1]) == LIARS


def test_the_absence_of_a_path_proves_nothing(trunk: Branch) -> None:
    one, other = forked(trunk, blocks=(1, 2))
    certificates = [
        of_certificate(branch.certify(names))
        for branch, names in ((one, (*LIARS, "housing")), (other, (*LIARS, "tourism")))
    ]
    assert accused(trunk, more=certificates[0] + certificates[1]) == ()
    assert accused(other, more=certificates[0]) == LIARS


def test_a_contradiction_that_a_node_kept_names_its_signer(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), log=False)
    other.block(dataset(trunk.consortium, "health", "yours"), log=False)
    signed = cosign(trunk.consortium, "transport", one.checkpoint)
    theirs = SignedText(one.checkpoint.body(), signed.timestamp_s, signed.signature)
    other.values[store_keys.evidence_key(0)] = evidence_bytes(
        SignedOther(signed.node_id, theirs, other.checkpoint.body())
    )
    assert accused(other) == ()
    other.certify(("civil-affairs", "health", "transport"))
    assert accused(other) == ("transport",)


def test_two_checkpoints_that_a_node_kept_name_their_signer(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    texts = []
    for branch, name in ((one, "mine"), (other, "yours")):
        branch.block(dataset(trunk.consortium, "health", name), log=False)
        signed = cosign(trunk.consortium, "transport", branch.checkpoint)
        texts.append(SignedText(branch.checkpoint.body(), signed.timestamp_s, signed.signature))
    witness = trunk.copy()
    witness.values[store_keys.evidence_key(0)] = evidence_bytes(
        SignedTwice(trunk.consortium.checkpoint_signer("transport").public_key, *texts)
    )
    assert accused(witness) == ("transport",)


def test_a_certificate_that_a_node_met_is_enough_with_its_path(trunk: Branch) -> None:
    """What makes a node stop serving names the liars, from its own store alone."""
    one, other = forked(trunk, blocks=(1, 2))
    ours = one.certify((*LIARS, "housing"))
    theirs = other.certify((*LIARS, "tourism"))
    path = full_path(other, old_size=ours.tree_size, new_size=theirs.tree_size)
    witness = trunk.copy()
    kept = CertifiedOther(theirs.to_bytes(), one.checkpoint.body(), path, ours.to_bytes())
    witness.values[store_keys.evidence_key(0)] = evidence_bytes(kept)
    assert accused(witness) == LIARS
    alone = CertifiedOther(theirs.to_bytes(), one.checkpoint.body(), (), ours.to_bytes())
    witness.values[store_keys.evidence_key(0)] = evidence_bytes(alone)
    assert accused(witness) == ()


# Scenario A3, in small: what crashes leave behind names nobody.


def test_uncertified_heads_that_differ_name_nobody(trunk: Branch) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), log=False)
    one.sign_own("housing")
    other.block(dataset(trunk.consortium, "health", "yours"), log=False)
    other.sign_own("tourism")
    assert accused(one, other) == ()


def test_a_ledger_and_its_prefix_name_nobody(trunk: Branch) -> None:
    longer = trunk.copy()
    longer.block(dataset(trunk.consortium, "health", "more"))
    longer.certify(trunk.consortium.departments)
    assert accused(trunk, longer) == accused(longer, trunk) == ()


# Scenario A10: bad input is never proof.


def test_forged_and_foreign_statements_are_no_proof(trunk: Branch) -> None:
    elsewhere = Consortium(settings=(("record-skew-ms", 4_000),))
    stranger = Branch(elsewhere)
    for number in range(6):
        stranger.block(dataset(elsewhere, "housing", f"other-{number}"))
        stranger.certify(elsewhere.departments)
    assert accused(trunk, stranger) == ()
    one, other = forked(trunk)
    certificate = other.certify((*LIARS, "tourism"))
    forged = trunk.copy()
    forged.block(dataset(trunk.consortium, "health", "forged"), log=False)
    moved = type(certificate)(
        certificate.ledger_id,
        certificate.height,
        certificate.tree_size,
        forged.checkpoint.root,
        certificate.signers,
    )
    forged.values[store_keys.certificate_key(Height(6))] = moved.to_bytes()
    for branch in (one, forged):
        branch.values.pop(store_keys.entry_key(6), None)
    assert accused(one, forged) == ()


def test_forged_statements_do_not_hide_good_ones(trunk: Branch) -> None:
    one, other = forked(trunk)
    noise = trunk.copy()
    junk = Checkpoint(trunk.genesis.ledger_id, 6, 12, bytes(32))
    good = cosign(trunk.consortium, "housing", junk)
    for number, node_id in enumerate(trunk.consortium.node_ids):
        forged = SignedText(junk.body(), good.timestamp_s, bytes(64))
        noise.values[store_keys.evidence_key(number)] = evidence_bytes(
            SignedOther(node_id, forged, junk.body())
        )
    assert accused(noise, one, other) == LIARS


def test_random_bytes_in_every_place_of_a_store_name_nobody(trunk: Branch) -> None:
    pick = random.Random(4)
    one, other = trunk.copy(), trunk.copy()
    other.block(log=False)
    other.sign_own("health")
    keys = [key for key in other.values if key[:1] in (b"c", b"e", b"o", b"l")]
    for _ in range(200):
        spoilt = other.copy()
        key = pick.choice(keys)
        value = bytearray(spoilt.values[key])
        value[pick.randrange(len(value))] = pick.randrange(256)
        spoilt.values[key] = bytes(value[: pick.choice([len(value), pick.randrange(len(value))])])
        spoilt.values[store_keys.evidence_key(0)] = pick.randbytes(80)
        assert accused(one, spoilt) == ()


# The evidence file.


@pytest.fixture(scope="module")
def files(trunk: Branch) -> dict[str, bytes]:
    """Evidence files by what they show."""
    genesis = trunk.genesis
    signatories = signatories_of(genesis.genesis)
    made = {}
    for name, blocks in (("sizes", (1, 1)), ("path", (1, 2))):
        one, other = forked(trunk, blocks=blocks)
        for index in (6, 7):
            one.values.pop(store_keys.entry_key(index), None)
        found = blame(signatories, genesis.ledger_id, (one, other))
        assert all(isinstance(each, TwoCheckpoints) for each in found)
        made[name] = evidence_file(found, genesis)
    one, other = forked(trunk)
    found = blame(signatories, genesis.ledger_id, (one, other))
    made["proposals"] = evidence_file(
        [each for each in found if isinstance(each, TwoProposals)], genesis
    )
    made["both"] = evidence_file(found, genesis)
    return made


def test_evidence_says_who_and_what(files: dict[str, bytes], trunk: Branch) -> None:
    shown = {name: check_evidence(data, trunk.genesis) for name, data in files.items()}
    assert shown["sizes"].departments == shown["path"].departments == LIARS
    assert shown["proposals"].departments == ("civil-affairs",)
    twice = [each.kind for each in shown["both"].accused if each.department == "civil-affairs"]
    assert twice == ["checkpoints", "proposals"]
    for convicted in shown.values():
        assert all(entry.voter and entry.words for entry in convicted.accused)
        json.dumps(convicted.facts())
    same, larger = "No single ledger can have both.", "The tree of the larger has another root"
    assert {entry.words[-1] for entry in shown["sizes"].accused} == {same}
    assert {entry.words[-1] for entry in shown["path"].accused} == {
        f"{larger} at the smaller size."
    }


def convicts(data: bytes, trunk: Branch) -> Convicted | None:
    try:
        return check_evidence(data, trunk.genesis)
    except ProofRefused as error:
        return None if error.remedy else Convicted(b"", "a refusal without a remedy", ())


@pytest.mark.parametrize("name", ["sizes", "path", "proposals"])
def test_evidence_with_any_byte_changed_convicts_nobody(
    name: str, files: dict[str, bytes], trunk: Branch
) -> None:
    data = files[name]
    pick = random.Random(name)
    places = range(len(data))
    for place in places if len(data) <= FLIPS_MAX else pick.sample(places, FLIPS_MAX):
        changed = bytearray(data)
        changed[place] ^= 1 << pick.randrange(8)
        assert convicts(bytes(changed), trunk) is None, f"byte {place}"
    assert convicts(data[:-1], trunk) is None and convicts(data + b"\n", trunk) is None


def spoiled(data: bytes, change: Any) -> bytes:
    """The file with its JSON changed, in the one spelling."""
    content = json.loads(data)
    change(content)
    compact = json.dumps(content, separators=(",", ":")).encode()
    return msgspec.json.format(compact, indent=1) + b"\n"


def test_evidence_cannot_name_another(files: dict[str, bytes], trunk: Branch) -> None:
    data = files["path"]
    first = json.loads(data)["accused"][0]
    assert spoiled(data, lambda content: None) == data

    def put(**members: Any) -> bytes:
        return spoiled(data, lambda content: content["accused"][0].update(members))

    honest = trunk.consortium.checkpoint_signer("housing").public_key.hex()
    node_id, department, path = first["node_id"], first["department"], first["path"]
    order, nothing = "a pair does not stand in its order", "it does not show that"
    nobodys = spoiled(data, lambda content: content["accused"][0].update(node_id="00" * 32))
    unneeded = spoiled(files["sizes"], lambda content: content["accused"][0].update(path=path))
    for refused, why in (
        (put(department="housing"), f"housing does not answer for {node_id}"),
        (nobodys, f"{department} does not answer for {'00' * 32}"),
        (
            put(node_id=honest, department="housing"),
            f"{nothing} housing contradicts itself",
        ),
        (put(one=first["other"], other=first["one"]), order),
        (put(other=first["one"], path=[]), f"{nothing} {department} contradicts itself"),
        (put(path=[]), f"{nothing} {department} contradicts itself"),
        (put(path=path[1:]), f"{nothing} {department} contradicts itself"),
        (unneeded, "it has a path that it does not need"),
        (
            spoiled(data, lambda content: content["accused"].reverse()),
            "the accused are not sorted and unique",
        ),
        (
            spoiled(data, lambda content: content["accused"].append(content["accused"][-1])),
            "the accused are not sorted and unique",
        ),
        (
            spoiled(data, lambda content: content["accused"].clear()),
            "Expected `array` of length >= 1 - at `$.accused`",
        ),
        (
            spoiled(data, lambda content: content.update(ledger_id="00" * 32)),
            "it is about another ledger than this genesis'",
        ),
    ):
        with pytest.raises(ProofRefused) as caught:
            check_evidence(refused, trunk.genesis)
        assert str(caught.value) == f"evidence: {why}"
        if "another ledger" in why:
            assert caught.value.remedy.startswith("Give the genesis of the ledger that it is")


def test_evidence_under_a_genesis_that_not_all_have_signed_convicts_nobody(
    files: dict[str, bytes], trunk: Branch
) -> None:
    genesis = trunk.genesis
    less = type(genesis)(genesis.genesis, genesis.genesis_bytes, genesis.signatures[1:])
    with pytest.raises(ProofRefused) as caught:
        check_evidence(files["path"], less)
    assert str(caught.value) == f"genesis: not signed by {genesis.signatures[0].department}"
    assert caught.value.remedy.startswith("Compare fingerprints with the signer by telephone")


def test_evidence_is_checked_in_a_process_with_neither_node_nor_network(
    files: dict[str, bytes], trunk: Branch, tmp_path: Path
) -> None:
    """Scenario A9: the genesis file and the evidence file are all there is."""
    (tmp_path / "genesis.json").write_bytes(trunk.genesis.to_json())
    (tmp_path / "evidence.json").write_bytes(files["path"])
    program = """
import sys
sys.modules["socket"] = None
from pathlib import Path
from audit.evidence import check_evidence
from ledger.genesis import parse_genesis_file
genesis = parse_genesis_file(Path("genesis.json").read_bytes())
shown = check_evidence(Path("evidence.json").read_bytes(), genesis)
banned = {"node", "consensus", "plyvel", "asyncio", "ssl"} & set(sys.modules)
print(",".join(shown.departments), sorted(banned))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (f"{','.join(LIARS)} []", "")
