"""Clocks that leap: nobody's hour ahead holds up the others, and who is apart is named."""

import pytest

from consensus import Role
from node import leading
from node.clocks import PeerClocks
from sim.clients import dataset_record
from sim.ledgers import check_acknowledged, check_agreement
from sim.options import Options
from sim.world import World

HOUR_MS = 3_600_000


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def written(world: World, node: bytes, number: int, *, within_ms: int) -> bool:
    """Whether a record that this node's client brings is acknowledged in time."""
    record = world.submit(node, dataset_record(world, node, number))
    assert isinstance(record, bytes)
    return world.run(world.now_ms + within_ms, stop=lambda: record in world.acknowledged)


def bare_majority(seed: int) -> tuple[World, bytes, bytes]:
    """Three voters, one of them down: the world, its leader, and the other one that is left."""
    world = World(seed, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    assert written(world, world.nodes[0], 1, within_ms=5_000)
    first = leader(world)
    assert first is not None
    down, other = (node for node in world.nodes if node != first)
    world.crash(down)
    return world, first, other


def leap_while_a_record_comes(world: World, first: bytes, other: bytes) -> bool:
    """The leader's clock leaps an hour ahead, and is set right after a while; whether a record that
    came meanwhile is acknowledged soon."""
    world.set_skew(first, HOUR_MS)
    written(world, first, 2, within_ms=3_000)
    world.set_skew(first, 0)
    return written(world, other, 3, within_ms=20 * world.options.timeout_ms)


def test_a_leader_whose_clock_leapt_does_not_hold_up_the_only_majority_left() -> None:
    world, first, other = bare_majority(1)
    assert leap_while_a_record_comes(world, first, other)
    world.run(world.now_ms + 1_000)
    check_agreement(world)
    check_acknowledged(world, {node: world.disks[node] for node in world.processes})


def test_a_leader_that_leads_on_after_a_leap_would_hold_them_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leading, "FUTURE_MS_MAX", 2 * HOUR_MS)
    world, first, other = bare_majority(1)
    assert not leap_while_a_record_comes(world, first, other)


def test_the_others_go_on_while_the_former_leaders_clock_is_still_ahead() -> None:
    world, first, other = bare_majority(2)
    world.set_skew(first, HOUR_MS)
    assert written(world, other, 2, within_ms=20 * world.options.timeout_ms)
    assert leader(world) == other
    assert world.processes[other].replica.chain.tip.time_ms <= world.clock_ms(other)


def test_a_leader_whose_clock_leaps_back_makes_way_for_one_whose_clock_is_right() -> None:
    world = World(5, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    odd = leader(world)
    assert odd is not None
    right = [node for node in world.nodes if node != odd]
    assert written(world, right[0], 1, within_ms=5_000)
    world.set_skew(odd, -HOUR_MS)
    assert written(world, right[0], 2, within_ms=20 * world.options.timeout_ms)
    assert leader(world) in right


def test_nobody_elects_a_node_whose_clock_is_behind() -> None:
    """Else records that were made by right clocks would be from the future on its ledger."""
    world = World(6, Options(nodes=3))
    odd = world.nodes[0]
    right = world.nodes[1:]
    world.set_skew(odd, -HOUR_MS)
    for number in range(1, 4):
        assert written(world, right[0], number, within_ms=20 * world.options.timeout_ms)
        led = leader(world)
        assert led is not None
        assert led != odd
        world.crash(led)
        world.start(led)
    check_agreement(world)


@pytest.mark.parametrize("apart_ms", [60_000, -60_000])
def test_a_clock_apart_is_named_by_the_others_until_it_is_right_again(apart_ms: int) -> None:
    world = World(3, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    odd = next(node for node in world.nodes if node != leader(world))
    others = [node for node in world.nodes if node != odd]
    assert written(world, others[0], 1, within_ms=5_000)
    assert not any(clocks_of(world, node) for node in world.nodes)
    world.set_skew(odd, apart_ms)
    assert written(world, others[0], 2, within_ms=5_000)
    world.run(world.now_ms + 1_000)
    for node in others:
        assert clocks_of(world, node).keys() == {odd}
        assert (clocks_of(world, node)[odd] > 0) == (apart_ms > 0)
    world.set_skew(odd, 0)
    assert written(world, others[0], 3, within_ms=5_000)
    world.run(world.now_ms + 1_000)
    assert not any(clocks_of(world, node) for node in others)


def clocks_of(world: World, node: bytes) -> dict[bytes, int]:
    clocks = world.processes[node].replica._clocks
    assert isinstance(clocks, PeerClocks)
    return clocks.apart_ms


def test_signatures_from_long_ago_name_nobody() -> None:
    world = World(4, Options(nodes=3))
    assert world.run(5_000, stop=lambda: leader(world) is not None)
    away = next(node for node in world.nodes if node != leader(world))
    world.crash(away)
    others = [node for node in world.nodes if node != away]
    for number in range(1, 6):
        assert written(world, others[0], number, within_ms=5_000)
    world.run(world.now_ms + 60_000)
    world.start(away)
    assert written(world, others[0], 7, within_ms=10_000)
    world.run(world.now_ms + 5_000)
    assert not any(clocks_of(world, node) for node in world.nodes)
