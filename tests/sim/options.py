"""What a seed draws for its run (swarm testing): not every fault in every run, at its own rate.

A run with everything at once is as narrow as one with nothing: nodes that crash all the time never
get far enough for a clock to matter. So each seed draws which kinds of fault it has and how often,
and some seeds are given a temper: many elections and few messages, long divergence, and so on.
"""

from dataclasses import dataclass

from sim.tape import Tape

TICK_MS = 10

NETWORK = ("halves", "isolation", "one-way", "deaf", "mute", "partial", "filter", "reconnect")
PROCESS = ("crash", "crash-between-effects", "restart-all", "pause")
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
    kinds: the faults that strike, each as likely. small: windows and limits are small.
    watermark_lag: share of crashes that lose the newest watermark.
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
    crash_at_write: float = 0.0
    torn: float = 0.0
    watermark_lag: float = 0.0
    restart_ms: int = 200
    fault_gap_ms: int = 0
    heal_share: float = 0.3
    client_gap_ms: int = 50
    read_share: float = 0.3
    burst: int = 1
    kinds: tuple[str, ...] = ()
    small: bool = False
    wire: bool = False
    real_keys: bool = False

    @property
    def timeout_ms(self) -> int:
        """The longest election timeout, in milliseconds."""
        return 2 * self.election_ticks * TICK_MS

    @classmethod
    def drawn(cls, tape: Tape) -> "Options":
        """A seed's options."""
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
        )
        options.kinds = _some(tape, NETWORK) + _some(tape, PROCESS) + _some(tape, DISK)
        if tape.chance(0.4):
            options.kinds += _some(tape, LOSING)
        if tape.chance(0.3):
            options.kinds += CLOCK
        return options


def _some(tape: Tape, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """None, one, or about half of them."""
    how = tape.below(4)
    if how == 0:
        return ()
    if how == 1:
        return (tape.choice(kinds),)
    return tuple(kind for kind in kinds if tape.chance(0.5))
