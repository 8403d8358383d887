"""What an auditor says who is shown every node's store at the end of a run.

A3: where nobody lies, nobody is accused, whatever crashed. A4: where two certificates contradict
each other, a liar is named. Never an honest node.
"""

from builders import node_description

from audit.blame import blame
from audit.signed import Signatory, signatories_of
from ledger import store_keys
from ledger.blocks import parse_block_header
from ledger.certificates import parse_certificate
from ledger.tree import leaf_hash
from sim.disk import Disk
from sim.ledgers import BLOCK_TAG, check_ledger, leaves_of
from sim.world import World


def accused(world: World) -> frozenset[bytes]:
    """The nodes that the auditor names."""
    signatories = signatories_of(world.consortium.genesis_file.genesis)
    for node, number in world.number_of.items():
        department = world.department_of[node]
        key = node_description(department, number).proposal_key
        signatories[node] = Signatory(department, key)
    found = blame(
        signatories,
        world.consortium.ledger_id,
        stores_of(world),
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
    certified: dict[int, bytes] = {}
    for node in world.nodes:
        if node in world.liars:
            continue
        hashes = [leaf_hash(leaf) for leaf in leaves_of(world.disks[node])]
        heights = {}
        for key, value in world.disks[node].values.items():
            if key[:1] == store_keys.CERTIFICATE:
                certificate = parse_certificate(value)
                heights[certificate.height] = certificate
        for index, leaf in enumerate(leaves_of(world.disks[node])):
            if leaf[1] != BLOCK_TAG:
                continue
            header = parse_block_header(leaf)
            if header.height <= max(heights, default=0):
                known = certified.setdefault(header.height, hashes[index])
                if known != hashes[index]:
                    return True
    return False


def check_verdict(world: World) -> None:
    """A4: a certified fork names a liar, and no honest node is ever named."""
    named = accused(world)
    assert named <= world.liars, "an honest node is accused"
    world.counts["liar-named"] += len(named)
    if conflicting(world):
        world.counts["certified-fork"] += 1
        assert named, "a certified fork names nobody"
    for node in world.nodes:
        if node not in world.liars:
            check_ledger(world.consortium.ledger_id, leaves_of(world.disks[node]))


def check_nobody_is_framed(world: World) -> None:
    """A3: crashes name nobody."""
    assert not accused(world), "an honest node is accused"
