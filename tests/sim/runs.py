"""One seed, one run: faults while clients work, then calm, then everything must have arrived.

Safety phase: `steps` steps with all faults of the seed. Liveness phase: a majority is healed (the
rest is cut off), and within 10 election timeouts there must be a leader, within 20 everything that
clients sent is answered, and every healed node stands at the same certified height. Stability
phase: the rest comes back, first unable to hear; it disturbs nobody and catches up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from consensus import Role
from ledger.codec import encode
from sim.clients import Clients
from sim.faults import Faults
from sim.ledgers import check_ledgers
from sim.liars import Liars
from sim.options import TICK_MS, Options
from sim.tape import Recording, Tape, parse_recording
from sim.verdicts import check_nobody_is_framed, check_verdict
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
    if mode == "byzantine":
        return run_with_liars(tape, steps=steps)
    world = World(tape, Options.drawn(tape))
    clients = Clients(world)
    safety_phase(world, clients, Faults(world).strike, steps)
    liveness_phase(world, clients)
    check_ledgers(world)
    check_nobody_is_framed(world)
    assert not world.watch.accusations, "evidence against an honest node"
    assert not world.spent.keys() - world.dead.keys(), "a key was spent without a cause"
    assert not {place for place, _ in world.alarms} - world.dead.keys(), world.alarms
    return Result(world, tape)


def run_with_liars(tape: Tape, *, steps: int) -> Result:
    """Some nodes lie: what honest nodes do by themselves holds, and a fork has a name on it."""
    options = Options.drawn_for_liars(tape)
    world = World(tape, options, liars=1 + tape.below(options.nodes // 2))
    lying, faults = Liars(world), Faults(world)
    world.start_twins(lying)

    def strike() -> None:
        if tape.below(3) == 0:
            lying.choose_sides()
        else:
            faults.strike()

    safety_phase(world, Clients(world), strike, steps)
    world.safety_steps = world.steps
    world.calm, lying.split = True, False
    faults.heal()
    world.run(world.now_ms + 4 * options.timeout_ms)
    check_verdict(world)
    return Result(world, tape)


def safety_phase(world: World, clients: Clients, strike: Callable[[], None], steps: int) -> None:
    """Faults and clients, until there were so many steps."""
    options, tape = world.options, world.tape

    def disturb() -> None:
        if not world.calm:
            strike()
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

    started_ms = world.now_ms
    led = world.run(
        started_ms + LEADER_TIMEOUTS * timeout_ms,
        stop=lambda: any(is_leader(world, node) for node in healed),
    )
    assert led, "no leader in time"
    clients.write(healed[-1])

    def resend(tries: int) -> None:
        if not world.settled:
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
    world.settled = True
    stability_phase(world, healed)


def stability_phase(world: World, healed: list[bytes]) -> None:
    """The others come back, at first deaf, then whole: nobody disturbs the leader (P8, P9, P12).

    Left out where somebody has been in a later term, whom the leader rightly follows, and where
    nodes do not ask before they stand.
    """
    leader = next((node for node in healed if is_leader(world, node)), healed[0])
    raft = world.processes[leader].replica.raft
    term = raft.term
    outsiders = [node for node in world.nodes if node not in healed and world.may_live(node)]
    if not outsiders:
        return
    make_well(world, outsiders)
    stable = (
        is_leader(world, leader) and not world.options.mixed and world.watch.highest_term <= term
    )
    world.cuts = {(one, other) for one in world.nodes for other in outsiders if one != other}
    world.run(world.now_ms + 3 * world.options.timeout_ms)
    world.cuts.clear()
    for node in outsiders:
        for other in world.nodes:
            if other != node:
                world.connect(node, other)
    everyone = healed + outsiders

    def converged() -> bool:
        heights = {world.processes[node].replica.durable_height for node in everyone}
        return len(heights) == 1 and {world.certified[node] for node in everyone} == heights

    within_ms = world.now_ms + CONVERGENCE_TIMEOUTS * world.options.timeout_ms
    assert world.run(within_ms, stop=converged), "those who came back did not converge in time"
    if stable:
        world.run(world.now_ms + 2 * world.options.timeout_ms)
        assert is_leader(world, leader) and raft.term == term, "a stable leader was disturbed"


def is_leader(world: World, node: bytes) -> bool:
    """Whether a node runs and leads."""
    process = world.processes.get(node)
    return process is not None and process.replica.raft.role is Role.LEADER


def make_well(world: World, nodes: list[bytes]) -> None:
    """These nodes run, on disks and clocks that work."""
    right = max(world.skew_max.values())
    for node in nodes:
        world.disks[node].failing = ""
        world.disks[node].delay_ms = 0
        world.set_skew(node, right)
        process = world.processes.get(node)
        if process is None:
            world.start(node)
        else:
            process.fuse = None
            if process.paused:
                world.resume(node, process.life)


def heal_majority(world: World) -> list[bytes]:
    """Ends all faults for a majority of the voters; who they are. The others are cut off."""
    tape, options = world.tape, world.options
    world.calm = True
    world.safety_steps = world.steps
    healed = [node for node in world.nodes if world.may_live(node)]
    for _ in range(tape.below(len(healed) - len(world.voters) // 2)):
        healed.remove(tape.choice(healed))
    options.loss = options.duplication = options.long_delay = options.late_copy = 0.0
    options.crash_at_write = options.watermark_lag = 0.0
    options.delay_ms = options.disk_ms = options.verify_ms = (0, 3)
    apart = set(healed)
    world.filters.clear()
    world.cuts = {
        (one, other)
        for one in world.nodes
        for other in world.nodes
        if (one in apart) != (other in apart)
    }
    make_well(world, healed)
    if tape.below(2):
        for at, one in enumerate(healed):
            for other in healed[at + 1 :]:
                world.connect(one, other)
    return healed
