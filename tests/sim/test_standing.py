"""Nodes whose store went backwards, and nodes that meet a ledger that contradicts their own."""

import copy
from collections.abc import Iterator

import pytest

from consensus import Role, messages
from consensus.types import Entry as RaftEntry
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.codec import encode
from ledger.entries import Entry
from ledger.evidence import (
    CertifiedOther,
    CommittedReplaced,
    Evidence,
    SignedOther,
    SignedTwice,
    parse_evidence,
)
from ledger.statements import proposal_statement
from node import ports
from node.messages import CertificateNews, Cosignatures, Remembered, SignedCheckpoint
from node.replica import Replica
from node.standing import Standing
from sim.clients import dataset_record
from sim.ledgers import check_acknowledged, check_agreement
from sim.world import Disk, Options, World, fast_sign


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def write(world: World, node: bytes, number: int) -> bytes:
    taken = world.submit(node, dataset_record(world, node, number))
    assert isinstance(taken, bytes)
    return taken


def written(world: World, node: bytes, number: int) -> None:
    """A record that is acknowledged and executed by everyone."""
    record = write(world, node, number)
    assert world.run(world.now_ms + 20_000, stop=lambda: record in world.acknowledged)
    assert world.run(world.now_ms + 20_000, stop=lambda: settled(world))


def settled(world: World) -> bool:
    good = [p.replica for p in world.processes.values() if not p.replica.standing.is_final]
    heights = {replica.durable_height for replica in good}
    certified = {0 if r.certificate is None else r.certificate.height for r in good}
    return len(heights) == 1 and certified == heights


def led(nodes: int = 3, seed: int = 1) -> World:
    world = World(seed, Options(nodes=nodes))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    written(world, world.nodes[0], 1)
    return world


def goes_back(world: World, node: bytes, disk: Disk) -> None:
    """The node's disk is replaced by an older or an empty one, and the node starts again."""
    if node in world.processes:
        world.crash(node)
    world.disks[node] = disk
    world.disks_go_back = True
    world.certified[node] = 0
    world.start(node)


def follower(world: World) -> bytes:
    return next(node for node in world.nodes if node != leader(world))


def evidence(disk: Disk) -> list[Evidence]:
    stop = bytes([store_keys.EVIDENCE[0] + 1])
    return [parse_evidence(value) for _, value in disk.scan(store_keys.EVIDENCE, stop)]


def alarms(world: World, node: bytes) -> list[str]:
    return [alarm.code for at, alarm in world.alarms if at == node]


def test_a_restored_backup_costs_the_key_and_not_the_ledger() -> None:
    world = led()
    victim = follower(world)
    backup = copy.deepcopy(world.disks[victim])
    for number in range(2, 8):
        written(world, victim, number)
    goes_back(world, victim, backup)
    replica = world.processes[victim].replica
    assert replica.standing is Standing.ASKING
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing is Standing.BEHIND)
    signed_before = dict(world.watch.signed_checkpoints)
    other = next(node for node in world.nodes if node != victim)
    for number in range(10, 13):
        written(world, other, number)
    assert replica.raft.term == 1 or replica.raft.role is Role.FOLLOWER
    new = {
        node
        for node, height in world.watch.signed_checkpoints
        if (node, height) not in signed_before
    }
    assert victim not in new
    assert "behind" in alarms(world, victim)
    assert isinstance(world.submit(victim, dataset_record(world, victim, 99)), ports.Rejected)
    world.crash(victim)
    world.start(victim)
    assert world.processes[victim].replica.standing is Standing.BEHIND
    check_agreement(world)
    check_acknowledged(world, {node: world.disks[node] for node in world.nodes if node != victim})


def shown_by_certificates(world: World, node: bytes) -> bool:
    """Whether another node's newest certificate has a signature of this one."""
    return any(
        entry.node_id == node
        for other in world.nodes
        if other != node and (kept := world.processes[other].replica.certificate) is not None
        for entry in kept.cosignatures
    )


@pytest.mark.parametrize("quiet_ms", [0, 10_000])
def test_peers_that_were_restarted_still_know_what_a_store_that_went_back_signed(
    quiet_ms: int,
) -> None:
    world = led()
    backups = {node: copy.deepcopy(world.disks[node]) for node in world.nodes}
    for number in range(2, 30):
        written(world, world.nodes[0], number)
        unseen = [node for node in world.nodes if not shown_by_certificates(world, node)]
        if unseen and number > 4:
            break
    world.run(world.now_ms + quiet_ms)
    victim = unseen[0]
    for node in world.nodes:
        if node != victim:
            world.crash(node)
            world.start(node)
    goes_back(world, victim, backups[victim])
    replica = world.processes[victim].replica
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing is Standing.BEHIND)


def test_an_emptied_disk_under_the_old_key_is_noticed_before_the_node_speaks() -> None:
    world = led()
    victim = follower(world)
    goes_back(world, victim, Disk())
    replica = world.processes[victim].replica
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing is Standing.BEHIND)
    assert (victim, 1) not in {
        at for at, _ in world.watch.signed_checkpoints.items()
    } or replica.durable_height == 0
    written(world, next(node for node in world.nodes if node != victim), 2)


def test_a_lying_peer_that_has_forgotten_everything_does_not_hide_it_from_the_others() -> None:
    world = led(nodes=5)
    victim = follower(world)
    backup = copy.deepcopy(world.disks[victim])
    written(world, victim, 2)
    goes_back(world, victim, backup)
    replica = world.processes[victim].replica
    liar = next(node for node in world.nodes if node not in (victim, leader(world)))
    replica.receive(liar, Remembered(None, 0, 0, 0))
    assert replica.standing is Standing.ASKING
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing.is_final)
    assert replica.standing is Standing.BEHIND


def test_a_peers_mere_word_withholds_votes_for_a_while_and_costs_nothing_else() -> None:
    world = led()
    victim = follower(world)
    world.crash(victim)
    world.start(victim)
    replica = world.processes[victim].replica
    height = replica.durable_height
    term = replica.raft.term
    replica.receive(leader(world) or b"", Remembered(None, term, term, height + 3))
    assert replica.standing is Standing.WITHHOLDING
    asker = next(node for node in world.nodes if node != victim)
    request = messages.VoteRequest(term + 1, 10_000, term + 1, 0)
    receive(world, victim, asker, request)
    world.run(world.now_ms + 50)
    assert (victim, term + 1) not in world.watch.votes
    for number in range(2, 7):
        written(world, asker, number)
    assert replica.standing is Standing.GOOD
    check_agreement(world)


def forged_checkpoint(world: World, height: int) -> Checkpoint:
    """Another content for a height that every node has executed."""
    return Checkpoint(world.consortium.ledger_id, height, 1_000, b"\x07" * 32)


def cosigned(checkpoint: Checkpoint, nodes: tuple[bytes, ...]) -> Iterator[Cosignature]:
    for node in nodes:
        signature = fast_sign(node, cosignature_message(checkpoint, 1_700_000_000))
        yield Cosignature(node, 1_700_000_000, signature)


def as_signed(checkpoint: Checkpoint, made: Cosignature) -> SignedCheckpoint:
    return SignedCheckpoint(
        checkpoint.height, checkpoint.tree_size, checkpoint.root, made.timestamp_s, made.signature
    )


def receive(world: World, node: bytes, sender: bytes, message: object) -> Replica:
    replica = world.processes[node].replica
    replica.receive(sender, message)  # type: ignore[arg-type]
    world.carry_out(node)
    return replica


def test_no_single_forged_message_halts_a_node() -> None:
    world = led()
    node, liar, third = world.nodes
    height = world.processes[node].replica.durable_height
    forged = forged_checkpoint(world, height)
    bad = [Cosignature(each, 1_700_000_000, bytes(64)) for each in (liar, third)]
    receive(world, node, liar, CertificateNews(Certificate.of(forged, bad).to_bytes()))
    half = list(cosigned(forged, (liar,))) + [bad[1]]
    receive(world, node, liar, CertificateNews(Certificate.of(forged, half).to_bytes()))
    only = next(cosigned(forged, (liar,)))
    receive(world, node, liar, Cosignatures((as_signed(forged, only),)))
    receive(world, node, liar, CertificateNews(b"\xc1 no certificate at all"))
    written(world, node, 2)
    assert world.processes[node].replica.standing is Standing.GOOD
    assert "contradicted" not in alarms(world, node)
    kept = evidence(world.disks[node])
    assert len(kept) == 1 and isinstance(kept[0], SignedTwice | SignedOther)
    assert kept[0].node_id == liar


def test_a_certificate_that_contradicts_the_ledger_ends_the_service_and_is_kept() -> None:
    world = led(nodes=5)
    node, *others = world.nodes
    height = world.processes[node].replica.durable_height - 1
    forged = forged_checkpoint(world, height)
    signers = tuple(others[:3])
    news = CertificateNews(Certificate.of(forged, list(cosigned(forged, signers))).to_bytes())
    replica = receive(world, node, others[3], news)
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing.is_final)
    assert replica.standing is Standing.CONTRADICTED
    signed_before = dict(world.watch.signed_checkpoints)
    assert world.run(
        world.now_ms + 5_000,
        stop=lambda: any(isinstance(e, CertifiedOther) for e in evidence(world.disks[node])),
    )
    written(world, others[0], 2)
    assert node not in {
        at for at, height in world.watch.signed_checkpoints if (at, height) not in signed_before
    }
    assert isinstance(world.submit(node, dataset_record(world, node, 99)), ports.Rejected)
    replica.read_barrier(7)
    world.carry_out(node)
    assert (7, None) in world.barriers
    kept = [each for each in evidence(world.disks[node]) if isinstance(each, CertifiedOther)]
    assert len(kept) == 1
    world.crash(node)
    world.start(node)
    assert world.processes[node].replica.standing is Standing.CONTRADICTED


def test_what_is_kept_against_one_node_is_bounded() -> None:
    world = led()
    node, liar, _ = world.nodes
    for number in range(2, 14):
        written(world, node, number)
    for height in range(1, world.processes[node].replica.durable_height + 1):
        forged = forged_checkpoint(world, height)
        made = next(cosigned(forged, (liar,)))
        receive(world, node, liar, Cosignatures((as_signed(forged, made),)))
    written(world, node, 20)
    kept = evidence(world.disks[node])
    assert 0 < len(kept) <= 8
    assert {getattr(each, "node_id", None) for each in kept} == {liar}


def test_an_append_that_would_replace_a_committed_entry_is_refused_kept_and_survived() -> None:
    world = led()
    boss = leader(world)
    assert boss is not None
    node = follower(world)
    replica = world.processes[node].replica
    height = replica.durable_height
    kept = replica.raft.entry(height).entry
    before = replica.raft.entry(height - 1).hash
    term = replica.raft.term + 1
    data = encode(Entry(START, None, ()))
    proposal_key = next(
        each.proposal_key
        for department in world.consortium.genesis_file.genesis.departments
        for each in department.nodes
        if each.node_id == boss
    )
    statement = proposal_statement(
        world.consortium.ledger_id, term=term, index=height, previous_hash=before, data=data
    )
    entry = RaftEntry(term, height, data, boss, fast_sign(proposal_key, statement))
    previous = replica.raft.entry(height - 1).entry
    append = messages.Append(term, height - 1, previous.term, (entry,), height)
    receive(world, node, boss, append)
    written(world, node, 2)
    assert replica.standing is Standing.GOOD
    found = [each for each in evidence(world.disks[node]) if isinstance(each, CommittedReplaced)]
    assert len(found) == 1
    assert found[0].sender == boss
    assert found[0].kept.data == kept.data and found[0].refused.data == data
    assert found[0].refused.previous_hash == before
    assert "CommittedReplaced" in alarms(world, node)
    check_agreement(world)
    check_acknowledged(world, world.disks)


START = 1_900_000_000_000
