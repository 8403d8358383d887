"""Nodes that join and leave a running cluster: governance decides, the replicas carry it out."""

from typing import Any

import pytest
from builders import joining_enrolment

from consensus import Role, Settings
from consensus.types import Tick
from contracts.consortium import target_voters
from contracts.governance import Ballot, Propose, proposal
from contracts.membership import AdmitNode, ChangeVoters, ReplaceNode, RetireNode
from ledger.certificates import check_form, parse_certificate, required_sets
from ledger.types import Height
from node.messages import CertificateNews, Cosignatures, PeerMessage, Remembered
from node.settings import ReplicaSettings
from node.standing import Standing
from sim.clients import EXPIRING, dataset_record
from sim.faults import Faults, hand_over
from sim.ledgers import check_acknowledged, check_agreement
from sim.world import CLOCK_MS, Disk, Options, World

KEPT = ReplicaSettings(consensus=Settings(election_ticks=Tick(10)), log_entries_kept=10)


def knows(world: World, node: bytes, other: bytes) -> bool:
    """Whether a node names another one as a member."""
    return other in world.processes[node].replica.members


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def started(seed: int, *, nodes: int = 3, **options: Any) -> World:
    world = World(seed, Options(nodes=nodes, **options), settings=KEPT)
    assert world.run(10_000, stop=lambda: leader(world) is not None)
    return world


def accepted(world: World, department: str, kind: str, body: Any, number: int = 0) -> bytes:
    """A record of a department that everyone gets to hear of; its id."""
    node = next(n for n, d in world.department_of.items() if d == department and n in alive(world))
    record = world.consortium.record(
        department,
        kind,
        body,
        created_ms=CLOCK_MS + world.now_ms,
        nonce=number.to_bytes(16, "big") if number else None,
    )
    taken = world.submit(node, record.to_bytes())
    assert isinstance(taken, bytes)
    assert world.run(world.now_ms + 30_000, stop=lambda: taken in world.acknowledged), kind
    return taken


def alive(world: World) -> list[bytes]:
    return [
        node
        for node, process in world.processes.items()
        if process.replica.standing is not Standing.RETIRED
    ]


def decide(world: World, action: Any) -> None:
    first, *others = world.consortium.departments
    decision = accepted(world, first, "consortium.propose", Propose(action, "as agreed"))
    for name in others:
        if not is_decided(world, decision):
            accepted(world, name, "consortium.ballot", Ballot(decision, True))
    assert is_decided(world, decision)


def is_decided(world: World, proposal_id: bytes) -> bool:
    """Whether any node has executed the ballot that decided."""
    known = (proposal(p.replica.chain.view, proposal_id) for p in world.processes.values())
    return any(each is not None and each.status == "decided" for each in known)


def voters(world: World) -> set[tuple[tuple[bytes, ...], ...]]:
    return {world.processes[node].replica.chain.tip.voters.sets() for node in alive(world)}


def settled(world: World) -> bool:
    heights = {world.processes[node].replica.durable_height for node in alive(world)}
    certified = {world.certified[node] for node in alive(world)}
    return len(heights) == 1 and certified == heights


def written(world: World, number: int) -> None:
    node = alive(world)[0]
    taken = world.submit(node, dataset_record(world, node, EXPIRING * number))
    assert isinstance(taken, bytes)
    assert world.run(world.now_ms + 30_000, stop=lambda: taken in world.acknowledged)
    assert world.run(world.now_ms + 30_000, stop=lambda: settled(world))


def admit(world: World, department: str, number: int) -> bytes:
    node = world.join(department, number)
    enrolment = joining_enrolment(world.consortium.ledger_id, department, number)
    decide(world, AdmitNode(enrolment.signed()))
    return node


def check_voter_certificates(world: World) -> int:
    """Every change of voters has its own certificate, by both sets, at every node that is up."""
    changes = 0
    for node in alive(world):
        chain = world.processes[node].replica.chain
        for height in range(1, chain.tip.height + 1):
            if not chain.changes_voters(Height(height)):
                continue
            value = world.disks[node].get(b"c" + height.to_bytes(8, "big"))
            assert value is not None, "a change of voters has no certificate of its own"
            sets = required_sets(
                chain.voters_at(Height(height - 1)), chain.voters_at(Height(height))
            )
            certificate = parse_certificate(value)
            check_form(certificate, ledger_id=world.consortium.ledger_id, voter_sets=sets)
            changes += 1
    return changes


def test_a_new_node_is_admitted_learns_everything_and_becomes_a_voter() -> None:
    world = started(1)
    for number in range(40):
        written(world, number)
    node = admit(world, "health", 1)
    replica = world.processes[node].replica
    assert world.run(world.now_ms + 30_000, stop=lambda: settled(world)), "it catches up"
    assert replica.raft.compacted_index > 10, "by certified blocks, for the log is trimmed"
    founders = world.consortium.node_ids
    decide(world, ChangeVoters((node,), ()))
    wanted = (tuple(sorted((*founders, node))),)
    assert world.run(world.now_ms + 30_000, stop=lambda: voters(world) == {wanted})
    written(world, 100)
    assert node in {at for at, _ in world.watch.signed_checkpoints}
    world.crash(next(n for n in founders if n != leader(world)))
    written(world, 101)
    assert check_voter_certificates(world) >= 2 * 3
    check_agreement(world)


def test_a_replaced_node_stops_after_the_block_that_leaves_it_out_is_certified() -> None:
    world = started(2)
    old = world.consortium.checkpoint_signer("health").public_key
    new = world.join("health", 1)
    enrolment = joining_enrolment(world.consortium.ledger_id, "health", 1)
    decide(world, ReplaceNode(old, enrolment.signed(), votes=True))
    kept = [node for node in world.consortium.node_ids if node != old]
    wanted = (tuple(sorted((*kept, new))),)
    assert world.run(world.now_ms + 60_000, stop=lambda: world.spent.get(old) is Standing.RETIRED)
    chain = world.processes[old].replica.chain
    assert old not in chain.tip.voters.voters and not chain.tip.voters.incoming
    assert world.certified[old] >= next(
        height for height in range(chain.tip.height, 0, -1) if chain.changes_voters(Height(height))
    )
    assert world.run(world.now_ms + 30_000, stop=lambda: voters(world) == {wanted})
    written(world, 7)
    assert leader(world) in (*kept, new)
    assert world.run(
        world.now_ms + 30_000,
        stop=lambda: not any(knows(world, node, old) for node in alive(world)),
    ), "it is served no more"
    check_agreement(world)
    check_acknowledged(world, {node: world.disks[node] for node in alive(world)})


def test_a_replaced_node_that_missed_the_certificate_is_served_until_it_has_it() -> None:
    world = started(6)
    old = world.consortium.checkpoint_signer("health").public_key
    undisturbed = world.wires.arrive
    deaf_to_certificates(world, old)
    world.join("health", 1)
    enrolment = joining_enrolment(world.consortium.ledger_id, "health", 1)
    decide(world, ReplaceNode(old, enrolment.signed(), votes=True))
    assert world.run(world.now_ms + 60_000, stop=lambda: world.electorate.has_left(old))
    assert world.run(world.now_ms + 60_000, stop=lambda: world.electorate.has_its_target)
    world.run(world.now_ms + 5_000)
    replica = world.processes[old].replica
    assert old not in replica.chain.tip.voters.voters and replica.standing is Standing.GOOD
    assert all(knows(world, node, old) for node in alive(world))
    left = left_with(world, old)
    other = next(node for node in alive(world) if node != old)
    assert isinstance(world.submit(other, dataset_record(world, other, 3)), bytes)
    assert world.run(world.now_ms + 30_000, stop=lambda: replica.durable_height > left)
    world.crash(old)
    world.start(old)
    replica = world.processes[old].replica
    assert replica.chain.tip.height > left == left_with(world, old), "it forgot when it left"
    world.wires.arrive = undisturbed  # type: ignore[method-assign]
    assert world.run(world.now_ms + 5_000, stop=lambda: replica.standing is Standing.RETIRED)
    world.run(world.now_ms + 1_000)
    assert not any(knows(world, node, old) for node in alive(world)), "it is served no more"
    check_agreement(world)


def left_with(world: World, node: bytes) -> int:
    """The block whose certificate tells a node that it has left, as it knows itself."""
    replica = world.processes[node].replica
    heights = range(1, replica.chain.tip.height + 1)
    return next(height for height in heights if replica._membership.is_retired(height))


def deaf_to_certificates(world: World, deaf: bytes) -> None:
    """The node hears of no signatures and no certificates."""
    arrive = world.wires.arrive

    def filtered(place: bytes, peer: bytes, message: PeerMessage, number: int) -> None:
        if peer != deaf or not isinstance(message, Cosignatures | CertificateNews):
            arrive(place, peer, message, number)

    world.wires.arrive = filtered  # type: ignore[method-assign]


def test_a_voter_that_withheld_signs_the_change_of_voters_that_it_missed() -> None:
    world = started(8)
    first = leader(world)
    silent, withholds = (node for node in world.nodes if node != first)
    new = admit(world, "health", 1)
    deaf_and_mute_on_changes(world, silent)
    world.crash(withholds)
    world.start(withholds)
    replica = world.processes[withholds].replica
    term = replica.raft.term
    replica.receive(silent, Remembered(None, term, term, 1_000_000))
    assert replica.standing is Standing.WITHHOLDING
    decide(world, ChangeVoters((new,), ()))
    world.run(world.now_ms + 10_000)
    assert replica.standing is Standing.WITHHOLDING
    assert not world.electorate.has_its_target, "nobody else can certify that voters change"
    hand_over(world.processes[first].replica, silent)
    world.carry_out(first)
    assert world.run(world.now_ms + 30_000, stop=lambda: world.electorate.has_its_target)
    assert replica.standing is Standing.GOOD
    written(world, 100)
    check_agreement(world)


def deaf_and_mute_on_changes(world: World, node: bytes) -> None:
    """No signature on a change of voters comes from the node or to it."""
    arrive = world.wires.arrive

    def filtered(place: bytes, peer: bytes, message: PeerMessage, number: int) -> None:
        chain = world.processes[place].replica.chain
        lost = (
            node in (place, peer)
            and isinstance(message, Cosignatures)
            and any(chain.changes_voters(Height(each.height)) for each in message.checkpoints)
        )
        if not lost:
            arrive(place, peer, message, number)

    world.wires.arrive = filtered  # type: ignore[method-assign]


def test_a_newcomer_learns_of_a_leader_that_it_does_not_know() -> None:
    world = started(7)
    second = admit(world, "health", 1)
    decide(world, ChangeVoters((second,), ()))
    assert world.run(world.now_ms + 30_000, stop=lambda: world.electorate.has_its_target)
    assert world.run(world.now_ms + 30_000, stop=lambda: settled(world))
    first = leader(world)
    assert first is not None
    hand_over(world.processes[first].replica, second)
    world.carry_out(first)
    assert world.run(world.now_ms + 5_000, stop=lambda: leader(world) == second)
    third = admit(world, "health", 2)
    assert not knows(world, third, second)
    assert world.run(world.now_ms + 30_000, stop=lambda: settled(world))
    assert world.processes[third].replica.raft.leader == second == leader(world)
    check_agreement(world)


def test_a_leader_that_is_retired_hands_over_and_stops() -> None:
    world = started(3, nodes=5)
    old = leader(world)
    assert old is not None
    decide(world, RetireNode(old))
    assert world.run(world.now_ms + 60_000, stop=lambda: world.spent.get(old) is Standing.RETIRED)
    written(world, 5)
    assert leader(world) not in (None, old)
    check_agreement(world)


def test_joint_voters_are_not_entered_before_the_new_ones_have_signed() -> None:
    world = started(4)
    enrolled = []
    for number in (1, 2, 3, 4):
        enrolment = joining_enrolment(world.consortium.ledger_id, "health", number)
        decide(world, AdmitNode(enrolment.signed()))
        enrolled.append(enrolment.enrolment.department.nodes[0].node_id)
        world.disks[enrolled[-1]] = Disk()
    decide(world, ChangeVoters(tuple(sorted(enrolled)), ()))
    for number in range(5):
        written(world, number)
    chain = world.processes[world.nodes[0]].replica.chain
    assert len(target_voters(chain.view)) == 7
    assert chain.tip.voters.incoming == () and len(chain.tip.voters.voters) == 3
    world.join("health", 1)
    assert world.run(
        world.now_ms + 60_000,
        stop=lambda: all(len(sets[0]) == 7 for sets in voters(world)),
    )
    check_agreement(world)


@pytest.mark.parametrize("seed", range(4))
def test_voters_change_under_crashes_and_a_bad_network(seed: int) -> None:
    world = started(
        seed,
        loss=0.05,
        duplication=0.1,
        delay_ms=(0, 15),
        disk_ms=(0, 10),
        kinds=("crash", "crash-between-effects", "isolation"),
        restart_ms=100,
    )
    faults = Faults(world)
    new = admit(world, "housing" if "housing" in world.consortium.departments else "health", 1)
    old = world.consortium.node_ids[0]
    decide(world, ChangeVoters((new,), ()))
    world.options.crash_at_write = 0.02
    for number in range(10):
        world.run(world.now_ms + 200)
        faults.strike()
        written_if_possible(world, number)
    world.options.crash_at_write = 0.0
    faults.heal()
    world.run(world.now_ms + 3_000)
    for node in world.nodes:
        if node not in world.processes:
            world.start(node)
    assert world.run(
        world.now_ms + 60_000, stop=lambda: all(len(sets[0]) == 4 for sets in voters(world))
    )
    decide(world, ChangeVoters((), (old,)))
    assert world.run(
        world.now_ms + 60_000,
        stop=lambda: all(sets == voters_without(world, old) for sets in voters(world)),
    )
    written(world, 77)
    world.run(world.now_ms + 10_000)  # whoever missed the certificate asks for it once a second
    check_voter_certificates(world)
    check_agreement(world)


def written_if_possible(world: World, number: int) -> None:
    node = next(iter(world.processes))
    world.submit(node, dataset_record(world, node, 1_000 + number))


def voters_without(world: World, old: bytes) -> tuple[tuple[bytes, ...], ...]:
    return (tuple(sorted(node for node in world.nodes if node != old)),)


def test_a_leader_that_hands_over_is_followed_at_once_and_one_that_cannot_steps_down() -> None:
    world = started(5)
    old = leader(world)
    assert old is not None
    written(world, 1)
    term = world.processes[old].replica.raft.term
    world.give(old, world.processes[old].replica.hand_over)
    assert world.run(world.now_ms + 60, stop=lambda: leader(world) not in (None, old))
    new = leader(world)
    assert new is not None and world.processes[new].replica.raft.term == term + 1
    written(world, 2)
    for other in world.nodes:
        if other != new:
            world.crash(other)
    replica = world.processes[new].replica
    for _ in range(2 * world.options.election_ticks):
        world.give(new, replica.hand_over)
        world.run(world.now_ms + 10)
    assert not replica.leads


def test_a_voter_that_runs_on_alone_while_all_whom_it_knows_are_replaced_finds_the_others() -> None:
    """It asks strangers for blocks, which say who is there now; nobody else can tell it."""
    world = started(6)
    first, second, away = world.consortium.node_ids
    written(world, 1)
    Faults(world)._isolation(away)
    fresh = []
    for old in (first, second):
        department = world.department_of[old]
        fresh.append(world.join(department, 1))
        enrolment = joining_enrolment(world.consortium.ledger_id, department, 1)
        decide(world, ReplaceNode(old, enrolment.signed(), votes=True))
        assert world.run(
            world.now_ms + 60_000, stop=lambda old=old: world.spent.get(old) is Standing.RETIRED
        )
    lonely = world.processes[away].replica
    assert lonely.standing is Standing.GOOD and not set(fresh) & set(lonely.members)
    world.wires.cuts.clear()
    assert world.run(world.now_ms + 30_000, stop=lambda: set(fresh) < set(lonely.members))
    assert world.counts["fetched-outside"] > 0
    world.crash(fresh[1])
    before = len(world.acknowledged)
    taken = world.submit(fresh[0], dataset_record(world, fresh[0], 5))
    assert world.run(world.now_ms + 30_000, stop=lambda: taken in world.acknowledged)
    assert len(world.acknowledged) == before + 1
    check_agreement(world)
