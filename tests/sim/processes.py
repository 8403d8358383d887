"""A running replica: how it is opened on its disk, with which numbers, and what the world keeps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consensus import Settings
from consensus.messages import PROTOCOL_VERSION, PROTOCOL_VERSIONS
from consensus.types import Tick
from node import ports
from node.intake import IntakeLimits
from node.replica import Replica
from node.settings import ReplicaSettings
from node.standing import Standing
from node.submissions import Limits
from sim.disk import Disk
from sim.keys import NodeKeys
from sim.options import Options

if TYPE_CHECKING:
    from sim.world import World


@dataclass(slots=True)
class Process:
    """A running replica; its life number tells late completions of an earlier life apart.

    fuse: effects that are still carried out before it crashes, None if it does not.
    writing: the batch that the disk is at, and since when. ticks: its ticks so far; heard: at which
    of them it last heard of a peer; voters, voters_since: those in force while it leads, and the
    tick at which they came into force.
    peers: whom it connects to, as it last said. version: of the protocol, the newest it speaks.
    paused: it gets no turn for now, and all that comes waits. turn_due: inputs wait for their turn.
    """

    replica: Replica
    life: int
    version: int = PROTOCOL_VERSION
    fuse: int | None = None
    writing: ports.Batch | None = None
    writing_since_ms: int = 0
    ticks: int = 0
    heard: dict[bytes, int] = field(default_factory=dict)
    voters: tuple[tuple[bytes, ...], ...] = ()
    voters_since: int = 0
    peers: frozenset[bytes] = frozenset()
    paused: bool = False
    turn_due: bool = False
    inbox: list[tuple[Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)


def open_process(world: "World", place: bytes, disk: Disk) -> Process:
    """Opens what the disk holds, as `node.runtime` does. Raises NodeError, LogBroken."""
    node = place[:32]

    class _Clock:
        def now_ms(self) -> int:
            return world.clock_ms(place)

    def seen(what: str, text: bytes) -> None:
        world.watch.signed(place, what, text)

    is_old = node in world.older
    replica = Replica(
        genesis=world.consortium.genesis_file,
        node_id=node,
        store=disk,
        last_batch_number=disk.batch_number,
        clock=_Clock(),
        signer=NodeKeys(
            world.department_of[node],
            number=world.number_of.get(node, 0),
            real=world.options.real_keys,
            seen=None if node in world.liars else seen,
        ),
        check=world.check,
        random_ticks=world.tape.fair,
        settings=world.older_settings if is_old else world.settings,
        key_spent=world.key_spent(place, disk),
    )
    return Process(
        replica,
        world.lives[place],
        version=PROTOCOL_VERSIONS[0] if is_old else PROTOCOL_VERSION,
        peers=frozenset(replica.members),
    )


def is_retired(process: Process) -> bool:
    """Whether the consortium has retired this node, and it knows."""
    return process.replica.standing is Standing.RETIRED


def settings_of(options: Options) -> ReplicaSettings:
    """The replica's numbers: its defaults, or small ones so that limits are met."""
    patience = {
        "election_ticks": Tick(options.election_ticks),
        "heartbeat_ticks": Tick(options.heartbeat_ticks),
    }
    if not options.small:
        return ReplicaSettings(
            consensus=Settings(**patience), log_entries_kept=options.log_entries_kept
        )
    return ReplicaSettings(
        consensus=Settings(
            **patience,
            append_bytes_max=1_000,
            in_flight_messages_max=2,
            in_flight_bytes_max=3_000,
            uncommitted_bytes_max=4_000,
            cached_bytes_max=2_000,
            committed_bytes_max=2_000,
            reads_max=4,
        ),
        block_records_max=2,
        proposals_in_flight_max=8,
        log_entries_kept=min(5, options.log_entries_kept),
        intake=IntakeLimits(
            waiting=Limits(records_max=8, bytes_max=64 * 1024, resend_ticks=20),
            queue=Limits(records_max=8, bytes_max=64 * 1024, resend_ticks=20),
            verified_records_max=8,
        ),
    )
