"""The attack catalogue: what somebody does to real bytes, and what the auditor then says.

Each attack is a function that does it to a copy of a certified ledger and returns everything that
an auditor sees of it: codes of findings and refusals, gaps, names. docs/ATTACKS.md is written from
here: `python tests/attacks/catalogue.py` from the project's folder.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import msgspec  # noqa: E402
from branches import Branch, cosign, write_store  # noqa: E402
from builders import START_MS, Consortium, signer  # noqa: E402
from recorded import RIGHT, dataset, grant_request, receipts  # noqa: E402

from attacks.world import (  # noqa: E402
    World,
    acknowledge,
    at_leaf,
    blamed,
    force,
    gaps,
    last_record_id,
    proof_refused,
    prover,
    refused,
    verified,
)
from audit.blame import blame  # noqa: E402
from audit.cose import check_receipt, make_receipt  # noqa: E402
from audit.evidence import check_evidence, evidence_file  # noqa: E402
from audit.proofs.build import Prover  # noqa: E402
from audit.proofs.check import check_tlog_proof  # noqa: E402
from audit.proofs.format import parse_proof  # noqa: E402
from audit.proofs.trust import Trust  # noqa: E402
from audit.signed import of_certificate, signatories_of  # noqa: E402
from audit.sources.directory import DirectorySource  # noqa: E402
from audit.verify import Audit  # noqa: E402
from contracts import exchanges as forms  # noqa: E402
from contracts.grants import GrantApprove, GrantDecision, parse_grant  # noqa: E402
from contracts.membership import ChangeVoters, RevokeKey  # noqa: E402
from ledger import store_keys  # noqa: E402
from ledger.attachments import items_root, parse_items  # noqa: E402
from ledger.certificates import parse_certificate  # noqa: E402
from ledger.codec import encode  # noqa: E402
from ledger.genesis import GenesisFile  # noqa: E402
from ledger.records import assemble_record  # noqa: E402
from ledger.tlog_proofs import parse_tlog_proof  # noqa: E402
from ledger.tree import leaf_hash, node_hash  # noqa: E402
from ledger.types import Height, LeafIndex  # noqa: E402

Done = Callable[[World], set[str]]


@dataclass(frozen=True)
class Attack:
    """says: the code, or the names, that the auditor sees. proves: what she can show to others."""

    name: str
    who: str
    mechanism: str
    says: str
    proves: str
    do: Done


ATTACKS: list[Attack] = []

HOLDERS = ("department", "leader", "majority")
"""Those who hold valid keys of the ledger and use them."""

THE_LEDGER = "the copy: anyone verifies it again"
THE_NAMES = "an evidence file with both signatures"
THE_RECORDS = "both signed records, each with a proof file"
THE_CHECK = "nothing is left to show: the file is refused"


def attack(who: str, mechanism: str, says: str, proves: str) -> Callable[[Done], Done]:
    """Puts a function into the catalogue; its docstring is what is done."""

    def put(do: Done) -> Done:
        name = (do.__doc__ or "").strip().rstrip(".")
        ATTACKS.append(Attack(name, who, mechanism, says, proves, do))
        return do

    return put


def flipped(value: bytes, place: int) -> bytes:
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)


# An operator with root on one node, who can fix every checksum.


@attack("operator", "altered leaf", "bad-signature", THE_LEDGER)
def changes_a_record(world: World) -> set[str]:
    """Changes a word of a grant request in the store."""
    key = at_leaf(world.branch, "grant.request")
    world.branch.values[key] = world.branch.values[key].replace(b"a test", b"a jest")
    return verified(world.branch)


@attack("operator", "altered leaf", "broken-link", THE_LEDGER)
def swaps_two_records(world: World) -> set[str]:
    """Swaps two approvals within their block."""
    keys = [
        key
        for key, value in sorted(world.branch.values.items())
        if key[:1] == store_keys.LEAF and b"grant.approve" in value
    ][:2]
    values = world.branch.values
    values[keys[0]], values[keys[1]] = values[keys[1]], values[keys[0]]
    return verified(world.branch)


@attack("operator", "missing leaf", "key-missing", THE_LEDGER)
def drops_a_record(world: World) -> set[str]:
    """Takes a revocation out of the store."""
    del world.branch.values[at_leaf(world.branch, "grant.revoke")]
    return verified(world.branch)


@attack("operator", "altered attachment", "attachment-mismatch", THE_LEDGER)
def alters_an_item(world: World) -> set[str]:
    """Changes the number of rows in one receipt of a batch."""
    attached = [
        key
        for key in sorted(world.branch.values)
        if key[:1] == store_keys.ATTACHED and len(world.branch.values[key]) > 1_000
    ]
    key = attached[0]
    world.branch.values[key] = flipped(world.branch.values[key], 200)
    return verified(world.branch)


@attack("operator", "altered state", "key-differs", THE_LEDGER)
def revives_a_grant(world: World) -> set[str]:
    """Sets a revoked grant back to approved in the state."""
    key = store_keys.state_key(b"grant/" + world.revoked)
    grant = parse_grant(world.branch.values[key])
    world.branch.values[key] = encode(msgspec.structs.replace(grant, status="approved"))
    return verified(world.branch)


@attack("operator", "altered state", "key-missing", THE_LEDGER)
def shortens_a_list(world: World) -> set[str]:
    """Takes an item out of the stored list of a dataset's grants."""
    key = next(key for key in sorted(world.branch.values) if key[:1] == store_keys.LIST_ITEM)
    del world.branch.values[key]
    return verified(world.branch)


@attack("operator", "planted key", "key-unexpected", THE_LEDGER)
def plants_a_record_index(world: World) -> set[str]:
    """Adds an entry to the index of records that leads to no record."""
    world.branch.values[store_keys.record_key(bytes(32))] = bytes(16)
    return verified(world.branch)


@attack("operator", "damaged file", "file-damaged", "the damaged file and its own checksum")
def damages_a_file(world: World) -> set[str]:
    """Changes a byte in a file of the store and leaves its checksum."""

    with tempfile.TemporaryDirectory() as folder:
        store = write_store(world.branch, Path(folder) / "data")
        path = max(store.glob("*.log"), key=lambda each: each.stat().st_size)
        data = path.read_bytes()
        path.write_bytes(flipped(data, len(data) // 2))
        with DirectorySource(store) as source:
            return {each.code for each in Audit(world.branch.genesis, source).run().findings}


@attack("operator", "shorter ledger", "ledger-shorter", "the remembered checkpoint's note")
def restores_an_old_backup(world: World) -> set[str]:
    """Shows a store as it was before a grant was used."""
    seen = world.branch.checkpoint
    earlier = Branch(world.consortium)
    earlier.block(dataset(world.consortium, "health", "vaccinations"))
    earlier.certify(world.consortium.departments)
    return verified(earlier, seen)


@attack("operator", "shorter ledger", "incomplete-block", THE_LEDGER)
def cuts_the_last_block(world: World) -> set[str]:
    """Takes the last block's header, so that its records hang in the air."""
    last = max(key for key in world.branch.values if key[:1] == store_keys.LEAF)
    del world.branch.values[last]
    return verified(world.branch)


@attack("operator", "other genesis", "other-ledger", "both genesis files and their fingerprints")
def exchanges_the_genesis(world: World) -> set[str]:
    """Puts another genesis into the store."""
    other = Consortium(settings=(("record-skew-ms", 1_000),)).genesis_file
    world.branch.values[store_keys.GENESIS_MARK] = other.genesis_bytes
    return verified(world.branch)


@attack("operator", "altered Raft log", "entry-invalid", THE_LEDGER)
def rewrites_the_raft_log(world: World) -> set[str]:
    """Changes an entry of the Raft log, so that the block seems to come from elsewhere."""
    key = store_keys.entry_key(3)
    world.branch.values[key] = flipped(world.branch.values[key], 60)
    return verified(world.branch)


@attack("operator", "false certificate", "certificate-invalid", THE_LEDGER)
def certifies_alone(world: World) -> set[str]:
    """Adds a block and certifies it with the one key it has."""
    world.branch.block()
    world.branch.certify(("health",))
    return verified(world.branch)


@attack("operator", "false certificate", "certificate-invalid", THE_LEDGER)
def moves_a_certificate(world: World) -> set[str]:
    """Shows the certificate of an earlier block for a later one."""
    height = world.branch.checkpoint.height
    world.branch.block()
    values = world.branch.values
    values[store_keys.certificate_key(Height(height + 1))] = values[
        store_keys.certificate_key(Height(height))
    ]
    return verified(world.branch)


# A department, with its own valid keys. Others refuse the record; a leader who takes it in anyway,
# with everybody's signatures, is seen.


@attack("department", "limits of a grant", "exchanges-exhausted", THE_LEDGER)
def uses_a_grant_too_often(world: World) -> set[str]:
    """Receipts a fourth exchange under a grant for three."""
    force(world, receipts(world.consortium, "health", world.limited, range(50, 54)))
    return verified(world.branch)


@attack("department", "order of revocation", "grant-revoked", THE_LEDGER)
def hands_over_after_revocation(world: World) -> set[str]:
    """Receipts an exchange under a grant that is revoked."""
    force(world, receipts(world.consortium, "health", world.revoked, range(60, 61)))
    return verified(world.branch)


@attack("department", "order of revocation", "grant-revoked", THE_LEDGER)
def backdates_a_receipt(world: World) -> set[str]:
    """Dates a receipt before the revocation that it stands behind."""
    made = receipts(world.consortium, "health", world.revoked, range(60, 61))
    items = parse_items(made.attached)
    line = forms.ReceiptLine(world.revoked, *RIGHT, 1, 1, 10, items_root(items))
    body = forms.Receipts((line,))
    created_ms = START_MS + 1_000
    force(
        world,
        world.record("health", "exchange.receipts", body, items=items, created_ms=created_ms),
    )
    return verified(world.branch)


@attack("department", "replay", "replayed", THE_LEDGER)
def replays_a_record(world: World) -> set[str]:
    """Brings a receipt a second time, byte for byte."""
    force(world, receipts(world.consortium, "health", world.used, range(10)))
    return verified(world.branch)


@attack("department", "replay", "wrong-ledger", THE_LEDGER)
def brings_a_record_of_another_ledger(world: World) -> set[str]:
    """Brings an approval that was signed for another ledger with the same keys."""
    other = Consortium(settings=(("record-skew-ms", 1_000),))
    decision = GrantApprove(world.limited)
    force(world, other.record("health", "grant.approve", decision, created_ms=START_MS + 9_000))
    return verified(world.branch)


@attack("department", "false author", "unknown-key", THE_LEDGER)
def acts_for_another_department(world: World) -> set[str]:
    """Withdraws another department's grant, signed with its own key."""
    decision = GrantDecision(world.used, "not needed")
    by = world.consortium.record_signer("tourism")
    force(world, world.record("housing", "grant.withdraw", decision, by=by))
    return verified(world.branch)


@attack("department", "false author", "unknown-key", THE_LEDGER)
def signs_with_a_revoked_key(world: World) -> set[str]:
    """Goes on signing with a key that the consortium has revoked."""
    key = world.consortium.record_signer("tourism").public_key
    world.branch.decide(RevokeKey(key), ballots=2)
    force(world, dataset(world.consortium, "tourism", "beaches"))
    return verified(world.branch)


@attack("department", "somebody else's right", "not-the-provider", THE_LEDGER)
def receipts_under_anothers_grant(world: World) -> set[str]:
    """Receipts an exchange of another department's data."""
    force(world, receipts(world.consortium, "tourism", world.used, range(70, 71)))
    return verified(world.branch)


@attack("department", "somebody else's right", "not-the-provider", THE_LEDGER)
def approves_its_own_request(world: World) -> set[str]:
    """Asks for a grant and approves it itself."""
    asked = grant_request(world.consortium, "transport", "housing", "tenants")
    world.branch.block(asked)
    force(world, world.record("transport", "grant.approve", GrantApprove(asked.record_id)))
    return verified(world.branch)


@attack("department", "limits of a grant", "more-than-received", THE_LEDGER)
def acknowledges_what_was_never_sent(world: World) -> set[str]:
    """Acknowledges more exchanges than were receipted."""
    line = forms.Line(world.used, 1, items_root((b"x",)))
    body = forms.Acknowledgements((line,))
    force(world, world.record("housing", "exchange.acknowledgements", body, items=(b"x",)))
    return verified(world.branch)


@attack("department", "other half withheld", "unacknowledged", THE_RECORDS)
def denies_having_received(world: World) -> set[str]:
    """Takes the data and acknowledges nothing."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 81)))
    return gaps(world)


@attack("department", "other half withheld", "without-receipt", THE_RECORDS)
def serves_without_a_receipt(world: World) -> set[str]:
    """Hands over one exchange more than it receipts, and its consumer acknowledges each."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 83)))
    acknowledge(world, last_record_id(world.branch), range(81, 84))
    return gaps(world)


@attack("department", "altered half", "other-response", THE_RECORDS)
def acknowledges_other_content(world: World) -> set[str]:
    """Acknowledges another content than was receipted."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 81)))
    acknowledge(world, last_record_id(world.branch), range(80, 81), response=b"\x01" * 32)
    return gaps(world)


@attack("department", "altered half", "other-counts", THE_RECORDS)
def understates_its_rows(world: World) -> set[str]:
    """Says fewer rows in the line that counts than in the receipts below it."""
    made = receipts(world.consortium, "health", world.used, range(80, 90))

    items = parse_items(made.attached)
    line = forms.ReceiptLine(world.used, *RIGHT, 10, 1, 100, items_root(items))
    world.branch.block(
        world.record("health", "exchange.receipts", forms.Receipts((line,)), items=items)
    )
    return gaps(world)


@attack("department", "altered half", "voided-and-acknowledged", THE_RECORDS)
def takes_back_what_was_received(world: World) -> set[str]:
    """Voids an exchange whose data went out, to stay below a limit."""
    item = encode(forms.Void((1).to_bytes(32, "big"), bytes(32), 0, "not sent"))
    line = forms.Line(world.used, 1, items_root((item,)))
    world.branch.block(
        world.record("health", "exchange.voids", forms.Voids((line,)), items=(item,))
    )
    return gaps(world)


@attack("department", "double use", "receipted-twice", THE_RECORDS)
def uses_one_exchange_twice(world: World) -> set[str]:
    """Receipts one exchange a second time, in a record of its own."""
    made = receipts(world.consortium, "health", world.used, range(2, 3))
    world.branch.block(made)
    return gaps(world)


# A leader of the term.


@attack("leader", "double proposal", "names transport", THE_NAMES)
def proposes_twice(world: World) -> set[str]:
    """Proposes one entry to some and another to others."""
    one, other = world.branch.copy(), world.branch.copy()
    for branch, name in ((one, "one"), (other, "other")):
        branch.block(dataset(world.consortium, "health", name), term=9, leader="transport")
    return {f"names {name}" for name in blamed(one, other)}


@attack("leader", "double proposal", "names transport", THE_NAMES)
def rewrites_its_own_log(world: World) -> set[str]:
    """Proposes an entry that does not build on the one before, which it proposed too."""
    one, other = world.branch.copy(), world.branch.copy()
    one.block(dataset(world.consortium, "health", "one"), term=9, leader="transport")
    other.block(dataset(world.consortium, "health", "other"), term=8, leader="tourism")
    other.block(term=9, leader="transport")
    return {f"names {name}" for name in blamed(one, other)}


@attack("leader", "forged record", "bad-signature", THE_LEDGER)
def forges_a_record(world: World) -> set[str]:
    """Takes in an approval that the provider never signed."""
    forged = world.record(
        "health", "grant.approve", GrantApprove(world.limited), by=signer("leader")
    )
    header = msgspec.structs.replace(
        forged.header, key=world.consortium.record_signer("health").public_key
    )

    force(world, assemble_record(header, forged.signature, attached=None))
    return verified(world.branch)


@attack("leader", "false header", "wrong-block", THE_LEDGER)
def invents_a_state(world: World) -> set[str]:
    """Writes a state into the block header that its records do not make."""
    force(world, state_root=b"\x01" * 32)
    return verified(world.branch)


@attack("leader", "false header", "broken-link", THE_LEDGER)
def turns_back_time(world: World) -> set[str]:
    """Gives a block an earlier time than the one before it, to bring an expired grant back."""
    force(world, time_ms=START_MS)
    return verified(world.branch)


@attack("leader", "false header", "broken-link", THE_LEDGER)
def skips_a_block(world: World) -> set[str]:
    """Leaves out a height, so that a block can be slipped in later."""
    force(world, height=world.branch.checkpoint.height + 2)
    return verified(world.branch)


# A majority of the voters.

LIARS = ("civil-affairs", "health", "tourism")


def fork(world: World, *, blocks: int = 1) -> tuple[Branch, Branch]:
    one, other = world.branch.copy(), world.branch.copy()
    one.block(dataset(world.consortium, "health", "one"), log=False)
    for number in range(blocks):
        other.block(dataset(world.consortium, "health", f"other-{number}"), log=False)
    for branch in (one, other):
        branch.certify(LIARS)
    return one, other


def names(found: set[str]) -> set[str]:
    return {f"names {', '.join(sorted(found))}"}


@attack("majority", "certified fork", "names civil-affairs, health, tourism", THE_NAMES)
def certifies_two_ledgers(world: World) -> set[str]:
    """Certifies two different blocks of one height, for two audiences."""
    return names(blamed(*fork(world)))


@attack("majority", "certified fork", "names civil-affairs, health, tourism", THE_NAMES)
def forks_at_different_heights(world: World) -> set[str]:
    """Lets the two ledgers grow unequally, so that no two of its signatures are of one height."""
    return names(blamed(*fork(world, blocks=3)))


@attack("majority", "rewritten history", "ledger-forked", "the remembered checkpoint's note")
def shows_another_ledger_to_who_saw_one(world: World) -> set[str]:
    """Shows an auditor another ledger than it did last time."""
    one, other = fork(world, blocks=2)
    return verified(other, one.checkpoint)


@attack("majority", "rewritten history", "names civil-affairs, health, tourism", THE_NAMES)
def rewrites_the_past(world: World) -> set[str]:
    """Makes the whole ledger anew without a grant; somebody has kept an old note."""
    old = world.branch.certify((*LIARS, "housing"))
    new = Branch(world.consortium)
    for number in range(12):
        new.block(dataset(world.consortium, "health", f"clean-{number}"), log=False)
    new.certify(LIARS)
    return names(blamed(new, more=of_certificate(old)))


@attack("majority", "certified nonsense", "record-refused", THE_LEDGER)
def certifies_a_forbidden_record(world: World) -> set[str]:
    """Certifies a receipt without any grant."""
    force(world, receipts(world.consortium, "health", b"\x07" * 32, range(1)))
    return verified(world.branch)


@attack("majority", "spliced ledgers", "broken-link", THE_LEDGER)
def splices_two_ledgers(world: World) -> set[str]:
    """Continues this ledger with the blocks of another one of the same founders."""
    other = Branch(Consortium(settings=(("record-skew-ms", 1_000),)))
    for number in range(8):
        other.block(dataset(other.consortium, "health", f"elsewhere-{number}"))
    place = world.branch.checkpoint.tree_size
    for index, (_, leaf) in enumerate(other.scan(store_keys.LEAF, b"m")):
        world.branch.values[store_keys.leaf_key(LeafIndex(place + index))] = leaf
    return verified(world.branch)


@attack("majority", "uncertified change", "voter-change-uncertified", THE_LEDGER)
def replaces_the_voters_unasked(world: World) -> set[str]:
    """Executes a change of the voters that the old voters never certified."""
    ids = dict(zip(world.consortium.departments, world.consortium.node_ids, strict=True))
    world.branch.decide(ChangeVoters((), (ids["housing"],)))
    world.branch.change_voters()
    world.branch.change_voters()
    world.branch.block()
    world.branch.certify(LIARS)
    return verified(world.branch)


# Somebody who hands the auditor a doctored file.


@attack("outsider", "altered proof", "refused", THE_CHECK)
def shows_a_revoked_grant_as_approved(world: World) -> set[str]:
    """Changes a grant's status in a proof file, in its one spelling."""
    proof = parse_proof(prover(world).grant(world.revoked))
    state = proof.statement.state
    grant = msgspec.structs.replace(parse_grant(state.value), status="approved")
    statement = msgspec.structs.replace(
        proof.statement, state=msgspec.structs.replace(state, value=encode(grant))
    )
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack("outsider", "forged completeness", "refused", THE_CHECK)
def leaves_a_receipt_out(world: World) -> set[str]:
    """Takes a record out of a complete list of receipts."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(20, 30)))
    world.branch.certify(world.consortium.departments)
    proof = parse_proof(prover(world).receipts(world.used))
    statement = msgspec.structs.replace(proof.statement, records=proof.statement.records[1:])
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack("outsider", "forged completeness", "refused", THE_CHECK)
def hides_a_grant(world: World) -> set[str]:
    """Takes a grant out of the proof that there are no others."""
    proof = parse_proof(prover(world).grants("health", "vaccinations"))
    statement = msgspec.structs.replace(proof.statement, grants=proof.statement.grants[:-1])
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack("outsider", "forged completeness", "refused", THE_CHECK)
def denies_a_grant_that_there_is(world: World) -> set[str]:
    """Puts the absence of another consumer's grants in the place of this one's."""
    proof = parse_proof(prover(world).absence("civil-affairs", "health", "vaccinations"))
    statement = msgspec.structs.replace(
        proof.statement, consumer="housing", consumer_state=proof.statement.consumer_state
    )
    return proof_refused(msgspec.structs.replace(proof, statement=statement).to_json(), world)


@attack("outsider", "altered proof", "refused", THE_CHECK)
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


@attack("outsider", "false trust", "refused", THE_CHECK)
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


@attack("outsider", "framed by evidence", "refused", THE_CHECK)
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


@attack("outsider", "altered proof", "refused", THE_CHECK)
def puts_another_leaf_into_a_tlog_proof(world: World) -> set[str]:
    """Puts another record's leaf as extra data into a tlog-proof."""
    ids = [key[1:] for key, _ in world.branch.scan(b"r", b"s")]
    one, other = (parse_tlog_proof(prover(world).tlog_proof(each)) for each in ids[:2])
    spliced = type(one)(one.index, one.path, one.note, other.extra)
    return refused(lambda: check_tlog_proof(spliced.to_bytes(), Trust(world.branch.genesis)))


@attack("outsider", "false receipt", "refused", THE_CHECK)
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


UNSEEN = (
    (
        "A provider hands over false data",
        "The ledger says what was handed over and never whether it was true.",
    ),
    (
        "Provider and consumer exchange without any receipt",
        "Both sides together need no ledger; one honest side is enough to prevent it.",
    ),
    (
        "A leader or a majority leaves a department's records out",
        "What is not in the ledger leaves no trace there; the department sees that nothing is "
        "certified, and keeps its signed record.",
    ),
    (
        "An app passes on what it received",
        "Rows in the app's hands are out of reach; whoever may have seen a field is in the "
        "receipts.",
    ),
    (
        "Somebody shows an old proof as if it were of today",
        "It is accepted, for it was true: it says the height and time it speaks of. Ask for one "
        "under a newer checkpoint.",
    ),
    (
        "A majority forks the ledger and nobody ever sees both sides",
        "Each side alone is whole. Auditors who compare checkpoints with each other find it.",
    ),
)
"""What no auditor of this ledger can see, and why."""


def page() -> str:
    """docs/ATTACKS.md."""
    lines = [
        "# Attack catalogue",
        "",
        "What each party could do, done to real bytes by `tests/attacks/catalogue.py`, and what "
        "the auditor then says: a code of [ERRORS.md](ERRORS.md), a",
        "refusal, or names. Written by `python tests/attacks/catalogue.py`. *Department*, *leader* "
        "and *majority* hold valid keys and use them.",
        "",
        "| who | what they do | mechanism | the auditor says | what she can show |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.who} | {each.name} | {each.mechanism} | {each.says} | {each.proves} |"
        for each in ATTACKS
    ]
    lines += ["", "## What cannot be seen", "", "| what they do | why |", "|---|---|"]
    lines += [f"| {what} | {why} |" for what, why in UNSEEN]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "ATTACKS.md").write_text(page(), encoding="utf-8")
