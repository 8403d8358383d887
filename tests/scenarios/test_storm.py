"""Cores in a storm keep every invariant, and agree when it is over."""

import pytest

from consensus import Role
from scenarios.storm import Storm, Weather

STEPS = 8_000
CALM_ROUNDS_MAX = 100


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("nodes", [3, 5])
def test_cores_keep_every_invariant_in_a_storm_and_agree_after_it(nodes: int, seed: int) -> None:
    storm = Storm(nodes, seed, Weather(crash=0.002, cut=0.002, heal=0.01))
    for step in range(STEPS):
        storm.step()
        if step % 50 == 0:
            storm.cluster.check()
    assert storm.delivered > STEPS / 4
    storm.calm(CALM_ROUNDS_MAX)
    drivers = storm.cluster.alive
    assert len(drivers) == nodes
    assert [driver.raft.role for driver in drivers].count(Role.LEADER) == 1
    assert len({driver.raft.commit_index for driver in drivers}) == 1
    assert len({driver.raft.last_index for driver in drivers}) == 1
