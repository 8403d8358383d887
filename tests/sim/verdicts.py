"""What an auditor says who is shown every node's store at the end of a run.

A3: where nobody lies, nobody is accused, whatever crashed. A4: where two certificates contradict
each other, a liar is named. Never an honest node.
"""

from collections.abc import Iterator

from builders import node_description

from audit.blame import blame
from audit.signed import Signatory, SignedCheckpoint, Statements, signatories_of
from ledger import store_keys
from ledger.blocks import VoterSets, parse_block_header
from ledger.certificates import parse_certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message, parse_checkpoint
from ledger.evidence import ProposedTwice, SignedProposal, SignedText, SignedTwice, parse_evidence
from ledger.statements import proposal_statement
from ledger.tree import leaf_hash
from ledger.types import NodeId
from sim.disk import Disk
from sim.ledgers import BLOCK_TAG, check_ledger, leaves_of
from sim.world import World


def everybody(world: World) -> dict[NodeId, Signatory]:
    """Whoever ever was a node here, and the keys that speak for it."""
    found = signatories_of(world.consortium.genesis_file.genesis)
    for node, number in world.number_of.items():
        department = world.department_of[node]
        found[node] = Signatory(department, node_description(department, number).proposal_key)
    return found


def accused(world: World) -> frozenset[bytes]:
    """The nodes that the auditor names; it is shown forgeries too, in everybody's name (A10)."""
    signatories = everybody(world)
    forged = Checkpoint(world.consortium.ledger_id, 1, 2, b"\x07" * 32)
    found = blame(
        signatories,
        world.consortium.ledger_id,
        stores_of(world),
        more=Statements(
            tuple(SignedCheckpoint(forged, Cosignature(node, 0, bytes(64))) for node in world.nodes)
        ),
        check=world.check,
    )
    return frozenset(each.node_id for each in found)


def stores_of(world: World) -> list[Disk]:
    """The store of every honest node; of one that went back, also what was on it before."""
    disks = [disk for place, disk in world.disks.items() if place[:32] not in world.liars]
    disks += [disk.lost for disk in disks if disk.lost is not None]
    return [disk.copy() for disk in disks]


def conflicting(world: World) -> bool:
    """Whether honest nodes hold two certificates that contradict each other."""
    known: dict[int, tuple[bytes, VoterSets]] = {}
    found = False
    for node in world.nodes:
        if node in world.liars:
            continue
        for height, block, voters in certified_blocks(world, world.disks[node]):
            other, among = known.setdefault(height, (block, voters))
            if other != block:
                found = True
                if among != voters:
                    world.counts["fork-over-voters"] += 1
                    return True
    return found


def certified_blocks(world: World, disk: Disk) -> Iterator[tuple[int, bytes, VoterSets]]:
    """Height, hash and voters of each block that the certificates on a disk cover.

    A change of voters needs one of its own: without it the branch counts no further (A11).
    """
    prefix = store_keys.CERTIFICATE
    kept = {parse_certificate(disk.values[key]).height for key in disk.keys.get(prefix[0], ())}
    before = VoterSets(world.voters)
    for leaf in leaves_of(disk):
        if leaf[1] != BLOCK_TAG:
            continue
        header = parse_block_header(leaf)
        changes, before = header.voters != before, header.voters
        if header.height > max(kept, default=0) or (changes and header.height not in kept):
            return
        yield header.height, leaf_hash(leaf), header.voters


def check_evidence(world: World) -> None:
    """A9: whatever honest nodes keep as a proof is one, by the nodes' keys and the piece alone."""
    signatories = everybody(world)

    def proposed(piece: SignedProposal) -> bool:
        statement = proposal_statement(
            world.consortium.ledger_id,
            term=piece.term,
            index=piece.index,
            previous_hash=piece.previous_hash,
            data=piece.data,
        )
        return world.check(signatories[piece.proposer].proposal_key, statement, piece.signature)

    def signed(node: bytes, piece: SignedText) -> bool:
        message = cosignature_message(parse_checkpoint(piece.text), piece.timestamp_s)
        return world.check(node, message, piece.signature)

    for place, disk in world.disks.items():
        for key, value in disk.values.items():
            if key[:1] != store_keys.EVIDENCE or place[:32] in world.liars:
                continue
            found = parse_evidence(value)
            world.counts["kept-evidence"] += 1
            if isinstance(found, ProposedTwice):
                holds = proposed(found.kept) and proposed(found.refused)
            elif isinstance(found, SignedTwice):
                holds = signed(found.node_id, found.one) and signed(found.node_id, found.other)
            else:
                continue
            assert holds, "kept evidence proves nothing"


def check_verdict(world: World) -> None:
    """A4: a certified fork names a liar, and no honest node is ever named."""
    named = accused(world)
    assert named <= world.liars, "an honest node is accused"
    world.counts["liar-named"] += len(named)
    if conflicting(world):
        world.counts["certified-fork"] += 1
        assert named, "a certified fork names nobody"
    check_evidence(world)
    for node in world.nodes:
        if node not in world.liars:
            check_ledger(world, leaves_of(world.disks[node]))


def check_nobody_is_framed(world: World) -> None:
    """A3: crashes name nobody."""
    assert not accused(world), "an honest node is accused"
