"""The replica's numbers, all in one place; `node.config` says how an operator sets them."""

from dataclasses import dataclass, field

from consensus import Settings
from ledger.entries import ENTRY_BYTES_MAX
from node.clocks import CLOCK_TOLERANCE_MS
from node.intake import IntakeLimits


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """The replica's numbers.

    consensus: of `consensus.Settings`. block_records_max, block_bytes_max: of one proposed entry.
    proposals_in_flight_max: uncommitted entries a leader has before it lets records gather.
    intake: limits of records under way. gathered_bytes_max: writes that may gather for the next
    batch before execution pauses. log_entries_kept: certified entries that stay in the Raft log
    for peers that are a little behind; who is further behind gets blocks. clock_tolerance_ms: of
    `node.clocks`.
    """

    consensus: Settings = field(default_factory=Settings)
    block_records_max: int = 500
    block_bytes_max: int = ENTRY_BYTES_MAX // 2
    proposals_in_flight_max: int = 2
    intake: IntakeLimits = field(default_factory=IntakeLimits)
    gathered_bytes_max: int = 8 * 1024 * 1024
    log_entries_kept: int = 1_000
    clock_tolerance_ms: int = CLOCK_TOLERANCE_MS
