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

import msgspec

from consensus import Logged, Role
from ledger.codec import encode
from ledger.entries import parse_entry
from ledger.store_keys import entry_key
from node.standing import Standing
from sim.clients import Clients
from sim.council import Council
from sim.faults import Faults
from sim.ledgers import check_ledgers
from sim.liars import Liars
from sim.options import TICK_MS, Options
from sim.tape import Recording, Tape, parse_recording
from sim.verdicts import check_nobody_is_framed, check_verdict
from sim.world import CLOCK_MS, World

STEPS = 2_000
LEADER_TIMEOUTS = 10
CONVERGENCE_TIMEOUTS = 20

LIARS_HASTE = 8
"""How much faster departments decide where some lie, for these runs are short."""

_LOGGED = msgspec.msgpack.Decoder(Logged)

TIME_MS_MAX = 10_000_000
EARLY_MS_MAX = 4_000
"""How long an entry of a clock that ran ahead may hold up a majority that needs it (ADR 0008)."""

STRANGERS_MS_MAX = 4_000
"""How long it may take until a voter notices that it knows nobody left, and hears of the others."""

KEPT_WHOLE = 1_000
"""Entries of a log that no run trims."""


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


def run_tape(tape: Tape, *, mode: str, steps: int, temper: str = "") -> Result:
    """Runs a tape, drawn or replayed. temper: of the options, if it is not to be drawn."""
    if mode == "byzantine":
        return run_with_liars(tape, steps=steps, temper=temper)
    world = World(tape, Options.drawn(tape, temper=temper))
    clients = Clients(world)
    council, faults = Council(world, clients), Faults(world)

    def strike() -> None:
        if tape.chance(world.options.motions):
            council.strike()
        elif tape.chance(world.options.rotations):
            clients.change_keys()
        else:
            faults.strike()

    safety_phase(world, clients, strike, steps, work=council.work)
    liveness_phase(world, clients)
    check_ledgers(world)
    check_nobody_is_framed(world)
    assert not world.watch.accusations, "evidence against an honest node"
    left = {node for node, why in world.spent.items() if why is Standing.RETIRED}
    assert not world.spent.keys() - world.dead.keys() - left, "a key was spent without a cause"
    assert not {place for place, _ in world.alarms} - world.dead.keys() - left, world.alarms
    return Result(world, tape)


def run_with_liars(tape: Tape, *, steps: int, temper: str = "") -> Result:
    """Some nodes lie: what honest nodes do by themselves holds, and a fork has a name on it."""
    options = Options.drawn_for_liars(tape, temper=temper)
    world = World(tape, options, liars=1 + tape.below(options.nodes // 2))
    lying, faults = Liars(world), Faults(world)
    world.start_twins(lying)
    clients = Clients(world)
    council = Council(world, clients)

    def strike() -> None:
        if tape.below(3) == 0:
            lying.choose_sides()
        else:
            faults.strike()

    def work() -> None:
        council.work()
        if tape.chance(options.motions):
            council.strike()
        if tape.chance(options.rotations):
            clients.change_keys()

    safety_phase(
        world, clients, strike, steps, work=work, work_gap_ms=options.timeout_ms // LIARS_HASTE
    )
    world.safety_steps = world.steps
    world.calm, lying.split = True, False
    faults.heal()
    world.run(world.now_ms + 4 * options.timeout_ms)
    check_verdict(world)
    return Result(world, tape)


def safety_phase(
    world: World,
    clients: Clients,
    strike: Callable[[], None],
    steps: int,
    work: Callable[[], None] = lambda: None,
    work_gap_ms: int = 0,
) -> None:
    """Faults, clients and departments at their work, until there were so many steps.

    work_gap_ms: the longest time between two looks of the departments; 0: an election timeout.
    """
    work_gap_ms = work_gap_ms or world.options.timeout_ms
    options, tape = world.options, world.tape

    def disturb() -> None:
        if not world.calm:
            strike()
            world.at(1 + tape.below(2 * options.fault_gap_ms), disturb)

    def use() -> None:
        if not world.calm:
            clients.act()
            world.at(1 + tape.below(2 * options.client_gap_ms), use)

    def decide() -> None:
        if not world.calm:
            work()
            world.at(1 + tape.below(work_gap_ms), decide)

    world.at(options.timeout_ms, disturb)
    world.at(1, use)
    if options.motions or options.rotations:
        world.at(work_gap_ms, decide)
    world.run(TIME_MS_MAX, stop=lambda: world.steps >= steps or tape.ended)
    if not tape.ended:
        assert world.steps >= steps, "the run came to a halt"
    for process in world.processes.values():
        world.counts["log-trimmed"] += process.replica.raft.compacted_index > 0


def liveness_phase(world: World, clients: Clients) -> None:
    """A majority is healed: it has a leader and converges in time."""
    wrong_clocks = any(world.skew_max.values())
    healed = heal_majority(world)
    timeout_ms = world.options.timeout_ms

    started_ms = world.now_ms + (EARLY_MS_MAX if wrong_clocks else 0)
    if not know_each_other(world, healed):
        started_ms += STRANGERS_MS_MAX
    led = world.run(
        started_ms + LEADER_TIMEOUTS * timeout_ms,
        stop=lambda: any(is_leader(world, node) for node in healed),
    )
    assert led, "no leader in time"
    clients.write(next(node for node in healed if node in world.electorate.members))

    def resend(tries: int) -> None:
        if not world.settled:
            clients.resend_unanswered(healed[tries % len(healed)])
            world.at(2 * TICK_MS, resend, tries + 1)

    resend(0)

    def converged() -> bool:
        history = world.history
        if len(history.acknowledged) + len(history.refused) < len(clients.sent):
            return False
        return world.electorate.has_its_target and at_one_height(world, healed)

    done = world.run(started_ms + CONVERGENCE_TIMEOUTS * timeout_ms, stop=converged)
    assert done, "the healed majority did not converge in time"
    world.settled = True
    stability_phase(world, [node for node in healed if world.may_live(node)])


def stability_phase(world: World, healed: list[bytes]) -> None:
    """The others come back, at first deaf, then whole: nobody disturbs the leader (P8, P9, P12).

    Left out where somebody has been in a later term, whom the leader rightly follows, where nodes
    do not ask before they stand, where voters are still to change, and where a clock has leapt.
    """
    leader = next((node for node in healed if is_leader(world, node)), healed[0])
    raft = world.processes[leader].replica.raft
    term = raft.term
    outsiders = [node for node in world.nodes if node not in healed and world.may_live(node)]
    if not outsiders:
        return
    make_well(world, outsiders)
    durable = (disk.hard_state.term for disk in world.disks.values())
    running = (process.replica.raft.term for process in world.processes.values())
    stable = (
        is_leader(world, leader)
        and not world.older
        and max(world.watch.highest_term, *durable, *running) <= term
        and world.electorate.is_settled
        and not world.leapt
    )
    world.wires.cuts = {(one, other) for one in world.nodes for other in outsiders if one != other}
    world.run(world.now_ms + 3 * world.options.timeout_ms)
    world.wires.cuts.clear()
    for node in outsiders:
        for other in world.nodes:
            if other != node:
                world.wires.connect(node, other)

    def converged() -> bool:
        return at_one_height(world, healed + outsiders)

    within_ms = world.now_ms + CONVERGENCE_TIMEOUTS * world.options.timeout_ms
    assert world.run(within_ms, stop=converged), "those who came back did not converge in time"
    if stable:
        world.run(world.now_ms + 2 * world.options.timeout_ms)
        assert is_leader(world, leader) and raft.term == term, "a stable leader was disturbed"


def know_each_other(world: World, healed: list[bytes]) -> bool:
    """Whether those of the healed that vote name each other, so that they are connected."""
    voters = {node for voters in world.electorate.in_force for node in voters}.intersection(healed)
    return all(voters <= world.processes[node].peers for node in sorted(voters))


def at_one_height(world: World, nodes: list[bytes]) -> bool:
    """Whether those of the nodes that take part stand at one height, all of it certified.

    Who has left, and knows it, stays where that was certified; a stranger knows nothing.
    """
    members = [node for node in nodes if node in world.electorate.members and world.may_live(node)]
    gone = [node for node in nodes if world.electorate.has_left(node)]
    heights = {world.processes[node].replica.durable_height for node in members}
    certified = {world.certified[node] for node in members}
    return (
        len(heights) == 1
        and certified == heights
        and all(world.spent.get(node) is Standing.RETIRED for node in gone)
    )


def is_leader(world: World, node: bytes) -> bool:
    """Whether a node runs and leads."""
    process = world.processes.get(node)
    return process is not None and process.replica.raft.role is Role.LEADER


def newest_time_ms(world: World) -> int:
    """The time of the newest block, and where clocks have leapt of the newest entry in any log."""
    times = [world.electorate.time_ms]
    if world.leapt:
        newest = (disk.values.get(entry_key(disk.last_entry)) for disk in world.disks.values())
        times += [
            parse_entry(_LOGGED.decode(value).entry.data).time_ms for value in newest if value
        ]
    return max(times)


def make_well(world: World, nodes: list[bytes]) -> None:
    """These nodes run, on disks that work, and on clocks that are right.

    Where a majority's clocks have leapt ahead, what they took is the right time from then on: they
    cannot all be set back without waiting until that time comes.
    """
    ahead_ms = max(0, newest_time_ms(world) - CLOCK_MS - world.now_ms)
    for node in nodes:
        world.disks[node].failing = ""
        world.disks[node].delay_ms = 0
        world.set_skew(node, ahead_ms)
        process = world.processes.get(node)
        if process is None:
            world.start(node)
        else:
            process.fuse = None
            if process.paused:
                world.resume(node, process.life)


def finish_upgrade(world: World) -> None:
    """A rolling upgrade comes to its end where older nodes could not catch up without it."""
    has_to = world.options.motions or world.settings.log_entries_kept < KEPT_WHOLE
    if has_to or world.tape.below(2):
        for node in sorted(world.older):
            if node in world.processes:
                world.crash(node)
        world.older.clear()


def heal_majority(world: World) -> list[bytes]:
    """Ends all faults for a majority of the voters; who they are. The others are cut off."""
    tape, options = world.tape, world.options
    world.calm = True
    world.safety_steps = world.steps
    healed = [node for node in world.nodes if world.may_live(node)]
    for _ in range(tape.below(len(healed))):
        out = tape.choice(healed)
        rest = [node for node in healed if node != out]
        if world.electorate.majority_of_all(rest):
            healed = rest
    finish_upgrade(world)
    options.loss = options.duplication = options.long_delay = options.late_copy = 0.0
    options.crash_at_write = options.watermark_lag = 0.0
    options.delay_ms = options.disk_ms = options.verify_ms = (0, 3)
    options.turn_ms = min(options.turn_ms, 2)
    apart = set(healed)
    world.wires.filters.clear()
    world.wires.cuts = {
        (one, other)
        for one in world.nodes
        for other in world.nodes
        if (one in apart) != (other in apart)
    }
    make_well(world, healed)
    if tape.below(2):
        for at, one in enumerate(healed):
            for other in healed[at + 1 :]:
                world.wires.connect(one, other)
    return healed
