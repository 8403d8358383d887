"""What is on the disks at the end: one ledger, byte for byte, and certificates that are ones."""

from collections.abc import Mapping

from ledger import store_keys
from ledger.blocks import VoterSets, block_hash, parse_block_header
from ledger.certificates import check_form, parse_certificate, required_sets
from ledger.checkpoints import cosignature_message
from ledger.records import parse_leaf
from ledger.tree import leaf_hash, root_of
from ledger.types import LeafIndex
from sim.disk import Disk
from sim.keyring import KeyJudge
from sim.world import World

BLOCK_TAG = 2


def leaves_of(disk: Disk) -> list[bytes]:
    """Every leaf on a disk, in order."""
    leaves: list[bytes] = []
    while (leaf := disk.values.get(store_keys.leaf_key(LeafIndex(len(leaves))))) is not None:
        leaves.append(leaf)
    return leaves


def check_agreement(world: World) -> list[bytes]:
    """Every disk's ledger is a prefix of one ledger, byte for byte; its leaves."""
    ledgers = {place: leaves_of(disk) for place, disk in world.disks.items()}
    longest = max(ledgers.values(), key=len)
    for leaves in ledgers.values():
        assert leaves == longest[: len(leaves)], "two ledgers differ"
    return longest


def check_acknowledged(world: World, disks: Mapping[bytes, Disk]) -> None:
    """What was acknowledged is where it was said to be, on each of these disks."""
    for record_id, outcome in world.history.acknowledged.items():
        place = outcome.leaf_index.to_bytes(8, "big") + outcome.height.to_bytes(8, "big")
        for disk in disks.values():
            assert disk.values.get(store_keys.record_key(record_id)) == place, "a record is missing"


def check_ledgers(world: World) -> None:
    """One ledger, whole, and the history of clients agrees with it."""
    longest = check_agreement(world)
    places = check_ledger(world, longest)
    world.history.at_the_end(places)
    hashes = [leaf_hash(leaf) for leaf in longest]
    voters = voters_of(world, longest)
    for disk in world.disks.values():
        check_certificates(world, disk, hashes, voters)


def check_ledger(world: World, leaves: list[bytes]) -> dict[bytes, tuple[int, int]]:
    """Blocks link, roots hold, keys were in force; each record's place (leaf index, height)."""
    ledger_id, keys = world.consortium.ledger_id, KeyJudge(world.consortium.genesis_file.genesis)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    previous, height = ledger_id, 0
    places: dict[bytes, tuple[int, int]] = {}
    last_roots = {0, len(leaves)}
    for index, leaf in enumerate(leaves):
        if leaf[1] != BLOCK_TAG:
            record = parse_leaf(leaf)
            record_id = record.record_id
            keys.record(record)
            assert record_id not in places, "a record is in the ledger twice"
            places[record_id] = (index, height + 1)
            continue
        header = parse_block_header(leaf)
        height += 1
        assert header.height == height and header.previous_hash == previous, "a link is broken"
        before = index - header.record_count
        assert header.tree_size == before
        if before in last_roots or height % 16 == 0:
            assert header.tree_root == root_of(hashes[:before]), "a root does not hold"
        previous = block_hash(leaf)
    world.counts.update(keys.counts)
    return places


def voters_of(world: World, leaves: list[bytes]) -> list[VoterSets]:
    """Who votes after each height, from 0."""
    headers = [parse_block_header(leaf) for leaf in leaves if leaf[1] == BLOCK_TAG]
    return [VoterSets(world.voters), *(header.voters for header in headers)]


def check_certificates(
    world: World, disk: Disk, hashes: list[bytes], voters: list[VoterSets]
) -> None:
    """Every certificate on a disk is one, on this ledger."""
    for key, value in disk.values.items():
        if key[:1] != store_keys.CERTIFICATE:
            continue
        certificate = parse_certificate(value)
        sets = required_sets(voters[certificate.height - 1], voters[certificate.height])
        check_form(certificate, ledger_id=world.consortium.ledger_id, voter_sets=sets)
        assert certificate.root == root_of(hashes[: certificate.tree_size])
        for entry in certificate.cosignatures:
            message = cosignature_message(certificate.checkpoint, entry.timestamp_s)
            assert world.check(entry.node_id, message, entry.signature)
