"""Golden proof and evidence files, and the genesis they are checked with.

What is on disk has to be accepted by every later version; what is written here has to be what is on
disk. Both are tests.
"""

from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit.blame import blame
from audit.evidence import evidence_file
from audit.proofs.build import Prover
from audit.signed import signatories_of
from contracts.grants import GrantApprove, GrantDecision

EXCHANGE = (13).to_bytes(32, "big")


def golden_proofs() -> dict[str, bytes]:
    """Files by their names."""
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=3)
    genesis = consortium.genesis_file
    branch = Branch(consortium)
    for name in ("addresses", "vaccinations"):
        branch.block(dataset(consortium, "health", name))
    asked = [grant_request(consortium, "housing", "health", name) for name in ("vaccinations",)]
    revoked = grant_request(consortium, "housing", "health", "addresses")
    branch.block(*asked, revoked)
    for grant_id in (asked[0].record_id, revoked.record_id):
        approval = GrantApprove(grant_id)
        branch.block(
            consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000)
        )
    branch.block(receipts(consortium, "health", asked[0].record_id, range(16)))
    branch.block(receipts(consortium, "health", asked[0].record_id, range(16, 20)))
    decision = GrantDecision(revoked.record_id, "no longer needed")
    branch.block(consortium.record("health", "grant.revoke", decision, created_ms=START_MS + 9_000))
    branch.certify(consortium.departments)
    prover = Prover(genesis, branch)
    files = {
        "genesis.json": genesis.to_json(),
        "record.json": prover.record(revoked.record_id),
        "receipt.json": prover.receipt(EXCHANGE),
        "grant.json": prover.grant(revoked.record_id),
        "absence.json": prover.absence("housing", "health", "addresses"),
        "receipts.json": prover.receipts(asked[0].record_id),
        "grants.json": prover.grants("health", "vaccinations"),
        "datasets.json": prover.datasets("health"),
        "timeline.json": prover.timeline(revoked.record_id),
        "emergencies.json": prover.emergencies(),
    }
    other = branch.copy()
    for each, name in ((branch, "one"), (other, "other")):
        each.block(dataset(consortium, "health", name), leader="housing")
        each.certify(("civil-affairs", "health"))
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, (branch, other))
    return files | {"evidence.json": evidence_file(found, genesis)}
