"""Somebody who hands the auditor a doctored file."""

import json

import msgspec
from branches import Branch, cosign
from builders import Consortium, signer
from recorded import dataset, receipts

from attacks.listing import THE_CHECK, THE_LEDGER, attack
from attacks.powers import fork
from attacks.world import (
    World,
    blamed,
    proof_refused,
    prover,
    refused,
    verified,
)
from audit.blame import blame
from audit.cose import check_receipt, make_receipt
from audit.evidence import check_evidence, evidence_file
from audit.proofs.build import Prover
from audit.proofs.check import check_tlog_proof
from audit.proofs.format import parse_proof
from audit.proofs.trust import Trust
from audit.signed import of_certificate, signatories_of
from contracts.grants import parse_grant
from contracts.membership import ChangeVoters
from ledger import store_keys
from ledger.certificates import parse_certificate
from ledger.codec import encode
from ledger.genesis import GenesisFile
from ledger.tlog_proofs import parse_tlog_proof
from ledger.tree import leaf_hash, node_hash
from ledger.types import Height


@attack("outsider", "altered proof", "refused: it does not lead to this root", THE_CHECK)
def shows_a_revoked_grant_as_approved(world: World) -> set[str]:
    """Changes a grant's status in a proof file, in its one spelling."""
    proof = parse_proof(prover(world).grant(world.revoked))
    state = proof.statement.state
    grant = msgspec.structs.replace(parse_grant(state.value), status="approved")
    statement = msgspec.structs.replace(
        proof.statement, state=msgspec.structs.replace(state, value=encode(grant))
    )
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack(
    "outsider",
    "forged completeness",
    "refused: the list has 2 items, the proof 1 records",
    THE_CHECK,
)
def leaves_a_receipt_out(world: World) -> set[str]:
    """Takes a record out of a complete list of receipts."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(20, 30)))
    world.branch.certify(world.consortium.departments)
    proof = parse_proof(prover(world).receipts(world.used))
    statement = msgspec.structs.replace(proof.statement, records=proof.statement.records[1:])
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack(
    "outsider",
    "forged completeness",
    "refused: they are not the whole list of the dataset's grants",
    THE_CHECK,
)
def hides_a_grant(world: World) -> set[str]:
    """Takes a grant out of the proof that there are no others."""
    proof = parse_proof(prover(world).grants("health", "vaccinations"))
    statement = msgspec.structs.replace(proof.statement, grants=proof.statement.grants[:-1])
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack(
    "outsider",
    "forged completeness",
    "refused: its other key does not stand in this key's place",
    THE_CHECK,
)
def denies_a_grant_that_there_is(world: World) -> set[str]:
    """Puts the absence of another consumer's grants in the place of this one's."""
    proof = parse_proof(prover(world).absence("civil-affairs", "health", "vaccinations"))
    housing = parse_proof(prover(world).datasets("housing")).statement
    statement = msgspec.structs.replace(
        proof.statement, consumer="housing", consumer_state=housing.member
    )
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack("outsider", "altered proof", "refused: it is not that of the certified block", THE_CHECK)
def proves_with_another_ledgers_certificate(world: World) -> set[str]:
    """Puts the certificate and header of another ledger under a proof."""
    other = Branch(Consortium(settings=(("record-skew-ms", 1_000),)))
    other.block(dataset(other.consortium, "health", "vaccinations"))
    other.certify(other.consortium.departments)

    theirs = parse_proof(Prover(other.genesis, other).datasets("health"))
    mine = parse_proof(prover(world).datasets("health"))
    spliced = msgspec.structs.replace(
        mine, certificate=theirs.certificate, block=theirs.block, statement=theirs.statement
    )
    return proof_refused(spliced.to_json(), world)


@attack("outsider", "false trust", "genesis-invalid", "both genesis files and their fingerprints")
def doctors_the_genesis(world: World) -> set[str]:
    """Hands over a genesis file in which a founder's signature is another's."""
    genesis = world.branch.genesis
    signatures = (genesis.signatures[1], *genesis.signatures[1:])
    world.branch.genesis = GenesisFile(genesis.genesis, genesis.genesis_bytes, signatures)
    return verified(world.branch)


@attack("outsider", "false trust", "refused: 1 of 5 voters signed, which is no majority", THE_CHECK)
def doctors_the_voter_chain(world: World) -> set[str]:
    """Hands over a voter chain with a change that no majority signed."""
    ids = dict(zip(world.consortium.departments, world.consortium.node_ids, strict=True))
    world.branch.decide(ChangeVoters((), (ids["housing"],)))
    world.branch.change_voters()
    world.branch.certify(world.consortium.departments)
    chain = json.loads(prover(world).voters())
    signers = chain["changes"][0]["certificate"]["signers"]
    del signers[1:]
    compact = json.dumps(chain, separators=(",", ":")).encode()
    doctored = msgspec.json.format(compact, indent=1) + b"\n"
    return refused(lambda: Trust(world.branch.genesis, doctored))


@attack("outsider", "framed by evidence", "refused: housing does not answer for …", THE_CHECK)
def names_an_honest_department(world: World) -> set[str]:
    """Writes an honest department's name into an evidence file."""
    one, other = fork(world)
    genesis = world.branch.genesis
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, (one, other))
    evidence = evidence_file(found, genesis)
    return refused(lambda: check_evidence(evidence.replace(b'"health"', b'"housing"'), genesis))


@attack("outsider", "framed by evidence", "nobody named", "nothing, and nobody is accused")
def frames_with_a_signature_for_another_purpose(world: World) -> set[str]:
    """Shows a signature that was made for another ledger as one on a fork of this."""
    other = Consortium(settings=(("record-skew-ms", 1_000),))
    one = world.branch.copy()
    one.block(dataset(world.consortium, "health", "one"), log=False)
    certificate = one.certify(world.consortium.departments)
    stranger = Branch(other)
    stranger.block()
    entry = cosign(other, "housing", stranger.checkpoint)
    spliced = type(certificate).of(world.branch.checkpoint, [entry])
    return {"nobody named"} if not blamed(one, more=of_certificate(spliced)) else {"framed"}


@attack("outsider", "altered proof", "refused: it leads to another root", THE_CHECK)
def puts_another_leaf_into_a_tlog_proof(world: World) -> set[str]:
    """Puts another record's leaf as extra data into a tlog-proof."""
    ids = [key[1:] for key, _ in world.branch.scan(b"r", b"s")]
    one, other = (parse_tlog_proof(prover(world).tlog_proof(each)) for each in ids[:2])
    spliced = type(one)(one.index, one.path, one.note, other.extra)
    return refused(lambda: check_tlog_proof(spliced.to_bytes(), Trust(world.branch.genesis)))


@attack("outsider", "false receipt", "refused: its signature does not fit this record", THE_CHECK)
def shows_a_receipt_for_another_record(world: World) -> set[str]:
    """Shows a node's COSE receipt of one record as one of another."""
    key = signer("health/0/publication")
    leaves = [value for _, value in world.branch.scan(store_keys.LEAF, b"m")]

    root = node_hash(leaf_hash(leaves[0]), leaf_hash(leaves[1]))
    receipt = make_receipt(
        key.sign,
        key=key.public_key,
        leaf_index=0,
        tree_size=2,
        path=(leaf_hash(leaves[1]),),
        root=root,
    )
    check_receipt(receipt, leaves[0])
    return refused(lambda: check_receipt(receipt, leaves[2]))


@attack("outsider", "false certificate", "certificate-invalid", THE_LEDGER)
def forges_a_signature_in_a_certificate(world: World) -> set[str]:
    """Fills a certificate up to a majority with a signature that does not fit."""
    height = world.branch.checkpoint.height
    key = store_keys.certificate_key(Height(height))
    certificate = parse_certificate(world.branch.values[key])
    entry = certificate.signers[0]
    forged = type(entry)(entry.node_id, entry.timestamp_s + 1, entry.signature)
    world.branch.values[key] = msgspec.structs.replace(
        certificate, signers=(forged, *certificate.signers[1:])
    ).to_bytes()
    return verified(world.branch)
