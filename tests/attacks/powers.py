"""A leader of the term, and a majority of the voters."""

import tempfile
from pathlib import Path

import msgspec
from branches import Branch
from builders import START_MS, Consortium, signer
from recorded import dataset, receipts

from attacks.listing import THE_LEDGER, THE_NAMES, attack
from attacks.world import (
    World,
    blamed,
    force,
    verified,
)
from audit.signed import of_certificate
from contracts.grants import GrantApprove
from contracts.membership import ChangeVoters
from ledger import store_keys
from ledger.checkpoints import origin
from ledger.notes import ED25519_TYPE, Note, NoteSignature
from ledger.records import assemble_record
from ledger.types import LeafIndex
from ledger.witnesses import AddCheckpoint, VerifierKey
from node.identity import create_identity
from node.witness import Witness, WitnessRefused


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
        "health",
        "grant.approve",
        GrantApprove(world.limited),
        by=signer("leader"),
        created_ms=START_MS + 9_500,
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


@attack("majority", "certified nonsense", "unknown-grant", THE_LEDGER)
def certifies_a_forbidden_record(world: World) -> set[str]:
    """Certifies a receipt without any grant."""
    force(world, receipts(world.consortium, "health", b"\x07" * 32, range(90, 91)))
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


@attack("majority", "another branch to a witness", "refused", "the witness's own cosignature")
def shows_a_witness_another_branch(world: World) -> set[str]:
    """Certifies two branches and shows a witness outside first one, then the other."""
    one, other = fork(world)
    key = signer("health/0/publication")
    name = origin(world.branch.genesis.ledger_id)
    log = VerifierKey(name, ED25519_TYPE, key.public_key)
    with tempfile.TemporaryDirectory() as folder:
        witness = Witness(
            create_identity(Path(folder) / "keys"),
            name="witness.example/w1",
            ml_dsa_44=False,
            logs={name: (log,)},
            folder=Path(folder) / "keys" / "witnessed",
            now_ms=lambda: START_MS,
        )

        def shown(branch: Branch, old: int) -> bytes:
            text = branch.checkpoint.body()
            note = Note(text, (NoteSignature(name, log.key_id, key.sign(text)),))
            return AddCheckpoint(old, (), note).to_bytes()

        witness.add(shown(one, 0))
        try:
            witness.add(shown(other, one.checkpoint.tree_size))
        except WitnessRefused:
            return {"refused"}
    return {"cosigned"}
