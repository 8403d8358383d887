"""One seed, one run: faults while clients work, then calm, then everything must have arrived.

Safety phase: `steps` steps with all faults of the seed. Liveness phase: a majority is healed (the
rest stays as it is), and within 10 election timeouts there must be a leader, within 20 everything
that clients sent is answered, and every healed node stands at the same certified height.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from consensus import Role
from ledger.codec import encode
from sim.clients import Clients
from sim.faults import Faults
from sim.ledgers import check_ledgers
from sim.options import TICK_MS, Options
from sim.tape import Recording, Tape, parse_recording
from sim.verdicts import check_nobody_is_framed
from sim.world import World

STEPS = 2_000
LEADER_TIMEOUTS = 10
CONVERGENCE_TIMEOUTS = 20
TIME_MS_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """A run that held: its world, and the tape of its choices."""

    world: World
    tape: Tape

    def digest(self) -> bytes:
        """One hash over everything that was chosen and everything that is on the disks."""
        whole = sha256(encode([list(frame) for frame in self.tape.frames]))
        for place, disk in sorted(self.world.disks.items()):
            for key, value in sorted(disk.values.items()):
                whole.update(place + key + value)
        return whole.digest()


def run_seed(seed: int, *, mode: str = "crash", steps: int = STEPS) -> Result:
    """Runs a seed and checks every invariant."""
    return run_tape(Tape(seed=seed), mode=mode, steps=steps)


def run_recording(recording: Recording) -> Result:
    """Runs a kept tape."""
    tape = Tape(recorded=recording.frames)
    return run_tape(tape, mode=recording.mode, steps=recording.steps)


def read_recording(path: Path) -> Recording:
    """A tape file."""
    return parse_recording(path.read_text(encoding="ascii"))


def run_tape(tape: Tape, *, mode: str, steps: int) -> Result:
    """Runs a tape, drawn or replayed."""
    assert mode == "crash"
    world = World(tape, Options.drawn(tape))
    clients = Clients(world)
    safety_phase(world, clients, Faults(world), steps)
    liveness_phase(world, clients)
    check_ledgers(world)
    check_nobody_is_framed(world)
    assert not world.watch.accusations, "evidence against an honest node"
    assert not world.spent.keys() - world.dead.keys(), "a key was spent without a cause"
    assert not {place for place, _ in world.alarms} - world.dead.keys(), world.alarms
    return Result(world, tape)


def safety_phase(world: World, clients: Clients, faults: Faults, steps: int) -> None:
    """Faults and clients, until there were so many steps."""
    options, tape = world.options, world.tape

    def disturb() -> None:
        if not world.calm:
            faults.strike()
            world.at(1 + tape.below(2 * options.fault_gap_ms), disturb)

    def work() -> None:
        if not world.calm:
            clients.act()
            world.at(1 + tape.below(2 * options.client_gap_ms), work)

    world.at(options.timeout_ms, disturb)
    world.at(1, work)
    world.run(TIME_MS_MAX, stop=lambda: world.steps >= steps or tape.ended)
    if not tape.ended:
        assert world.steps >= steps, "the run came to a halt"


def liveness_phase(world: World, clients: Clients) -> None:
    """A majority is healed: it has a leader and converges in time."""
    healed = heal_majority(world)
    timeout_ms = world.options.timeout_ms

    def has_leader() -> bool:
        return any(
            world.processes[node].replica.raft.role is Role.LEADER
            for node in healed
            if node in world.processes
        )

    started_ms = world.now_ms
    led = world.run(started_ms + LEADER_TIMEOUTS * timeout_ms, stop=has_leader)
    assert led, "no leader in time"
    clients.write(healed[-1])

    def resend(tries: int) -> None:
        clients.resend_unanswered(healed[tries % len(healed)])
        world.at(2 * TICK_MS, resend, tries + 1)

    resend(0)

    def converged() -> bool:
        history = world.history
        if len(history.acknowledged) + len(history.refused) < len(clients.sent):
            return False
        heights = {world.processes[node].replica.durable_height for node in healed}
        return len(heights) == 1 and {world.certified[node] for node in healed} == heights

    done = world.run(started_ms + CONVERGENCE_TIMEOUTS * timeout_ms, stop=converged)
    assert done, "the healed majority did not converge in time"


def heal_majority(world: World) -> list[bytes]:
    """Ends all faults for a majority of the voters, who keep no clock of their own; who they are.

    Whoever is not healed is cut off, or takes part after all if the tape says so.
    """
    tape, options = world.tape, world.options
    world.calm = True
    world.safety_steps = world.steps
    usable = [node for node in world.nodes if not world.disks[node].damaged]
    most = len(usable) - (len(world.voters) // 2 + 1)
    out = tape.below(most + 1)
    for _ in range(out):
        usable.remove(tape.choice(usable))
    healed = usable
    options.loss = options.duplication = options.long_delay = options.late_copy = 0.0
    options.crash_at_write = options.watermark_lag = 0.0
    options.delay_ms = options.disk_ms = options.verify_ms = (0, 3)
    right = max(world.skew_max.values())
    for node in world.nodes:
        if node in healed:
            world.disks[node].failing = ""
            world.disks[node].delay_ms = 0
            world.set_skew(node, right)
    apart = set(healed)
    world.filters.clear()
    world.cuts = {
        (one, other)
        for one in world.nodes
        for other in world.nodes
        if (one in apart) != (other in apart)
    }
    for node in healed:
        process = world.processes.get(node)
        if process is None:
            world.start(node)
            continue
        process.fuse = None
        if process.paused:
            world.resume(node, process.life)
    for at, one in enumerate(healed):
        for other in healed[at + 1 :]:
            world.connect(one, other)
    return healed
