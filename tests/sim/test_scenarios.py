"""Single situations on the production replica that random seeds meet too seldom."""

from builders import START_MS

from consensus import Role
from sim.invariants import check_acknowledged, check_agreement
from sim.runs import dataset_record
from sim.world import Options, World


def settled(world: World) -> bool:
    heights = {process.replica.durable_height for process in world.processes.values()}
    return len(heights) == 1 and set(world.certified.values()) == heights


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def write(world: World, node: bytes, number: int) -> bytes:
    taken = world.submit(node, dataset_record(world, node, number))
    assert isinstance(taken, bytes)
    return taken


def acknowledged(world: World, record_id: bytes) -> bool:
    return record_id in world.acknowledged


def test_a_leader_whose_clock_runs_ahead_steps_down_and_another_leads() -> None:
    world = World(2, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    fast = leader(world)
    assert fast is not None
    world.skew[fast] = 60_000
    other = next(node for node in world.nodes if node != fast)
    record = write(world, other, 1)
    assert world.run(world.now_ms + 20_000, stop=lambda: acknowledged(world, record))
    assert leader(world) not in (None, fast)
    world.run(world.now_ms + 5_000)
    for process in world.processes.values():
        assert process.replica.chain.tip.time_ms < START_MS + 40_000
    check_agreement(world)


def test_a_node_that_is_alone_acknowledges_nothing_and_joins_later() -> None:
    world = World(3, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    alone = world.nodes[0]
    for node in world.nodes[1:]:
        world.crash(node)
    record = write(world, alone, 1)
    assert not world.run(world.now_ms + 10_000, stop=lambda: acknowledged(world, record))
    for node in world.nodes[1:]:
        world.start(node)
    assert world.run(world.now_ms + 10_000, stop=lambda: acknowledged(world, record))
    assert world.run(world.now_ms + 10_000, stop=lambda: settled(world))
    check_acknowledged(world, world.disks)


def test_the_same_record_from_three_nodes_enters_once() -> None:
    world = World(4, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    raw = dataset_record(world, world.nodes[0], 1)
    taken = {world.submit(node, raw) for node in world.nodes}
    assert len(taken) == 1
    record = taken.pop()
    assert isinstance(record, bytes)
    assert world.run(world.now_ms + 5_000, stop=lambda: acknowledged(world, record))
    assert world.run(world.now_ms + 5_000, stop=lambda: settled(world))
    check_agreement(world)
