"""Voters that change: the voter chain of proofs, and forks around a change (scenario A11)."""

import json
import random
from typing import Any

import msgspec
import pytest
from branches import Branch, cosign
from builders import START_MS, Consortium, joining_enrolment, signer
from recorded import dataset

from audit.admissions import admitted, signatories_in
from audit.blame import blame
from audit.evidence import check_evidence, evidence_file
from audit.proofs.build import Prover
from audit.proofs.check import Proved, check_proof
from audit.proofs.format import ProofRefused, VoterChain, accept_one_spelling
from audit.proofs.trust import CHAIN_BYTES_MAX, Trust
from audit.signed import signatories_of
from audit.verify import Audit
from contracts.consortium import node
from contracts.governance import Ballot, Propose
from contracts.membership import AdmitDepartment, AdmitNode, ChangeVoters
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.checkpoints import Cosignature, cosignature_message
from ledger.errors import Malformed
from ledger.types import Height

OLD = ("civil-affairs", "health", "housing")
NEW = ("health", "housing", "tourism")
BOTH = ("civil-affairs", "health", "housing", "tourism")


@pytest.fixture(scope="module")
def consortium() -> Consortium:
    return Consortium(voter_count=3)


@pytest.fixture(scope="module")
def trunk(consortium: Consortium) -> Branch:
    """A ledger in which it is decided, and not yet executed, that tourism takes a seat."""
    branch = Branch(consortium)
    ids = dict(zip(consortium.departments, consortium.node_ids, strict=True))
    branch.block(dataset(consortium, "health", "first"))
    branch.decide(ChangeVoters((ids["tourism"],), (ids["civil-affairs"],)))
    branch.certify(OLD)
    return branch


def changed(trunk: Branch) -> Branch:
    """The same with the change executed and certified."""
    branch = trunk.copy()
    branch.change_voters()
    branch.certify(BOTH)
    branch.change_voters()
    branch.certify(BOTH)
    branch.block(dataset(trunk.consortium, "health", "last"))
    branch.certify(NEW)
    return branch


def codes(branch: Branch) -> list[str]:
    return [finding.code for finding in Audit(branch.genesis, branch).run().findings]


def named(*branches: Branch) -> tuple[str, ...]:
    genesis = branches[0].genesis
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, branches)
    return check_evidence(evidence_file(found, genesis), genesis).departments if found else ()


def proof_of_last(branch: Branch) -> tuple[bytes, bytes]:
    """The proof of the last record, and the voter chain."""
    prover = Prover(branch.genesis, branch)
    ids = [key[1:] for key, _ in branch.scan(b"r", b"s")]
    places = {each: branch.values[store_keys.record_key(each)] for each in ids}
    return prover.record(max(ids, key=lambda each: places[each])), prover.voters()


# Proofs.


def test_a_proof_after_a_change_needs_the_voter_chain(trunk: Branch) -> None:
    branch = changed(trunk)
    assert codes(branch) == []
    proof, chain = proof_of_last(branch)
    shown = check_proof(proof, branch.genesis, chain)
    assert isinstance(shown, Proved) and shown.voters == 3
    assert set(shown.signers) <= set(NEW) and len(shown.signers) == 2
    assert Trust(branch.genesis, chain).changes == (4, 5)
    other = branch.copy()
    other.block(dataset(trunk.consortium, "health", "by-the-new"))
    other.certify(("health", "tourism"))
    proof, _ = proof_of_last(other)
    with pytest.raises(ProofRefused) as caught:
        check_proof(proof, branch.genesis)
    assert "--voters" in caught.value.remedy
    assert check_proof(proof, branch.genesis, chain).signers == ("health", "tourism")


def test_a_ledger_without_changes_has_an_empty_chain(trunk: Branch) -> None:
    proof, chain = proof_of_last(trunk)
    assert json.loads(chain)["changes"] == []
    assert check_proof(proof, trunk.genesis) == check_proof(proof, trunk.genesis, chain)


def test_a_chain_with_any_byte_changed_is_refused(trunk: Branch) -> None:
    _, chain = proof_of_last(changed(trunk))
    pick = random.Random(11)
    accepted = []
    for place in pick.sample(range(len(chain)), 500):
        spoilt = bytearray(chain)
        spoilt[place] ^= 1 << pick.randrange(8)
        try:
            Trust(trunk.genesis, bytes(spoilt))
            accepted.append(place)
        except ProofRefused as error:
            accepted += [] if error.remedy else [place]
    assert accepted == []


def parsed(chain: bytes) -> VoterChain:
    return accept_one_spelling(chain, VoterChain, what="chain", bytes_max=CHAIN_BYTES_MAX)


def test_a_chain_in_another_order_or_with_a_block_twice_is_refused(trunk: Branch) -> None:
    whole = parsed(proof_of_last(changed(trunk))[1])
    one, two = whole.changes
    for changes in ((two, one), (one, one), (one, two, two)):
        spoilt = msgspec.structs.replace(whole, changes=changes).to_json()
        with pytest.raises(ProofRefused):
            Trust(trunk.genesis, spoilt)
    elsewhere = msgspec.structs.replace(whole, ledger_id="00" * 32).to_json()
    with pytest.raises(ProofRefused, match="another ledger"):
        Trust(trunk.genesis, elsewhere)


# Scenario A11.


def test_a_change_that_no_old_voter_signed_counts_for_nothing(trunk: Branch) -> None:
    """Counter-example a: those who come in sign themselves in, and then go on."""
    outsiders = ("tourism", "transport")
    branch = trunk.copy()
    branch.change_voters()
    branch.certify(outsiders)
    branch.change_voters()
    branch.block(dataset(trunk.consortium, "health", "ours-now"))
    branch.certify(("housing", "tourism"))
    assert set(codes(branch)) == {"certificate-invalid", "voter-change-uncertified"}
    real = changed(trunk)
    genuine = parsed(proof_of_last(real)[1])
    enter = genuine.changes[0]
    signers = tuple(
        entry
        for entry in enter.certificate.signers
        if entry.node_id != trunk.consortium.checkpoint_signer("civil-affairs").public_key.hex()
    )
    for kept in (signers[:1], signers[1:2]):
        certificate = msgspec.structs.replace(enter.certificate, signers=kept)
        change = msgspec.structs.replace(enter, certificate=certificate)
        with pytest.raises(ProofRefused):
            Trust(trunk.genesis, msgspec.structs.replace(genuine, changes=(change,)).to_json())


def test_no_two_majorities_of_a_change_are_without_a_common_voter() -> None:
    """Counter-example b: of four voters, each branch removes one of the others' and signs it."""
    four = Consortium(voter_count=4)
    ids = dict(zip(four.departments, four.node_ids, strict=True))
    trunk = Branch(four)
    trunk.block()
    trunk.certify(four.departments[:4])
    pairs = (("tourism", ("civil-affairs", "health")), ("civil-affairs", ("housing", "tourism")))
    for leaving, signers in pairs:
        branch = trunk.copy()
        branch.decide(ChangeVoters((), (ids[leaving],)))
        branch.change_voters()
        branch.certify(signers)
        branch.change_voters()
        branch.certify(signers)
        branch.block()
        branch.certify(signers)
        assert "voter-change-uncertified" in codes(branch) or "certificate-invalid" in codes(branch)
        assert Audit(branch.genesis, branch).run().certified == trunk.checkpoint


def test_an_honest_department_is_not_named_for_a_key_that_a_false_branch_gave_it(
    trunk: Branch,
) -> None:
    """Counter-example c: the attacker's own key signs both, under a name that is not its."""
    attacker = trunk.consortium.checkpoint_signer("nobody")
    one, other = trunk.copy(), trunk.copy()
    for branch, name in ((one, "one"), (other, "other")):
        branch.block(dataset(trunk.consortium, "health", name), log=False)
        certificate = branch.certify(("civil-affairs", "nobody"))
        assert attacker.public_key in {entry.node_id for entry in certificate.signers}
    assert named(one, other) == ("civil-affairs",)


def test_a_change_without_certificate_is_not_skipped(trunk: Branch) -> None:
    """Counter-example d: a later certificate by the new voters does not heal the gap."""
    branch = changed(trunk)
    del branch.values[store_keys.certificate_key(Height(5))]
    report = Audit(branch.genesis, branch).run()
    assert [finding.code for finding in report.findings] == ["voter-change-uncertified"]
    assert report.certified is not None and report.certified.height == 4


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_fork_before_within_and_after_a_change_is_attributed(trunk: Branch, after: int) -> None:
    """Each branch is certified as it has to be; the voters in both certificates are named."""
    base = trunk.copy()
    for _ in range(after):
        base.change_voters()
        base.certify(BOTH)
    majority = {0: OLD[:2], 1: ("civil-affairs", "health", "tourism"), 2: NEW[:2]}[after]
    one, other = base.copy(), base.copy()
    one.block(dataset(trunk.consortium, "health", "mine"), log=False)
    other.block(dataset(trunk.consortium, "health", "yours"), log=False)
    one.certify(majority)
    other.certify(majority)
    assert codes(one) == codes(other) == ["entry-invalid"]
    assert named(one, other) == tuple(sorted(majority))


# Nodes that joined later.


def joined(trunk: Branch, *, by: str) -> tuple[Branch, bytes]:
    """The ledger with a second node of tourism, proposed by `by`; and its checkpoint key's name."""
    branch = trunk.copy()
    enrolment = joining_enrolment(branch.genesis.ledger_id, "tourism", 1).signed()
    proposal = branch.consortium.record(
        by, "consortium.propose", Propose(AdmitNode(enrolment), "more"), created_ms=START_MS + 9_000
    )
    branch.block(proposal)
    ballot = Ballot(proposal.record_id, True)
    others = [name for name in branch.consortium.departments if name != by][-3:]
    branch.block(
        *(
            branch.consortium.record(name, "consortium.ballot", ballot, created_ms=START_MS + 9_000)
            for name in others
        )
    )
    assert ("tourism" in others) or by == "tourism"
    return branch, signer("tourism/1/checkpoint").public_key


def evidence_against_both(one: Branch, other: Branch) -> tuple[bytes, tuple[str, ...]]:
    genesis = one.genesis
    signatories = signatories_in(genesis, (one, other))
    found = blame(signatories, genesis.ledger_id, (one, other))
    data = evidence_file(found, genesis, signatories)
    return data, check_evidence(data, genesis).departments


@pytest.mark.parametrize("by", ["tourism", "health"])
def test_a_node_that_joined_later_is_named_by_its_departments_own_word(
    trunk: Branch, by: str
) -> None:
    base, _ = joined(trunk, by=by)
    one, other = base.copy(), base.copy()
    for branch, name in ((one, "mine"), (other, "yours")):
        branch.block(dataset(trunk.consortium, "health", name), log=False)
        later = signer("tourism/1/checkpoint")
        message = cosignature_message(branch.checkpoint, 1_790_000_000)
        entry = Cosignature(later.public_key, 1_790_000_000, later.sign(message))
        own = cosign(trunk.consortium, "health", branch.checkpoint)
        certificate = Certificate.of(branch.checkpoint, [entry, own])
        key = store_keys.certificate_key(Height(branch.checkpoint.height))
        branch.values[key] = certificate.to_bytes()
    assert named(one, other) == ("health",), "without the admission nobody answers for the node"
    data, departments = evidence_against_both(one, other)
    assert departments == ("health", "tourism")
    content = json.loads(data)
    assert len(content["admissions"]) == 1
    assert len(content["admissions"][0]["leaves"]) == (1 if by == "tourism" else 2)
    for change in (
        lambda value: value.update(admissions=[]),
        lambda value: value["admissions"][0]["leaves"].append(value["admissions"][0]["leaves"][0]),
        lambda value: value["admissions"][0]["leaves"].reverse() or value["admissions"].reverse(),
        lambda value: value["accused"][-1].update(department="housing"),
        lambda value: value["admissions"][0].update(node_id="00" * 32),
    ):
        spoilt = json.loads(data)
        change(spoilt)
        compact = json.dumps(spoilt, separators=(",", ":")).encode()
        again = msgspec.json.format(compact, indent=1) + b"\n"
        if again != data:
            with pytest.raises(ProofRefused):
                check_evidence(again, trunk.genesis)
    refuses_admissions(json.loads(data), trunk)


def refuses_admissions(content: Any, trunk: Branch) -> None:
    """Each rule of the admissions in an evidence file refuses what breaks it, by its name."""
    admission = content["admissions"][0]
    unknown = "ff" * 32
    renamed = [
        each | {"node_id": unknown} if each["node_id"] == admission["node_id"] else each
        for each in content["accused"]
    ]
    with pytest.raises(Malformed) as garbage:
        admitted((b"\x00",), trunk.genesis)
    order = "evidence: its admissions are not sorted, unique and of the accused"
    for changes, why in (
        ({"admissions": [admission, admission]}, order),
        ({"admissions": [admission | {"node_id": "00" * 32}]}, order),
        (
            {"admissions": [admission | {"node_id": unknown}], "accused": sorted_by_id(renamed)},
            f"evidence: an admission is not of node {unknown}",
        ),
        ({"admissions": [admission | {"leaves": ["AA=="]}]}, str(garbage.value)),
    ):
        compact = json.dumps(content | changes, separators=(",", ":")).encode()
        with pytest.raises(ProofRefused) as caught:
            check_evidence(msgspec.json.format(compact, indent=1) + b"\n", trunk.genesis)
        assert str(caught.value) == why


def sorted_by_id(accused: list[Any]) -> list[Any]:
    return sorted(accused, key=lambda each: str(each["node_id"]))


def test_a_majority_cannot_give_an_honest_department_a_node(trunk: Branch) -> None:
    """Everybody but tourism enrols a node under its name: that is no word of tourism's."""
    branch = trunk.copy()
    enrolment = joining_enrolment(branch.genesis.ledger_id, "tourism", 1).signed()
    names = [name for name in branch.consortium.departments if name != "tourism"]
    proposal = branch.consortium.record(
        names[0],
        "consortium.propose",
        Propose(AdmitNode(enrolment), "a trap"),
        created_ms=START_MS + 9_000,
    )
    branch.block(proposal)
    ballot = Ballot(proposal.record_id, True)
    branch.block(
        *(
            branch.consortium.record(name, "consortium.ballot", ballot, created_ms=START_MS + 9_000)
            for name in names[1:]
        )
    )
    node_id = signer("tourism/1/checkpoint").public_key
    assert node(branch.replay.view(), node_id) is not None, "the contracts have admitted it"
    assert node_id not in signatories_in(branch.genesis, (branch,))


# Departments that genesis does not name.


def forked_by(base: Branch, name: str) -> tuple[Branch, Branch]:
    """Two branches, each cosigned by health and by a node of that department's first keys."""
    one, other = base.copy(), base.copy()
    for branch, table in ((one, "mine"), (other, "yours")):
        branch.block(dataset(base.consortium, "health", table), log=False)
        signers = [cosign(base.consortium, each, branch.checkpoint) for each in ("health", name)]
        certificate = Certificate.of(branch.checkpoint, signers)
        key = store_keys.certificate_key(Height(branch.checkpoint.height))
        branch.values[key] = certificate.to_bytes()
    return one, other


def test_a_department_that_joined_later_is_named_by_founders_word(trunk: Branch) -> None:
    base = trunk.copy()
    enrolment = joining_enrolment(base.genesis.ledger_id, "fisheries")
    base.decide(AdmitDepartment(enrolment.signed()))
    one, other = forked_by(base, "fisheries")
    data, departments = evidence_against_both(one, other)
    assert departments == ("health",), "its own word proves nothing against a name"
    convicted = check_evidence(data, trunk.genesis)
    assert convicted.vouched == ("fisheries",)
    (accused,) = [each for each in convicted.accused if each.vouched]
    assert accused.fingerprint == enrolment.fingerprint
    assert accused.vouched == ("civil-affairs", "health", "housing")
    assert accused.words[-2:] == (
        f"The node came with the enrolment of fingerprint {enrolment.fingerprint}, which "
        "civil-affairs, health, housing admitted as fisheries.",
        "Compare it with fisheries by telephone: if it is not theirs, those who admitted it gave "
        "it that name.",
    )
    admission = json.loads(data)["admissions"][0]["leaves"]
    for leaves in (admission[:2], admission[:1], [*admission, admission[-1]], admission[::-1]):
        spoilt = json.loads(data)
        spoilt["admissions"][0]["leaves"] = leaves
        compact = json.dumps(spoilt, separators=(",", ":")).encode()
        with pytest.raises(ProofRefused):
            check_evidence(msgspec.json.format(compact, indent=1) + b"\n", trunk.genesis)


def test_half_of_the_founders_cannot_vouch_for_anybody(trunk: Branch) -> None:
    """Two of five, and whoever they bring with them, name nobody."""
    base = trunk.copy()
    enrolment = joining_enrolment(base.genesis.ledger_id, "fisheries")
    base.decide(AdmitDepartment(enrolment.signed()), ballots=1)
    one, other = forked_by(base, "fisheries")
    data, departments = evidence_against_both(one, other)
    assert departments == ("health",)
    assert check_evidence(data, trunk.genesis).vouched == ()


def test_no_founder_can_be_given_a_node_by_a_false_admission(trunk: Branch) -> None:
    """An enrolment under a founder's name, admitted as if it were a new department's."""
    genesis = trunk.genesis
    enrolment = joining_enrolment(genesis.ledger_id, "tourism", 1).signed()
    names = [name for name in trunk.consortium.departments if name != "tourism"]
    proposal = trunk.consortium.record(
        names[0],
        "consortium.propose",
        Propose(AdmitDepartment(enrolment), "a trap"),
        created_ms=START_MS + 9_000,
    )
    ballot = Ballot(proposal.record_id, True)
    ballots = [
        trunk.consortium.record(name, "consortium.ballot", ballot, created_ms=START_MS + 9_000)
        for name in names[1:]
    ]
    words = [record.leaf_bytes for record in (proposal, *ballots)]
    with pytest.raises(Malformed, match="genesis names the department already"):
        admitted(words, genesis)
