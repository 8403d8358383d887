"""Clusters in which some nodes lie: a certified fork has a name on it, and never an honest one."""

from collections.abc import Callable

import pytest
from builders import START_MS

from contracts.governance import Ballot, Propose
from contracts.membership import ChangeVoters
from sim.clients import EXPIRING, dataset_record
from sim.keys import record_signer
from sim.reporting import WHOLE
from sim.runs import run_seed
from sim.seeds import run_range
from sim.situations import divided_by_a_liar
from sim.verdicts import accused, check_verdict
from sim.world import World

PART = 25
STEPS = 1_000

Note = Callable[[str, object], None]


@pytest.mark.parametrize("first", range(0, WHOLE["byzantine"], PART))
def test_a_fork_names_a_liar_and_nobody_else(first: int, record_property: Note) -> None:
    tally = run_range(range(first, first + PART), mode="byzantine", steps=STEPS)
    record_property("simulated byzantine", tally.noted())
    assert tally.failures == []
    assert tally.counts["liar-named"] >= tally.counts["certified-fork"]


def test_one_seed_with_liars_is_one_run_to_the_byte() -> None:
    runs = [run_seed(7, mode="byzantine", steps=300) for _ in range(2)]
    assert runs[0].digest() == runs[1].digest()


@pytest.mark.parametrize("seed", range(3))
def test_a_fork_whose_one_side_changes_voters_names_the_liar_alone(seed: int) -> None:
    """A11: of five voters one runs twice; each twin has a majority with two honest ones."""
    world, honest = divided_by_a_liar(seed)
    here, there = honest[0], honest[2]
    motion = ChangeVoters((), (there,))
    decision = recorded(world, here, 0, "consortium.propose", Propose(motion, "as agreed"))
    for number in range(1, 4):
        recorded(world, here, number, "consortium.ballot", Ballot(decision, True))
    left = tuple(node for node in world.voters if node != there)
    replica, other = (world.processes[node].replica for node in (here, there))
    assert world.run(
        world.now_ms + 30_000,
        stop=lambda: (
            replica.chain.tip.voters.sets() == (left,)
            and world.certified[here] == replica.durable_height
        ),
    )
    for number in range(EXPIRING - 1):
        taken = world.submit(there, dataset_record(world, there, number))
        assert world.run(
            world.now_ms + 30_000, stop=lambda taken=taken: taken in world.acknowledged
        )
    assert world.run(
        world.now_ms + 30_000, stop=lambda: world.certified[there] == other.durable_height
    )
    assert other.chain.tip.height > replica.chain.tip.height
    check_verdict(world)
    assert world.counts["fork-over-voters"] == 1
    assert accused(world) == world.liars


def recorded(world: World, node: bytes, author: int, kind: str, body: Propose | Ballot) -> bytes:
    """A department's record, accepted on the side of that node."""
    department = world.consortium.departments[author]
    signer = record_signer(department, real=False)
    record = world.consortium.record(department, kind, body, created_ms=START_MS + 5_000, by=signer)
    taken = world.submit(node, record.to_bytes())
    assert world.run(world.now_ms + 30_000, stop=lambda: taken in world.acknowledged), kind
    assert isinstance(taken, bytes)
    return taken
