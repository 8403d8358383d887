"""The ledger that is attacked, and what an auditor sees of what was done to it."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import msgspec
from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit.blame import blame
from audit.evidence import check_evidence, evidence_file
from audit.gaps import reconcile
from audit.proofs.build import Prover
from audit.proofs.check import check_proof
from audit.signed import Statements, signatories_of
from audit.verify import Audit
from contracts import exchanges as forms
from contracts.grants import GrantApprove, GrantDecision
from contracts.limits import Limits
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import items_root
from ledger.blocks import BlockHeader
from ledger.checkpoints import Checkpoint
from ledger.codec import encode
from ledger.errors import LedgerError
from ledger.records import Record
from ledger.tree import CompactRange, leaf_hash
from ledger.types import LeafIndex, TreeSize

HOUR_MS = 3_600_000


@dataclass
class World:
    """A certified ledger of five departments; attacks work on copies of it.

    used: housing's grant on health's data, with ten exchanges. limited: tourism's, three at most.
    revoked: transport's.
    """

    consortium: Consortium
    branch: Branch
    used: bytes
    limited: bytes
    revoked: bytes

    def copy(self) -> "World":
        return World(self.consortium, self.branch.copy(), self.used, self.limited, self.revoked)

    def record(self, department: str, kind: str, body: object, **options: object) -> Record:
        options.setdefault("created_ms", START_MS + 9_000)
        return self.consortium.record(department, kind, body, **options)


def make_world() -> World:
    consortium = Consortium()
    branch = Branch(consortium)
    branch.block(dataset(consortium, "health", "vaccinations"))
    branch.block(dataset(consortium, "housing", "tenants"))
    used = grant_request(consortium, "housing", "health", "vaccinations")
    wide = grant_request(consortium, "tourism", "health", "vaccinations")
    body = CONTRACTS["grant.request"].body.decode(bytes(wide.header.body))
    narrow = msgspec.structs.replace(body, limits=Limits(exchanges_max=3))
    limited = consortium.record("tourism", "grant.request", narrow, created_ms=START_MS + 9_000)
    revoked = grant_request(consortium, "transport", "health", "vaccinations")
    world = World(consortium, branch, used.record_id, limited.record_id, revoked.record_id)
    branch.block(used, limited, revoked)
    branch.block(
        *(
            world.record("health", "grant.approve", GrantApprove(each.record_id))
            for each in (used, limited, revoked)
        )
    )
    branch.block(receipts(consortium, "health", used.record_id, range(10)))
    given = last_record_id(branch)
    acknowledge(world, given, range(10))
    branch.block(
        world.record("health", "grant.revoke", GrantDecision(revoked.record_id, "a breach"))
    )
    branch.certify(consortium.departments)
    return world


def last_record_id(branch: Branch) -> bytes:
    """The id of the record before the last block's header."""
    places = {value: key[1:] for key, value in branch.values.items() if key[:1] == b"r"}
    return places[max(places)]


def acknowledge(world: World, receipt_record: bytes, numbers: range, **changes: bytes) -> None:
    """Housing's half of exchanges under the used grant, as its receipts say, or changed."""
    items = []
    for number in numbers:
        fields = {
            "exchange_id": number.to_bytes(32, "big"),
            "receipt_record": receipt_record,
            "request": bytes(32),
            "response": bytes(32),
        }
        items.append(encode(forms.Acknowledgement(**(fields | changes))))
    line = forms.Line(world.used, len(items), items_root(items))
    world.branch.block(
        world.record(
            "housing",
            "exchange.acknowledgements",
            forms.Acknowledgements((line,)),
            items=tuple(items),
        )
    )


# What an auditor sees.


def verified(branch: Branch, seen: Checkpoint | None = None) -> set[str]:
    """Codes of findings, with the refusal's code where a record was refused."""
    report = Audit(branch.genesis, branch, remembered=seen).run()
    codes = {finding.code for finding in report.findings}
    for finding in report.findings:
        if finding.code == "record-refused":
            codes.add(finding.detail.split(": ")[1])
    return codes


def blamed(*branches: Branch, more: Statements | None = None) -> set[str]:
    """Departments named by an evidence file that stands alone."""
    genesis = branches[0].genesis
    found = blame(signatories_of(genesis.genesis), genesis.ledger_id, branches, more=more)
    if not found:
        return set()
    return set(check_evidence(evidence_file(found, genesis), genesis).departments)


def gaps(world: World) -> set[str]:
    """Codes of gaps two hours later."""
    world.branch.block(time_ms=START_MS + 2 * HOUR_MS)
    return {gap.code for gap in reconcile(world.branch).gaps}


def refused(check: Callable[[], object]) -> set[str]:
    """Why a checker refuses the file, ids left out; nothing if it does not."""
    try:
        check()
    except LedgerError as error:
        return {f"refused: {re.sub('[0-9a-f]{64}', '…', error.why)}"}
    return set()


def proof_refused(data: bytes, world: World, voters: bytes | None = None) -> set[str]:
    return refused(lambda: check_proof(data, world.branch.genesis, voters))


def prover(world: World) -> Prover:
    return Prover(world.branch.genesis, world.branch)


# What the powerful can do.


def force(world: World, *records: Record, **changes: object) -> None:
    """A block that the contracts would not make, certified by everybody.

    changes: other fields of its header than follow from what stands before it.
    """
    branch = world.branch
    tip = branch.replay.tip
    header = BlockHeader(
        version=1,
        ledger_id=branch.genesis.ledger_id,
        height=tip.height + 1,
        previous_hash=tip.block_hash,
        term=tip.term,
        entry_hash=bytes(32),
        time_ms=tip.time_ms + 100,
        tree_size=tip.tree_size,
        tree_root=tip.tree().root(),
        state_root=tip.state_root,
        voters=tip.voters,
        record_count=len(records),
    )
    header = msgspec.structs.replace(header, **changes)
    leaves = [record.leaf_bytes for record in records] + [header.to_bytes()]
    index = tip.tree_size
    for record in records:
        if record.attached is not None:
            branch.values[store_keys.attached_key(LeafIndex(index))] = record.attached
        branch.values[store_keys.leaf_key(LeafIndex(index))] = record.leaf_bytes
        index += 1
    branch.values[store_keys.leaf_key(LeafIndex(index))] = leaves[-1]
    grown = CompactRange(TreeSize(tip.tree_size), tip.tree_hashes).extend(map(leaf_hash, leaves))
    branch.replay = deepcopy(branch.replay)
    branch.replay.tip = msgspec.structs.replace(
        tip, height=header.height, tree_size=grown.size, tree_hashes=grown.hashes
    )
    branch.certify(world.consortium.departments)


def at_leaf(branch: Branch, kind: str) -> bytes:
    """The store's key of the first record of a kind."""
    for key, value in sorted(branch.values.items()):
        if key[:1] == store_keys.LEAF and kind.encode() in value:
            return key
    raise LookupError(kind)
