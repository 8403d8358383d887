"""What a seed draws for its run (swarm testing): not every fault in every run, at its own rate.

A run with everything at once is as narrow as one with nothing: nodes that crash all the time never
get far enough for a clock to matter. So each seed draws which kinds of fault it has and how often,
and some seeds are given a temper: many elections and few messages, long divergence, and so on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sim.tape import Tape

TICK_MS = 10

NETWORK = (
    "halves",
    "isolation",
    "one-way",
    "deaf",
    "mute",
    "stale-leader",
    "mute-leader",
    "leader-in-minority",
    "partial",
    "filter",
    "reconnect",
)
PROCESS = ("crash", "crash-between-effects", "restart-all", "pause", "transfer")
DISK = ("fsync-failed", "fsync-failed-kept", "disk-full", "slow-disk")
LOSING = ("bit-rot", "misdirected-read", "store-went-back", "lost-disk")
CLOCK = ("clock-jump",)

KINDS = (*NETWORK, *PROCESS, *DISK, *LOSING, *CLOCK)
"""Faults that strike now and then; what strikes messages and writes is counted beside them."""


@dataclass(slots=True)
class Options:
    """One run. Probabilities are per message or write; gaps are mean times between events.

    delay_ms, disk_ms, verify_ms: shortest and longest. long_delay: share of messages that come up
    to ten election timeouts late. late_copy: share of messages that come once more, as late.
    wire: messages are encoded and decoded on each hop. real_keys: Ed25519 instead of a stand-in.
    drift_ms: how much shorter a node's tick may be than another's. mixed: some nodes are of an
    older version and do not ask before they stand (PreVote), as in a rolling upgrade.
    kinds: the faults that strike, each as likely. losing_share: of strikes, that cost a node its
    disk or what is on it, if there are such kinds. small: windows and limits are small.
    watermark_lag: share of crashes that lose the newest watermark. log_entries_kept: certified ones
    that stay in the log; who is further behind gets blocks. motions: share of strikes that change
    who takes part (`sim.council`). rotations: share of strikes that add or revoke a record key
    (`sim.keyring`). eager: whoever could not read asks again, two ticks later.
    turn_ms: inputs within so long may share one turn; -1: none do.
    """

    nodes: int = 5
    voters: int = 5
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    loss: float = 0.0
    duplication: float = 0.0
    delay_ms: tuple[int, int] = (0, 3)
    long_delay: float = 0.0
    late_copy: float = 0.0
    disk_ms: tuple[int, int] = (0, 3)
    verify_ms: tuple[int, int] = (0, 2)
    clock_skew_ms: int = 0
    clock_jump_ms: int = 0
    drift_ms: int = 0
    crash_at_write: float = 0.0
    torn: float = 0.0
    watermark_lag: float = 0.0
    restart_ms: int = 200
    fault_gap_ms: int = 0
    heal_share: float = 0.3
    losing_share: float = 0.15
    client_gap_ms: int = 50
    read_share: float = 0.3
    eager: bool = False
    burst: int = 1
    kinds: tuple[str, ...] = ()
    small: bool = False
    wire: bool = False
    real_keys: bool = False
    mixed: bool = False
    log_entries_kept: int = 1_000
    motions: float = 0.0
    rotations: float = 0.0
    turn_ms: int = -1

    @property
    def timeout_ms(self) -> int:
        """The longest election timeout, in milliseconds."""
        return 2 * self.election_ticks * TICK_MS

    @property
    def kinds_of_its_own(self) -> dict[str, bool]:
        """What a whole run is like, by the name under which it is counted (`sim.seeds`)."""
        return {
            "skewed-clocks": self.clock_skew_ms > 0,
            "drifting-ticks": self.drift_ms > 0,
            "small-limits": self.small,
            "messages-encoded": self.wire,
            "real-keys": self.real_keys,
        }

    @classmethod
    def drawn(cls, tape: Tape, *, temper: str = "") -> "Options":
        """A seed's options. temper: the name of one in TEMPERS; "" if the seed draws it too."""
        election_ticks = tape.choice((10, 4, 6, 10, 20))
        nodes = tape.choice((3, 5, 3, 5, 7, 3, 5, 3, 5, 7, 1, 3))
        timeout_ms = 2 * election_ticks * TICK_MS
        options = cls(
            nodes=nodes,
            voters=nodes,
            election_ticks=election_ticks,
            heartbeat_ticks=tape.choice((1, 1, election_ticks // 4 or 1, election_ticks // 2)),
            loss=tape.choice((0.0, 0.0, 0.02, 0.1, 0.3)),
            duplication=tape.choice((0.0, 0.0, 0.1, 0.5)),
            delay_ms=tape.choice(((0, 1), (0, 5), (1, 20), (1, 40))),
            long_delay=tape.choice((0.0, 0.0, 0.01, 0.05)),
            late_copy=tape.choice((0.0, 0.0, 0.02, 0.1)),
            disk_ms=tape.choice(((0, 1), (0, 5), (2, 60), (1, 20))),
            verify_ms=tape.choice(((0, 1), (0, 20))),
            clock_skew_ms=tape.choice((0, 50, 1_500, 3_000)),
            clock_jump_ms=tape.choice((100, 1_500, 60_000)),
            drift_ms=tape.choice((0, 0, 1, 4)),
            crash_at_write=tape.choice((0.0, 0.0, 0.01, 0.05)),
            torn=tape.choice((0.3, 0.0)),
            watermark_lag=tape.choice((0.0, 0.3)),
            restart_ms=tape.choice((timeout_ms, 10, timeout_ms // 4, 5 * timeout_ms)),
            fault_gap_ms=tape.choice((4, 1, 2, 8, 20)) * timeout_ms // 2,
            heal_share=tape.choice((0.3, 0.1, 0.5)),
            client_gap_ms=tape.choice((1, 2, 4, 10)) * timeout_ms // 4,
            read_share=tape.choice((0.3, 0.0, 0.6)),
            burst=tape.choice((1, 1, 3)),
            small=tape.chance(0.3),
            wire=tape.chance(0.1),
            real_keys=tape.chance(0.02),
            mixed=tape.chance(0.1),
            log_entries_kept=tape.choice((1_000, 1_000, 0, 5, 30)),
            motions=tape.choice((0.0, 0.0, 0.0, 0.3)),
            rotations=tape.choice((0.0, 0.0, 0.0, 0.2)),
            turn_ms=tape.choice((-1, -1, 0, 2, 10)),
        )
        options.kinds = _some(tape, NETWORK) + _some(tape, PROCESS) + _some(tape, DISK)
        if tape.chance(0.4):
            options.kinds += _some(tape, LOSING)
        if tape.chance(0.3):
            options.kinds += CLOCK
        drawn = tape.choice(TEMPERS)
        (TEMPER_NAMED[temper] if temper else drawn)(options, tape)
        if options.nodes == 1:
            options.client_gap_ms = max(1, options.client_gap_ms // 10)
        return options

    @classmethod
    def drawn_for_liars(cls, tape: Tape, *, temper: str = "") -> "Options":
        """A seed's options where some nodes lie: fewer faults, so that both sides get far."""
        options = cls.drawn(tape, temper=temper)
        options.nodes = options.voters = tape.choice((3, 4, 5))
        options.kinds = tuple(kind for kind in options.kinds if kind not in (*LOSING, *CLOCK))
        options.clock_skew_ms = 0
        options.loss = tape.choice((0.0, 0.0, 0.02))
        options.long_delay = tape.choice((0.0, 0.01))
        options.fault_gap_ms = tape.choice((3, 1, 6)) * options.timeout_ms
        options.client_gap_ms = max(1, options.timeout_ms // tape.choice((4, 16)))
        options.mixed = options.real_keys = False
        options.motions = tape.choice((0.0, 0.6))
        options.rotations /= 4
        return options


def _as_drawn(options: Options, tape: Tape) -> None:
    """No temper."""


def _many_elections(options: Options, tape: Tape) -> None:
    """Leaders fall soon after they have written something (Figure 8 of the Raft paper)."""
    options.election_ticks = 4
    options.heartbeat_ticks = 1
    options.fault_gap_ms = tape.choice((2, 1, 4)) * options.timeout_ms
    options.client_gap_ms = tape.choice((1, 2)) * options.timeout_ms // 4
    options.restart_ms = tape.choice((1, 4)) * options.timeout_ms
    options.heal_share = 0.5
    options.kinds = ("crash", "isolation", "halves", "filter")


def _slow_disks(options: Options, tape: Tape) -> None:
    """A write takes as long as an election: much happens while one is under way (P21)."""
    options.election_ticks = 4
    options.heartbeat_ticks = 1
    options.disk_ms = (1, tape.choice((1, 2)) * options.timeout_ms)
    options.delay_ms = (0, 5)
    options.kinds = ("isolation", "halves", "crash-between-effects", "deaf", "slow-disk")
    options.heal_share = 0.5
    options.fault_gap_ms = 2 * options.timeout_ms
    options.client_gap_ms = options.timeout_ms // 4
    options.small = tape.chance(0.5)


def _many_reads(options: Options, tape: Tape) -> None:
    """Everybody reads, while leaders stand still and are overtaken (P48 to P51)."""
    options.read_share = 0.7
    options.client_gap_ms = max(1, options.timeout_ms // 16)
    options.burst = 1
    options.disk_ms = tape.choice(((0, 5), (2, 60)))
    options.kinds = ("pause", "isolation", "mute", "deaf", "crash")
    options.small = tape.chance(0.3)
    options.fault_gap_ms = 2 * options.timeout_ms
    options.heal_share = 0.5
    options.drift_ms = tape.choice((0, 4))


def _long_divergence(options: Options, tape: Tape) -> None:
    """Leaders that are cut off go on writing, and others write elsewhere (P17, P27)."""
    options.small = True
    options.client_gap_ms = max(1, options.timeout_ms // 32)
    options.burst = 3
    options.read_share = 0.0
    options.kinds = ("deaf", "isolation", "halves", "filter")
    options.fault_gap_ms = 2 * options.timeout_ms
    options.heal_share = 0.5


def _jumping_clocks(options: Options, tape: Tape) -> None:
    """Clocks jump by a minute, also a leader's."""
    options.clock_jump_ms = 60_000
    options.kinds = (*3 * CLOCK, "crash", "isolation")
    options.fault_gap_ms = options.timeout_ms
    options.heal_share = 0.5
    options.client_gap_ms = options.timeout_ms // tape.choice((4, 1))


def _changing_members(options: Options, tape: Tape) -> None:
    """Nodes come and go, fail and are replaced, and the log is trimmed behind them (P28 to P37)."""
    options.motions = 0.6
    options.rotations = 0.1
    options.log_entries_kept = tape.choice((5, 0, 30))
    options.kinds = (*NETWORK[:3], "crash", "crash-between-effects", "pause", *LOSING)
    options.fault_gap_ms = tape.choice((2, 1)) * options.timeout_ms
    options.client_gap_ms = max(1, options.timeout_ms // 4)
    options.heal_share = 0.5


def _changing_keys(options: Options, tape: Tape) -> None:
    """Departments add and revoke record keys while they sign with old and new ones (A8)."""
    _few_nodes(options, tape)
    options.rotations = 0.7
    options.motions = tape.choice((0.1, 0.0))
    options.kinds = ("isolation", "halves", "crash", "pause")
    options.fault_gap_ms = options.timeout_ms // 2
    options.client_gap_ms = max(1, options.timeout_ms // 16)
    options.read_share = 0.0
    options.heal_share = 0.8


def _half_upgraded(options: Options, tape: Tape) -> None:
    """Nodes that do not ask before they stand raise terms while they are cut off (P6, P7)."""
    _few_nodes(options, tape)
    options.nodes = options.voters = tape.choice((5, 3, 7))
    options.mixed = True
    options.read_share = 0.0
    options.kinds = ("isolation", "halves", "deaf", "mute", "filter", "crash")
    options.fault_gap_ms = options.timeout_ms
    options.heal_share = 0.5


def _power_fails(options: Options, tape: Tape) -> None:
    """Machines lose power in the middle of a write, one or all of them (P40, P43, P45)."""
    _few_nodes(options, tape)
    options.torn = tape.choice((0.9, 0.5))
    options.crash_at_write = tape.choice((0.02, 0.05))
    options.disk_ms = (2, 40)
    options.restart_ms = options.timeout_ms // 2
    options.kinds = ("crash", "crash", "restart-all", "crash-between-effects", "isolation")
    options.fault_gap_ms = options.timeout_ms // 2
    options.client_gap_ms = max(1, options.timeout_ms // 16)
    options.heal_share = 0.6


def _failing_disks(options: Options, tape: Tape) -> None:
    """Disks are damaged, lost or put back from a backup while the rest goes on (P43 to P46, A7)."""
    _few_nodes(options, tape)
    options.kinds = (*LOSING, "isolation")
    options.losing_share = 0.5
    options.fault_gap_ms = options.timeout_ms // tape.choice((2, 1))
    options.client_gap_ms = options.timeout_ms // tape.choice((4, 8))
    options.restart_ms = tape.choice((1, 2)) * options.timeout_ms
    options.heal_share = 0.8


def _left_behind(options: Options, tape: Tape) -> None:
    """Nodes are away for so long that the log is trimmed past them (P37 to P41)."""
    _few_nodes(options, tape)
    options.small = True
    options.loss = tape.choice((0.02, 0.1, 0.3))
    options.crash_at_write = tape.choice((0.01, 0.05))
    options.restart_ms = tape.choice((4, 8)) * options.timeout_ms
    options.kinds = ("crash", "isolation", "crash-between-effects", "filter")
    options.fault_gap_ms = 2 * options.timeout_ms
    options.client_gap_ms = max(1, options.timeout_ms // 16)
    options.burst = 3
    options.read_share = 0.0
    options.disk_ms = (0, 5)
    options.heal_share = 0.4


def _stale_leaders(options: Options, tape: Tape) -> None:
    """A leader that is overtaken goes on hearing late answers, and is read from (P48 to P50)."""
    _few_nodes(options, tape)
    options.loss = tape.choice((0.1, 0.0, 0.3))
    options.delay_ms = (0, 5)
    options.disk_ms = tape.choice(((2, 40), (0, 5)))
    options.read_share = 0.5
    options.small = tape.chance(0.3)
    options.eager = True
    options.burst = 1
    options.client_gap_ms = max(1, options.timeout_ms // 16)
    options.kinds = ("stale-leader", "mute-leader", "stale-leader", "pause")
    options.fault_gap_ms = 2 * options.timeout_ms
    options.heal_share = 0.8


def _old_answers(options: Options, tape: Tape) -> None:
    """Leaders fall with much that few hold, lead again, and hear what was said before (P18)."""
    _few_nodes(options, tape)
    options.nodes = options.voters = 5
    options.small = True
    options.delay_ms = (0, 5)
    options.disk_ms = (0, 5)
    options.loss = 0.0
    options.client_gap_ms = max(1, options.timeout_ms // 32)
    options.burst = 3
    options.read_share = 0.0
    options.kinds = ("leader-in-minority", "leader-in-minority", "transfer")
    options.fault_gap_ms = options.timeout_ms
    options.heal_share = 0.9


def _few_nodes(options: Options, tape: Tape) -> None:
    """Fewer messages and shorter terms, so that more happens within the steps of a run."""
    options.nodes = options.voters = tape.choice((3, 5, 3))
    options.election_ticks = 4
    options.heartbeat_ticks = 1


TEMPERS: tuple[Callable[[Options, Tape], None], ...] = (
    _as_drawn,
    _as_drawn,
    _as_drawn,
    _as_drawn,
    _jumping_clocks,
    _many_elections,
    _slow_disks,
    _many_reads,
    _long_divergence,
    _changing_members,
    _changing_keys,
    _half_upgraded,
    _power_fails,
    _failing_disks,
    _left_behind,
    _stale_leaders,
    _old_answers,
)
"""More than half of the seeds have a temper: options that meet what random ones meet too seldom."""

TEMPER_NAMED = {temper.__name__[1:].replace("_", " "): temper for temper in TEMPERS}


def _some(tape: Tape, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """None, one, or about half of them."""
    how = tape.below(4)
    if how == 0:
        return ()
    if how == 1:
        return (tape.choice(kinds),)
    return tuple(kind for kind in kinds if tape.chance(0.5))
