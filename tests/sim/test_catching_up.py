"""Nodes that were down past the trimmed log, lost or new: they catch up by certified blocks."""

import pytest

from consensus import Role, Settings
from consensus.types import Tick
from ledger import store_keys
from ledger.types import Height
from node import ports
from node.catching_up import Contradicted
from node.messages import BlocksWanted, CertifiedBlocks, PeerMessage
from node.replica import Replica
from node.settings import ReplicaSettings
from node.standing import Standing
from sim.clients import EXPIRING, dataset_record
from sim.faults import Faults
from sim.ledgers import check_acknowledged, check_ledgers
from sim.world import Options, World

KEPT = ReplicaSettings(consensus=Settings(election_ticks=Tick(10)), log_entries_kept=10)


def leader(world: World) -> bytes | None:
    for node, process in world.processes.items():
        if process.replica.raft.role is Role.LEADER:
            return node
    return None


def settled(world: World) -> bool:
    heights = {process.replica.durable_height for process in world.processes.values()}
    return len(heights) == 1 and set(world.certified.values()) == heights


def written(world: World, node: bytes, numbers: range) -> None:
    for number in numbers:
        if number % EXPIRING == EXPIRING - 1:
            continue
        taken = world.submit(node, dataset_record(world, node, number))
        assert isinstance(taken, bytes)
        assert world.run(
            world.now_ms + 20_000, stop=lambda taken=taken: taken in world.acknowledged
        )


def left_behind(seed: int, options: Options, *, blocks: int = 60) -> tuple[World, bytes]:
    """A cluster whose logs are trimmed far beyond what one node, that is down, has."""
    world = World(seed, options, settings=KEPT)
    assert world.run(10_000, stop=lambda: leader(world) is not None)
    written(world, world.nodes[0], range(1))
    away = next(node for node in world.nodes if node != leader(world))
    world.crash(away)
    other = next(node for node in world.nodes if node != away)
    written(world, other, range(100, 100 + blocks))
    assert log_start(world, other) > blocks // 2
    return world, away


def log_start(world: World, node: bytes) -> int:
    return world.processes[node].replica.raft.compacted_index


def test_a_node_that_was_down_past_the_trimmed_log_catches_up_and_votes_again() -> None:
    world, away = left_behind(1, Options(nodes=3))
    before = max(world.certified.values())
    world.start(away)
    replica = world.processes[away].replica
    assert replica.durable_height < log_start(world, leader(world) or b"")
    assert world.run(world.now_ms + 20_000, stop=lambda: settled(world))
    assert replica.durable_height >= before
    assert replica.raft.compacted_index > 10
    third = next(node for node in world.nodes if node not in (away, leader(world)))
    world.crash(third)
    written(world, away, range(500, 505))
    check_ledgers(world)
    check_acknowledged(world, {away: world.disks[away]})


@pytest.mark.parametrize("seed", range(6))
def test_catching_up_survives_crashes_at_any_moment_and_a_bad_network(seed: int) -> None:
    options = Options(
        nodes=3,
        loss=0.1,
        duplication=0.2,
        delay_ms=(0, 10),
        disk_ms=(0, 10),
        kinds=("crash", "crash-between-effects"),
        restart_ms=100,
        watermark_lag=0.3,
    )
    world, away = left_behind(seed, options)
    faults = Faults(world)
    world.options.crash_at_write = 0.1
    world.start(away)
    for _ in range(40):
        world.run(world.now_ms + 50)
        faults.strike()
        if away in world.processes and world.tape.chance(0.3):
            world.crash(away)
            world.start(away)
    world.options.crash_at_write = 0.0
    world.run(world.now_ms + 3_000)
    for node in world.nodes:
        if node not in world.processes:
            world.start(node)
    world.options.loss = 0.0
    written(world, world.nodes[0], range(900, 903))
    assert world.run(world.now_ms + 30_000, stop=lambda: settled(world))
    check_ledgers(world)
    check_acknowledged(world, world.disks)


class Tampered:
    """Changes the certified blocks that one node serves."""

    def __init__(self, world: World, server: bytes) -> None:
        self.count = 0
        self._server = server
        self._arrive = world.wires.arrive
        world.wires.arrive = self.arrive  # type: ignore[method-assign]

    def arrive(self, place: bytes, peer: bytes, message: PeerMessage, number: int) -> None:
        if place == self._server and isinstance(message, CertifiedBlocks) and message.blocks:
            self.count += 1
            message = self.changed(message)
        self._arrive(place, peer, message, number)

    def changed(self, message: CertifiedBlocks) -> CertifiedBlocks:
        kind = self.count % 5
        if kind == 0:
            return CertifiedBlocks(message.height, message.blocks[1:], *rest(message))
        if kind == 1:
            spoilt = message.certificate[:-1] + bytes([message.certificate[-1] ^ 1])
            return CertifiedBlocks(
                message.height, message.blocks, spoilt, message.path, message.path_before
            )
        if kind == 2:
            path = tuple(bytes(32) for _ in message.path) or (bytes(32),)
            return CertifiedBlocks(
                message.height, message.blocks, message.certificate, path, message.path_before
            )
        if kind == 3:
            first = message.blocks[0]
            dropped = type(first)(first.records[1:], first.header)
            blocks = (dropped, *message.blocks[1:]) if first.records else message.blocks[::-1]
            return CertifiedBlocks(message.height, blocks, *rest(message))
        return CertifiedBlocks(message.height, (), *rest(message))


def rest(message: CertifiedBlocks) -> tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]:
    return message.certificate, message.path, message.path_before


def test_blocks_that_a_liar_serves_are_not_taken_and_another_is_asked() -> None:
    world, away = left_behind(3, Options(nodes=3))
    boss = leader(world)
    assert boss is not None
    liar = Tampered(world, boss)
    world.start(away)
    assert world.run(world.now_ms + 60_000, stop=lambda: settled(world))
    assert liar.count > 0
    assert world.processes[away].replica.standing is Standing.GOOD
    check_ledgers(world)


def test_whoever_does_not_answer_is_not_asked_for_ever() -> None:
    world, away = left_behind(8, Options(nodes=3))
    boss = leader(world)
    assert boss is not None
    world.wires.filters[away, boss] = BlocksWanted
    world.start(away)
    assert world.run(world.now_ms + 20_000, stop=lambda: settled(world))
    assert world.counts["caught-up-by-blocks"] > 0
    check_ledgers(world)


def test_answers_are_bounded_in_bytes_and_in_number() -> None:
    world, away = left_behind(4, Options(nodes=3))
    server = leader(world)
    assert server is not None
    replica = world.processes[server].replica
    answers = []
    for _ in range(40):
        replica.receive(away, BlocksWanted(0, 0))
        effects = replica.effects()
        answers += [
            effect.message
            for effect in effects
            if isinstance(effect, ports.Send) and isinstance(effect.message, CertifiedBlocks)
        ]
    assert 0 < len(answers) <= 16
    assert all(len(answer.blocks) <= 512 for answer in answers)
    replica.receive(away, BlocksWanted(10**9, 10**9))
    replica.receive(away, BlocksWanted(1, 10**15))


def test_a_ledger_that_the_served_certificate_contradicts_ends_the_service() -> None:
    world, away = left_behind(5, Options(nodes=3))
    other, _ = left_behind(6, Options(nodes=3))
    replica = world.processes[leader(world) or b""].replica
    catching_up = replica._catching_up
    server = other.processes[leader(other) or b""].replica
    tip = replica.chain.tip
    catching_up.want(tip.height + 100)
    question = catching_up.ask(world.nodes, None)
    assert question is not None
    written(other, next(iter(other.processes)), range(2_000, 2_050))
    assert other.run(other.now_ms + 20_000, stop=lambda: len(set(other.certified.values())) <= 2)
    server.receive(away, question[1])
    answers = [
        effect.message
        for effect in server.effects()
        if isinstance(effect, ports.Send) and isinstance(effect.message, CertifiedBlocks)
    ]
    assert len(answers) == 1 and answers[0].blocks
    found = catching_up.receive(question[0], answers[0])
    assert isinstance(found, Contradicted)


def test_the_trimmed_log_is_gone_from_the_store_and_its_blocks_are_not() -> None:
    world, _ = left_behind(7, Options(nodes=3))
    node = leader(world)
    assert node is not None
    world.run(world.now_ms + 1_000)
    disk = world.disks[node]
    stop = bytes([store_keys.ENTRY[0] + 1])
    kept = [int.from_bytes(key[1:], "big") for key, _ in disk.scan(store_keys.ENTRY, stop)]
    replica: Replica = world.processes[node].replica
    assert kept[0] == replica.raft.compacted_index + 1
    assert len(kept) <= 10 + 10 + 5
    for height in range(1, replica.durable_height + 1):
        assert disk.get(store_keys.block_key(Height(height))) is not None
