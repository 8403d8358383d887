"""The numbers of Raft: ticks, sizes and windows, checked when they are set."""

from dataclasses import dataclass

from consensus.types import Tick

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How patient a node is, and how much it keeps under way.

    election_ticks: without a leader for this long, plus as much again at random, a node campaigns.
    heartbeat_ticks: a leader is heard from at least this often; far below election_ticks.
    append_bytes_max: data bytes in one append message, one entry at least.
    in_flight_messages_max, in_flight_bytes_max: what a leader sends to one peer ahead of its acks.
    uncommitted_bytes_max: data bytes a leader accepts ahead of commit; beyond it, it refuses.
    cached_bytes_max: data bytes of stored entries kept in memory.
    committed_bytes_max: data bytes handed out for execution at once, one entry at least.
    reads_max: reads that wait for a leader's confirmation; beyond it they are refused.
    pre_vote: ask whether one would be elected before standing (thesis §9.6).
    check_quorum: a leader that does not hear from a quorum for election_ticks steps down, and
    voters that hear from a leader refuse whoever else asks (thesis §4.2.3, §6.2). Without these
    two a node that is cut off disturbs the others, so they are for tests and comparisons.
    """

    election_ticks: Tick = Tick(10)
    heartbeat_ticks: Tick = Tick(1)
    append_bytes_max: int = 1024 * 1024
    in_flight_messages_max: int = 64
    in_flight_bytes_max: int = 8 * 1024 * 1024
    uncommitted_bytes_max: int = 32 * 1024 * 1024
    cached_bytes_max: int = 8 * 1024 * 1024
    committed_bytes_max: int = 8 * 1024 * 1024
    reads_max: int = 10_000
    pre_vote: bool = True
    check_quorum: bool = True

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, bool) and value < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.election_ticks < 2 * self.heartbeat_ticks:
            raise ValueError("election_ticks must be at least twice heartbeat_ticks")
