"""Single situations on the production replica that random seeds meet too seldom."""

from collections.abc import Callable

import pytest

from consensus import Role
from sim.clients import Clients, made_record
from sim.ledgers import check_ledgers
from sim.options import Options
from sim.tape import Tape
from sim.world import CLOCK_MS, World


def cluster(seed: int, nodes: int) -> tuple[World, Clients]:
    """A calm cluster that has a leader."""
    world = World(Tape(seed=seed), Options(nodes=nodes, voters=nodes))
    until(world, lambda: leader(world) is not None)
    return world, Clients(world)


def until(world: World, happens: Callable[[], bool], *, within_ms: int = 20_000) -> None:
    assert happens() or world.run(world.now_ms + within_ms, stop=happens)


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def settled(world: World) -> bool:
    heights = {process.replica.durable_height for process in world.processes.values()}
    return len(heights) == 1 and set(world.certified.values()) == heights


def test_a_restored_backup_never_takes_part_again() -> None:
    world, clients = cluster(1, 3)
    victim = next(node for node in world.nodes if node != leader(world))
    first = clients.write(victim)
    until(world, lambda: first in world.history.acknowledged and settled(world))
    backup = world.disks[victim].copy()
    for _ in range(10):
        record = clients.write(victim)
        until(world, lambda record=record: record in world.history.acknowledged)
    until(world, lambda: settled(world))
    world.crash(victim)
    world.disks[victim].damaged = "store-went-back"
    world.disks[victim].go_back(backup)
    world.start(victim)
    assert world.dead == {victim: "store-went-back"}


def test_a_leader_whose_clock_runs_ahead_steps_down_and_another_leads() -> None:
    world, clients = cluster(2, 3)
    fast = leader(world)
    assert fast is not None
    world.set_skew(fast, 60_000)
    record = clients.write(next(node for node in world.nodes if node != fast))
    until(world, lambda: record in world.history.acknowledged)
    assert leader(world) not in (None, fast)
    for process in world.processes.values():
        assert process.replica.chain.tip.time_ms < CLOCK_MS + world.now_ms + 3_000
    check_ledgers(world)


def test_a_node_that_is_alone_acknowledges_nothing_and_joins_later() -> None:
    world, clients = cluster(3, 3)
    alone = world.nodes[0]
    for node in world.nodes[1:]:
        world.crash(node)
    record = clients.write(alone)
    world.run(world.now_ms + 10_000)
    assert record not in world.history.acknowledged
    for node in world.nodes[1:]:
        world.start(node)
    until(world, lambda: record in world.history.acknowledged and settled(world))
    check_ledgers(world)


def test_the_same_record_from_three_nodes_enters_once() -> None:
    world, _ = cluster(4, 3)
    department = world.department_of[world.nodes[0]]
    record_id, raw = made_record(3, 3, department, 1, real=False)
    for node in world.nodes:
        assert world.submit(node, raw) == record_id
    until(world, lambda: record_id in world.history.acknowledged and settled(world))
    check_ledgers(world)
    assert len(world.watch.places) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_whose_nodes_see_only_some_others_keeps_one_leader(seed: int) -> None:
    """P9: 1, 2 and 3 see each other, 4 sees only 2, 5 only 3."""
    world, clients = cluster(seed, 5)
    one, two, three, four, five = world.nodes
    seen = {(one, two), (one, three), (two, three), (two, four), (three, five)}
    world.wires.cuts = {
        (a, b) for a in world.nodes for b in world.nodes if not {(a, b), (b, a)} & seen
    }
    until(world, lambda: leader(world) in (two, three, one))
    world.run(world.now_ms + 2_000)
    terms = len(world.watch.leaders)
    record = clients.write(one)
    world.run(world.now_ms + 20_000)
    assert record in world.history.acknowledged
    assert len(world.watch.leaders) <= terms + 1, "the leader is not stable"


@pytest.mark.parametrize("turn_ms", [0, 1, 5])
def test_inputs_that_share_a_turn_make_one_ledger(turn_ms: int) -> None:
    world = World(turn_ms, Options(nodes=3, turn_ms=turn_ms, loss=0.05, duplication=0.1))
    clients = Clients(world)
    until(world, lambda: leader(world) is not None)
    for number in range(20):
        record = clients.write(world.nodes[number % 3])
        until(world, lambda record=record: record in world.history.acknowledged)
    until(world, lambda: settled(world))
    check_ledgers(world)
