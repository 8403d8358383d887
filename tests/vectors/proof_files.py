"""Golden proof and evidence files, the genesis they are checked with, and what each shows.

What is on disk has to be accepted by every later version; what is written here has to be what is on
disk. Both are tests.
"""

import json
from collections.abc import Mapping
from typing import Any

from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit.blame import blame
from audit.evidence import check_evidence, evidence_file
from audit.proofs.build import Prover
from audit.proofs.check import Proved, check_proof
from audit.signed import signatories_of
from contracts.grants import GrantApprove, GrantDecision
from ledger.genesis import parse_genesis_file

EXCHANGE = (13).to_bytes(32, "big")


def golden_branch() -> tuple[Branch, bytes, bytes]:
    """The ledger that the proofs are of, the id of a grant under it, and of a revoked one."""
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=3)
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
    return branch, asked[0].record_id, revoked.record_id


def golden_proofs() -> dict[str, bytes]:
    """Files by their names."""
    branch, granted, revoked = golden_branch()
    consortium, genesis = branch.consortium, branch.genesis
    prover = Prover(genesis, branch)
    files = {
        "genesis.json": genesis.to_json(),
        "record.json": prover.record(revoked),
        "receipt.json": prover.receipt(EXCHANGE),
        "grant.json": prover.grant(revoked),
        "absence.json": prover.absence("housing", "health", "addresses"),
        "receipts.json": prover.receipts(granted),
        "grants.json": prover.grants("health", "vaccinations"),
        "datasets.json": prover.datasets("health"),
        "timeline.json": prover.timeline(revoked),
        "emergencies.json": prover.emergencies(),
    }
    other = branch.copy()
    for each, name in ((branch, "one"), (other, "other")):
        each.block(dataset(consortium, "health", name), leader="housing")
        each.certify(("civil-affairs", "health"))
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, (branch, other))
    return files | {"evidence.json": evidence_file(found, genesis)}


def golden_shown(files: Mapping[str, bytes]) -> bytes:
    """What each golden file shows, in sentences and for programs, as JSON."""
    genesis = parse_genesis_file(files["genesis.json"])
    shown: dict[str, dict[str, Any]] = {}
    for name, data in sorted(files.items()):
        if name == "evidence.json":
            shown[name] = check_evidence(data, genesis).facts()
        elif name != "genesis.json":
            shown[name] = shown_by(check_proof(data, genesis))
    return json.dumps(shown, indent=1).encode("ascii") + b"\n"


def shown_by(proved: Proved) -> dict[str, Any]:
    """All that a proof shows, as JSON values."""
    return {
        "ledger_id": proved.ledger_id.hex(),
        "fingerprint": proved.fingerprint,
        "height": proved.checkpoint.height,
        "tree_size": proved.checkpoint.tree_size,
        "time_ms": proved.time_ms,
        "signers": list(proved.signers),
        "voters": proved.voters,
        "kind": proved.kind,
        "words": list(proved.words),
        "facts": proved.facts,
    }
