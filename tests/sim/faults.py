"""Faults that strike now and then; what strikes single messages and writes is in `sim.world`.

Each kind is a method. Faults last until something heals them: cuts and filters until the network
heals, a slow disk and a pause for a time, a crash until the restart. A store that was damaged or
went back never comes back under its key; so many may be lost that a majority is left.
"""

from collections.abc import Callable

from consensus import Role
from consensus import messages as m
from consensus.ready import TransferRefused
from ledger import store_keys
from ledger.types import NodeId
from node.messages import (
    BlocksWanted,
    CertificateNews,
    CertifiedBlocks,
    Cosignatures,
    Forward,
)
from node.replica import Replica
from sim.disk import Disk
from sim.options import LOSING
from sim.world import World

FILTERED = (
    m.Heartbeat,
    m.HeartbeatReply,
    m.Append,
    m.AppendReply,
    m.AppendRefused,
    m.VoteRequest,
    m.VoteReply,
    m.PreVoteReply,
    m.SnapshotOffer,
    BlocksWanted,
    CertifiedBlocks,
    Cosignatures,
    CertificateNews,
    Forward,
)


LATE_COPIES = 9
"""How often an overtaken leader hears an old answer again, three times in an election timeout."""


class Faults:
    """The dice of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._backups: dict[bytes, Disk] = {}
        strikes: list[tuple[str, Callable[[bytes], bool]]] = [
            (kind, getattr(self, "_" + kind.replace("-", "_"))) for kind in world.options.kinds
        ]
        self._kinds = [each for each in strikes if each[0] not in LOSING]
        self._losing = [each for each in strikes if each[0] in LOSING]

    def strike(self) -> None:
        """One fault, or the healing of the network."""
        world, tape = self._world, self._world.tape
        if not self._kinds and not self._losing:
            return
        if (world.wires.cuts or world.wires.filters) and not tape.below(1_000) >= int(
            1_000 * world.options.heal_share
        ):
            self.heal()
            world.count("heal")
            return
        losing = self._losing if tape.chance(world.options.losing_share) else ()
        kind, strike = tape.choice(losing or self._kinds or self._losing)
        place = tape.choice(world.nodes)
        if strike(place):
            world.count(kind)

    # The network.

    def heal(self) -> None:
        """Every link works again, and connections come up anew."""
        world = self._world
        world.wires.cuts.clear()
        world.wires.filters.clear()
        places = list(world.processes)
        for at, one in enumerate(places):
            for other in places[at + 1 :]:
                if one[:32] != other[:32]:
                    world.wires.connect(one, other)

    def _cut(self, is_cut: Callable[[bytes, bytes], bool]) -> bool:
        nodes = self._world.nodes
        self._world.wires.cuts = {
            (one, other) for one in nodes for other in nodes if one != other and is_cut(one, other)
        }
        return bool(self._world.wires.cuts)

    def _halves(self, _: bytes) -> bool:
        tape = self._world.tape
        side = {node for node in self._world.nodes if tape.below(2)}
        return self._cut(lambda one, other: (one in side) != (other in side))

    def _isolation(self, place: bytes) -> bool:
        return self._cut(lambda one, other: place in (one, other))

    def _one_way(self, place: bytes) -> bool:
        """One link loses everything in one direction."""
        other = self._world.tape.choice(self._world.nodes)
        if other == place:
            return False
        self._world.wires.cuts.add((place, other))
        return True

    def _deaf(self, place: bytes) -> bool:
        """A node sends and hears nothing (P10)."""
        return self._cut(lambda _, other: other == place)

    def _mute(self, place: bytes) -> bool:
        """A node hears and nobody hears it (P10)."""
        return self._cut(lambda one, _: one == place)

    def _stale_leader(self, place: bytes) -> bool:
        """A leader is cut off, and for a while hears late copies of what some had answered, so many
        that it does not know (P48 to P50)."""
        world = self._world
        leader = self._leader()
        if leader is None or not self._isolation(leader):
            return False
        others = [
            node for node in world.nodes if (node, leader, m.HeartbeatReply) in world.wires.answers
        ]
        for _ in range(len(others) - len(world.nodes) // 2):
            others.remove(world.tape.choice(others))
        for node in others:
            newest = world.wires.answers[(node, leader, m.HeartbeatReply)][-1]
            for turn in range(LATE_COPIES):
                delay_ms = (turn + 1) * world.options.timeout_ms // 3
                world.at(delay_ms, world.wires.arrive_late, node, leader, *newest)
        return True

    def _mute_leader(self, _: bytes) -> bool:
        """A leader still hears what is committed, and can tell nobody (P48)."""
        leader = self._leader()
        return leader is not None and self._mute(leader)

    def _leader_in_minority(self, _: bytes) -> bool:
        """A leader is left with too few; what these acknowledge comes once more when it leads again
        in another term (P17, P18)."""
        world = self._world
        leader = self._leader()
        if leader is None:
            return False
        others = [node for node in world.nodes if node != leader]
        side = {leader, *(world.tape.choice(others) for _ in range(max(0, len(others) // 2 - 1)))}
        if not self._cut(lambda one, other: (one in side) != (other in side)):
            return False
        world.at(world.options.timeout_ms // 2, self._remember, leader, sorted(side))
        return True

    def _remember(self, leader: bytes, side: list[bytes]) -> None:
        said = [
            (node, message, number)
            for node in side
            for message, number in self._world.wires.answers.get((node, leader, m.AppendReply), ())
        ]
        for turn in range(LATE_COPIES):
            self._world.at(
                turn * self._world.options.timeout_ms // 2, self._say_again, leader, said
            )

    def _say_again(self, leader: bytes, said: list[tuple[bytes, m.AppendReply, int]]) -> None:
        for node, message, number in said:
            process = self._world.processes.get(leader)
            raft = None if process is None else process.replica.raft
            if raft is not None and raft.role is Role.LEADER and message.term < raft.term:
                self._world.wires.arrive_late(node, leader, message, number)

    def _leader(self) -> bytes | None:
        """Who leads, the newest process if several think so."""
        for node, process in reversed(self._world.processes.items()):
            if process.replica.raft.role is Role.LEADER:
                return node
        return None

    def _partial(self, place: bytes) -> bool:
        """A node is left with one neighbour, while the others see each other (P9)."""
        only = self._world.tape.choice(self._world.nodes)
        return self._cut(lambda one, other: place in (one, other) and only not in (one, other))

    def _filter(self, place: bytes) -> bool:
        """One kind of message is lost, from one node to another or to all."""
        tape, nodes = self._world.tape, self._world.nodes
        kind = tape.choice(FILTERED)
        targets = nodes if tape.below(2) else (tape.choice(nodes),)
        for other in targets:
            if other != place:
                self._world.wires.filters[(place, other)] = kind
        return True

    def _reconnect(self, place: bytes) -> bool:
        other = self._world.tape.choice(self._world.nodes)
        if other == place:
            return False
        self._world.wires.connect(place, other)
        return True

    # Processes.

    def _crash(self, place: bytes) -> bool:
        if place not in self._world.processes:
            return False
        self._world.crash(place)
        self._world.restart_later(place)
        return True

    def _crash_between_effects(self, place: bytes) -> bool:
        """The next inputs are carried out in part (P2, P40, P45); counted when it happens."""
        process = self._world.processes.get(place)
        if process is not None and process.fuse is None:
            process.fuse = self._world.tape.below(12)
        return False

    def _restart_all(self, _: bytes) -> bool:
        """The power fails everywhere (P45); now and then, or nothing else would happen."""
        world = self._world
        if not world.tape.chance(0.2):
            return False
        for place in list(world.processes):
            world.crash(place)
            world.restart_later(place)
        return True

    def _pause(self, place: bytes) -> bool:
        """The process stands still, and then finds everything at once (P49, P50)."""
        world = self._world
        process = world.processes.get(place)
        if process is None or process.paused:
            return False
        process.paused = True
        length = world.tape.below(6 * world.options.timeout_ms) + 1
        world.at(length, world.resume, place, process.life)
        return True

    def _transfer(self, _: bytes) -> bool:
        """The leader is told to hand over, to anybody (P13, P14)."""
        world = self._world
        for place, process in world.processes.items():
            raft = process.replica.raft
            if raft.role is Role.LEADER and not process.paused and raft.transferee is None:
                target = world.tape.choice(world.nodes)
                return world.give(place, hand_over, process.replica, target) is None
        return False

    # Disks.

    def _fail_next(self, place: bytes, kind: str) -> bool:
        """The next write fails (P42); counted when it does."""
        disk = self._world.disks[place]
        if disk.failing or disk.damaged:
            return False
        disk.failing = kind
        return False

    def _fsync_failed(self, place: bytes) -> bool:
        return self._fail_next(place, "fsync-failed")

    def _fsync_failed_kept(self, place: bytes) -> bool:
        return self._fail_next(place, "fsync-failed-kept")

    def _disk_full(self, place: bytes) -> bool:
        return self._fail_next(place, "disk-full")

    def _slow_disk(self, place: bytes) -> bool:
        """Writes take longer than an election for a while (P47)."""
        world = self._world
        disk = world.disks[place]
        disk.delay_ms = world.tape.below(3 * world.options.timeout_ms)
        world.at(4 * world.options.timeout_ms, self._fast_again, place)
        return True

    def _fast_again(self, place: bytes) -> None:
        self._world.disks[place].delay_ms = 0

    # What a node does not survive under its key.

    def _may_lose(self, place: bytes) -> bool:
        world = self._world
        return not world.disks[place].damaged and world.electorate.can_spare(place)

    def _lose(self, place: bytes, why: str) -> None:
        world = self._world
        if place in world.processes:
            world.crash(place)
        world.disks[place].damaged = why
        world.restart_later(place)

    def _bit_rot(self, place: bytes) -> bool:
        """Values on a disk are damaged: reading one ends the node, nothing is repaired (P43)."""
        disk = self._world.disks[place]
        if not disk.tip_height or not self._may_lose(place):
            return False
        last = disk.last_entry
        if last > disk.tip_height:
            disk.rotten = {store_keys.entry_key(last)}
        else:
            disk.rotten = {store_keys.TIP_MARK, store_keys.entry_key(disk.tip_height)}
        self._lose(place, "bit-rot")
        return True

    def _misdirected_read(self, place: bytes) -> bool:
        """An entry is read back from another's place, whole and with a good checksum (P46)."""
        disk = self._world.disks[place]
        last = disk.last_entry
        if last < 2 or not self._may_lose(place):
            return False
        read, instead = last, last - 1 - self._world.tape.below(min(3, last - 1))
        disk.misdirected = {store_keys.entry_key(read): store_keys.entry_key(instead)}
        self._lose(place, "misdirected-read")
        return True

    def _store_went_back(self, place: bytes) -> bool:
        """A backup of the store is restored; keys and watermark are never part of one (A7).

        Where there is none, every store is backed up that had not been yet.
        """
        backup = self._backups.get(place)
        if backup is None:
            for node, disk in self._world.disks.items():
                self._backups.setdefault(node, disk.copy())
            return False
        return self._may_lose(place) and self._goes_back(place, backup, "store-went-back")

    def _lost_disk(self, place: bytes) -> bool:
        """The disk is new and empty."""
        return self._may_lose(place) and self._goes_back(place, Disk(), "lost-disk")

    def _goes_back(self, place: bytes, earlier: Disk, why: str) -> bool:
        """The power goes, and another store is there afterwards.

        Not one that the watermark, which may have lagged just then, does not tell from the newest.
        """
        world, disk = self._world, self._world.disks[place]
        if place in world.processes:
            world.crash(place)
        if earlier.batch_number < disk.watermark.batch_number:
            disk.damaged = why
            disk.go_back(earlier)
        world.restart_later(place)
        return bool(disk.damaged)

    # Clocks.

    def _clock_jump(self, place: bytes) -> bool:
        """A clock jumps, forward or back, or becomes right again."""
        world = self._world
        most = world.options.clock_jump_ms
        world.set_skew(place, world.tape.choice((0, 1, -1)) * world.tape.below(most + 1))
        return True


def hand_over(replica: Replica, target: bytes) -> TransferRefused | None:
    """A leader begins to hand over, as the replica does before it stops."""
    refused = replica.raft.transfer(NodeId(target))
    replica._turn()
    return refused
