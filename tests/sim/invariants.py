"""What must be true of the whole cluster, checked against the bytes on its disks."""

from collections.abc import Mapping

from ledger import store_keys
from ledger.blocks import block_hash, parse_block_header
from ledger.certificates import check_form, parse_certificate
from ledger.checkpoints import Checkpoint, check_cosignature, cosignature_message
from ledger.records import parse_leaf
from ledger.tree import leaf_hash, root_of
from ledger.types import LeafIndex
from sim.world import Disk, World, fast_check


def leaves_of(disk: Disk) -> list[bytes]:
    """Every leaf on a disk, in order."""
    leaves = []
    while (leaf := disk.get(store_keys.leaf_key(LeafIndex(len(leaves))))) is not None:
        leaves.append(leaf)
    return leaves


def check_agreement(world: World) -> None:
    """Every disk's ledger is a prefix of one ledger, byte for byte; blocks link; roots hold."""
    ledgers = {node: leaves_of(disk) for node, disk in world.disks.items()}
    longest = max(ledgers.values(), key=len)
    for leaves in ledgers.values():
        assert leaves == longest[: len(leaves)], "two ledgers differ"
    previous, height = world.consortium.ledger_id, 0
    ids: set[bytes] = set()
    for place, leaf in enumerate(longest):
        if leaf[:2] and leaf[1] == 2:
            header = parse_block_header(leaf)
            height += 1
            assert header.height == height and header.previous_hash == previous
            before = place - header.record_count
            assert header.tree_size == before
            assert header.tree_root == root_of([leaf_hash(each) for each in longest[:before]])
            previous = block_hash(leaf)
        else:
            record_id = parse_leaf(leaf).record_id
            assert record_id not in ids, "a record is in the ledger twice"
            ids.add(record_id)


def check_certificates(world: World) -> None:
    """Every certificate on a disk is one, on the ledger of that disk."""
    voters = world.consortium.genesis_file.genesis.voters
    for disk in world.disks.values():
        leaves = [leaf_hash(leaf) for leaf in leaves_of(disk)]
        for _, value in disk.scan(b"c", b"d"):
            certificate = parse_certificate(value)
            check_form(certificate, ledger_id=world.consortium.ledger_id, voter_sets=[voters])
            assert certificate.root == root_of(leaves[: certificate.tree_size])
            for entry in certificate.cosignatures:
                message = cosignature_message(certificate.checkpoint, entry.timestamp_s)
                assert fast_check(entry.node_id, message, entry.signature)


def check_acknowledged(world: World, disks: Mapping[bytes, Disk]) -> None:
    """What was acknowledged is where it was said to be, on each of these disks."""
    for record_id, place in world.acknowledged.items():
        for disk in disks.values():
            value = disk.get(store_keys.record_key(record_id))
            assert value is not None, "an acknowledged record is missing"
            assert int.from_bytes(value[:8], "big") == place.leaf_index
            assert int.from_bytes(value[8:], "big") == place.height


__all__ = [
    "Checkpoint",
    "check_acknowledged",
    "check_agreement",
    "check_certificates",
    "check_cosignature",
]
