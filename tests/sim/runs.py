"""One seed, one run: faults while clients write, then calm, then everything must have arrived."""

from random import Random

from builders import START_MS

from contracts.catalog import DatasetOffer, Description, Field
from ledger.codec import encode
from sim.invariants import check_acknowledged, check_agreement, check_certificates
from sim.world import Options, World

SAFETY_MS = 8_000
CALM_MS = 20_000


def run_seed(seed: int, *, steps: int = 60) -> World:
    """Runs a seed and checks every invariant; the world for further questions."""
    dice = Random(seed ^ 0x5EED)
    world = World(seed, Options.drawn(dice))
    submitted: dict[bytes, bytes] = {}
    for number in range(steps):
        world.run(world.now_ms + dice.randrange(2 * SAFETY_MS // steps))
        world.disturb()
        node = dice.choice(world.nodes)
        raw = dataset_record(world, node, number)
        taken = world.submit(node, raw)
        if isinstance(taken, bytes):
            submitted[taken] = raw
        if dice.random() < 0.4:
            world.read(dice.choice(world.nodes), number)
    check_agreement(world)
    world.calm()
    settle(world, submitted)
    check_agreement(world)
    check_certificates(world)
    check_acknowledged(world, world.disks)
    assert not world.alarms, world.alarms
    return world


def settle(world: World, submitted: dict[bytes, bytes]) -> None:
    """After the faults: a leader, every record (sent again, as clients do), everyone certified."""
    node = world.nodes[0]
    for raw in submitted.values():
        world.submit(node, raw)

    def done() -> bool:
        for record_id in submitted:
            if record_id not in world.acknowledged and record_id not in world.rejected:
                return False
        heights = {process.replica.durable_height for process in world.processes.values()}
        return len(heights) == 1 and set(world.certified.values()) == heights

    assert world.run(world.now_ms + CALM_MS, stop=done), "the cluster did not settle"


def dataset_record(world: World, node: bytes, number: int) -> bytes:
    """A valid record of the node's department, another one for each number."""
    department = world.department_of[node]
    description = Description(
        title=f"Table {number}",
        description="",
        fields=(Field("id_number", "text", "the number"), Field("name", "text", "the name")),
        subject_field="id_number",
    )
    offer = DatasetOffer(f"table-{number}", "personal", "conditional", True)
    record = world.consortium.record(
        department,
        "dataset.publish",
        offer,
        document=encode(description),
        created_ms=START_MS + 5_000,
        valid_ms=3_600_000,
        nonce=number.to_bytes(16, "big"),
    )
    return record.to_bytes()
