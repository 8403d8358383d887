"""A cluster of production replicas on virtual time, driven by one tape of choices.

Everything outside `node.replica` is here: clocks, lives of processes, what they write, clients;
`sim.wires` carries messages. A *place* is where a process runs; its first 32 bytes are the node id,
so that a lying node may run twice (`sim.liars`). Faults strike from `sim.faults` and `sim.council`;
what must hold is checked by `sim.watch` after every input.

A *step* is a message that arrives, a fault that strikes, or an operation of a client.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from builders import START_MS, Consortium, node_description

from consensus import Role
from consensus.errors import LogBroken
from ledger import store_keys
from ledger.errors import LedgerError
from ledger.records import parse_record
from ledger.signatures import verify
from ledger.types import Height
from node import ports
from node.errors import NodeError, StoreBehind
from node.settings import ReplicaSettings
from node.standing import Standing
from node.store.watermark import check_not_behind
from sim.bounds import check_bounds, check_intake
from sim.disk import Disk
from sim.electorate import Electorate, is_gone
from sim.history import History
from sim.keyring import Keyring
from sim.keys import consortium, fast_check, fast_sign
from sim.options import TICK_MS, Options
from sim.processes import Process, open_process, settings_of
from sim.tape import Tape
from sim.watch import Watch
from sim.wires import Wires

if TYPE_CHECKING:
    from sim.liars import Liars

CLOCK_MS = START_MS + 10_000
"""What a right clock shows when a run begins."""

FETCH_TICKS = 16
"""How often a node looks whether it has to ask strangers for blocks (`node.fetching.PAUSE_S`)."""

BOUNDS_TICKS = 4
"""How often all queues of a node are held against their limits."""

LEAP_MS = 1_000
"""A leap of a clock that may be one to a leader; its own limit is higher (`node.leading`)."""


class World:
    """The cluster and its clock.

    counts: what happened, by kind. steps: as the module says; safety_steps: those before the world
    was calm. nodes: every node that was ever started. older: those of an older version. leapt:
    whether any clock ever leapt so far that a leader may step down for it.
    """

    def __init__(
        self,
        tape: Tape | int,
        options: Options,
        *,
        liars: int = 0,
        settings: ReplicaSettings | None = None,
        founded: Consortium | None = None,
    ) -> None:
        """founded: the consortium, if not the one that all runs of this size share."""
        self.tape = tape = Tape(seed=tape) if isinstance(tape, int) else tape
        self.options = options
        self.consortium = founded or consortium(options.nodes, options.voters)
        self.voters = self.consortium.genesis_file.genesis.voters
        self.settings = settings or settings_of(options)
        self.older_settings = replace(
            self.settings, consensus=replace(self.settings.consensus, pre_vote=False)
        )
        self.now_ms = 0
        self.steps = 0
        self.safety_steps = 0
        self.counts: Counter[str] = Counter()
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self.nodes = tuple(sorted(self.consortium.node_ids))
        self.department_of = dict(
            zip(self.consortium.node_ids, self.consortium.departments, strict=True)
        )
        self.number_of: dict[bytes, int] = {}
        self.disks = {node: Disk() for node in self.nodes}
        half = options.clock_skew_ms // 2
        self.skew = {node: half - tape.below(2 * half + 1) for node in self.nodes}
        self.skew_max = dict(self.skew)
        self.tick_ms = {node: TICK_MS - tape.below(options.drift_ms + 1) for node in self.nodes}
        self.processes: dict[bytes, Process] = {}
        self.lives = dict.fromkeys(self.nodes, 0)
        self.dead: dict[bytes, str] = {}
        self.spent: dict[bytes, Standing] = {}
        self.disks_go_back = False
        self.calm = self.settled = self.leapt = False
        self.wires = Wires(self)
        self.electorate = Electorate(self, self.voters)
        self.keyring = Keyring(
            founders=options.nodes,
            voters=options.voters,
            below=tape.below,
            real=options.real_keys,
        )
        self.older: set[bytes] = set()
        self.history = History(judging=not liars)
        self.certified: dict[bytes, int] = dict.fromkeys(self.nodes, 0)
        self.alarms: list[tuple[bytes, ports.Alarm]] = []
        self.barriers: list[tuple[int, int | None]] = []
        self.liars = frozenset(self.nodes[:liars])
        self.lying: Liars | None = None
        self.check: ports.SignatureChecker = verify if options.real_keys else fast_check
        self.watch = Watch(
            self.disks,
            liars=self.liars,
            clock_bound=self._clock_bound,
            ledger_id=self.consortium.ledger_id,
            limits=self.settings.consensus,
        )
        for kind, is_so in options.kinds_of_its_own.items():
            self.counts[kind] += is_so
        if options.mixed and options.nodes > 1:
            self.count("mixed-version", step=False)
            self.older.update(self.nodes[1::2])
        for node in self.nodes:
            self.start(node)

    def start_twins(self, lying: "Liars") -> None:
        """Every liar runs twice."""
        self.lying = lying
        for node in sorted(self.liars):
            for place in lying.places_of(node)[1:]:
                self.disks[place] = Disk()
                self.start(place)

    # Time.

    def at(self, delay_ms: int, action: Callable[..., None], *given: Any) -> None:
        """Has something happen later."""
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, action, given))

    def run(self, until_ms: int, *, stop: Callable[[], bool] | None = None) -> bool:
        """Lets events happen up to a moment; whether `stop` came true before."""
        queue, begin = self._queue, self.tape.begin
        while queue and queue[0][0] <= until_ms:
            when, _, action, given = heapq.heappop(queue)
            if when > self.now_ms:
                self.now_ms = when
            begin()
            action(*given)
            if stop is not None and stop():
                return True
        self.now_ms = max(self.now_ms, until_ms)
        return False

    def count(self, kind: str, *, step: bool = True) -> None:
        """Something of a kind happened."""
        self.counts[kind] += 1
        if step:
            self.steps += 1

    def clock_ms(self, node: bytes) -> int:
        """What a node's clock shows."""
        return CLOCK_MS + self.now_ms + self.skew[node[:32]]

    def set_skew(self, node: bytes, skew_ms: int) -> None:
        """A node's clock jumps."""
        self.leapt = self.leapt or abs(skew_ms - self.skew[node]) >= LEAP_MS
        self.skew[node] = skew_ms
        self.skew_max[node] = max(skew_ms, self.skew_max[node])

    def _clock_bound(self) -> int:
        """The latest time of a block: a majority's clocks, each at its most, and the tolerance."""
        ahead_ms: list[int] = []
        for voters in self.electorate.past:
            clocks = sorted(self.skew_max.get(node, 0) for node in voters)
            ahead_ms.append(clocks[(len(clocks) - 1) // 2])
        return CLOCK_MS + self.now_ms + max(ahead_ms) + 2_000

    # Processes.

    def start(self, place: bytes) -> None:
        """A process begins with what its disk holds; a store that must not be used ends it."""
        assert place not in self.processes
        self.lives[place] = self.lives.get(place, 0) + 1
        disk = self.disks[place]
        disk.recover()
        try:
            process = open_process(self, place, disk)
            replica = process.replica
            if self.disks_go_back:
                self.watch.admitted(place)
            if place[:32] not in self.liars:
                self.watch.started(place, replica)
            if replica.standing.is_final and disk.damaged:
                raise StoreBehind("the key is spent")
        except (NodeError, LogBroken, LedgerError) as error:
            self._ends(place, error)
            return
        self.processes[place] = process
        if place[:32] not in self.electorate.members:
            self.count("stranger-started", step=False)
        held = 0 if replica.certificate is None else replica.certificate.height
        self.certified[place] = min(self.certified.get(place, 0), held)  # the rest it hears again
        self.at(self.tape.below(TICK_MS), self._tick, place, process.life)
        for other in list(self.processes):
            if other[:32] != place[:32]:
                self.wires.connect(place, other)

    def key_spent(self, place: bytes, disk: Disk) -> Standing | None:
        """Why the key must not be used any more, as `node.runtime` finds out at start."""
        if place in self.spent:
            return self.spent[place]
        signed = disk.values.get(store_keys.SIGNED_MARK)
        try:
            check_not_behind(
                disk.watermark,
                batch_number=disk.batch_number,
                term=disk.hard_state.term,
                signed_height=0 if signed is None else store_keys.read_number(signed),
            )
        except StoreBehind:
            self.spent[place] = Standing.BEHIND
        return self.spent.get(place)

    def crash(self, place: bytes) -> None:
        """The process and its machine end now; what was being written may be there or not."""
        process = self.processes.pop(place)
        self.electorate.ended(place, process.replica)
        if len(process.replica.chain.tip.voters.sets()) > 1:
            self.count("crash-while-joint", step=False)
        self.history.reader_died(process.readers)
        disk, batch = self.disks[place], process.writing
        if batch is not None:
            fate = self.tape.choice(("lost", "landed", "torn"))
            if fate == "torn" and not self.tape.chance(self.options.torn):
                fate = "lost"
            self.count(f"write-{fate}", step=False)
            if fate == "landed":
                disk.failing = ""
                self._land_batch(place, batch)
            elif fate == "torn":
                disk.tear(batch)
        if self.tape.chance(self.options.watermark_lag):
            self.count("watermark-lag", step=False)
            disk.lose_watermark()

    def restart_later(self, place: bytes) -> None:
        """The process comes back in a while."""
        self.at(self.tape.below(self.options.restart_ms) + 1, self.restart, place)

    def restart(self, place: bytes) -> None:
        """The process comes back, unless it is there or never will."""
        if place in self.processes or place in self.dead:
            return
        if self.options.mixed and not self.calm and self.tape.chance(0.2):
            self.older ^= {place[:32]}
            self.count("other-version", step=False)
        self.start(place)

    def _ends(self, place: bytes, error: Exception) -> None:
        """The node cannot go on; that is only right if something was done to its disk."""
        disk = self.disks[place]
        self.processes.pop(place, None)
        if not disk.damaged and place[:32] not in self.liars:
            raise AssertionError(f"a node ended without a cause: {error!r}") from error
        self.dead[place] = disk.damaged
        self.count(f"ended-{disk.damaged}", step=False)

    def join(self, department: str, number: int) -> bytes:
        """A new node of a founder's department starts, without a word of it on the ledger; its id.

        number: of the department's nodes, from 1.
        """
        node = node_description(department, number).node_id
        self.nodes = tuple(sorted((*self.nodes, node)))
        self.disks[node] = Disk()
        self.department_of[node] = department
        self.number_of[node] = number
        self.tick_ms[node] = TICK_MS - self.tape.below(self.options.drift_ms + 1)
        half = self.options.clock_skew_ms // 2
        self.skew[node] = self.skew_max[node] = half - self.tape.below(2 * half + 1)
        self.certified[node] = 0
        self.watch.admitted(node)
        self.start(node)
        return node

    def may_live(self, node: bytes) -> bool:
        """Whether a node can still take part under its key."""
        return not self.disks[node].damaged and node not in self.dead and node not in self.spent

    def alive(self, place: bytes, life: int) -> Process | None:
        """The process, if it is still the same one."""
        process = self.processes.get(place)
        return process if process is not None and process.life == life else None

    def give(self, place: bytes, entrance: Callable[..., Any], *given: Any) -> Any:
        """One input for a replica, and all that follows from it, perhaps after further ones."""
        process = self.processes[place]
        if self.options.turn_ms >= 0 and not process.turn_due:
            process.turn_due = True
            process.replica.hold()
            self.at(self.tape.between(0, self.options.turn_ms), self._turn, place, process.life)
        try:
            answer = entrance(*given)
            if process.turn_due:
                self._check(place, process)
            else:
                self.carry_out(place)
        except (NodeError, LogBroken, LedgerError) as error:
            self._ends(place, error)
            return None
        return answer

    def _turn(self, place: bytes, life: int) -> None:
        """The inputs since `hold` are followed by one turn, as in an iteration of a loop."""
        process = self.alive(place, life)
        if process is None:
            return
        if process.paused:
            process.inbox.append((self._turn, (place, life)))
            return
        process.turn_due = False
        self.counts["shared-turn"] += 1
        try:
            process.replica.release()
            self.carry_out(place)
        except (NodeError, LogBroken, LedgerError) as error:
            self._ends(place, error)

    def _tick(self, place: bytes, life: int) -> None:
        process = self.alive(place, life)
        if process is None:
            return
        self.at(self.tick_ms.get(place[:32], TICK_MS), self._tick, place, life)
        if process.paused:
            return
        process.ticks += 1
        if disk_stalls(self, process):
            self.give(place, process.replica.abdicate)
        if self.alive(place, life) is not None:
            self.give(place, process.replica.tick)
        if self.alive(place, life) is not None and place[:32] not in self.liars:
            self._may_lead(process)
            if process.ticks % FETCH_TICKS == 0:
                self.wires.fetch(place, process)
            check_intake(process.replica._intake)
            if process.ticks % BOUNDS_TICKS == 0:
                check_bounds(process.replica, self.settings)

    def _may_lead(self, process: Process) -> None:
        """Who leads has a disk that works and hears a quorum, by its own ticks (P10, P47)."""
        raft = process.replica.raft
        if raft.role is not Role.LEADER or process.replica.standing.is_final:
            return
        waited_ms = self.now_ms - process.writing_since_ms if process.writing else 0
        assert waited_ms <= 3 * self.options.timeout_ms, "it leads while its disk stalls"
        sets = tuple(filter(None, (raft.configuration.voters, raft.configuration.incoming)))
        if sets != process.voters:
            process.voters, process.voters_since = sets, process.ticks
        since = process.ticks - 2 * self.options.election_ticks
        if since < process.voters_since:
            return
        for voters in sets:
            heard = sum(
                peer == raft.node_id or process.heard.get(peer, 0) >= since for peer in voters
            )
            assert 2 * heard > len(voters), "it leads and hears no quorum"

    # Effects.

    def carry_out(self, place: bytes) -> None:
        """Carries out what a replica wants, after checking what it did."""
        process = self.processes[place]
        self._check(place, process)
        for effect in process.replica.effects():
            if process.fuse is not None:
                process.fuse -= 1
                if process.fuse < 0:
                    self.count("crash-between-effects")
                    self.crash(place)
                    self.restart_later(place)
                    return
            if type(effect) is ports.Send:
                self.wires.send(place, process, effect.peer, effect.message)
            else:
                self._do(place, process, effect)

    def _check(self, place: bytes, process: Process) -> None:
        """What a replica did holds, and is told to whoever follows the ledger."""
        replica = process.replica
        if place[:32] not in self.liars:
            self.watch.stepped(place, replica)
            if replica.chain.tip.height > self.electorate.height:
                self.electorate.executed(place, replica)
                self.keyring.executed(replica)

    def _do(self, place: bytes, process: Process, effect: Any) -> None:
        match effect:
            case ports.Persist():
                assert process.writing is None, "one batch is in flight at a time"
                process.writing, process.writing_since_ms = effect.batch, self.now_ms
                delay = self.tape.between(*self.options.disk_ms) + self.disks[place].delay_ms
                self.at(delay, self._land, place, process.life)
            case ports.Verify():
                results = [self.check(j.public_key, j.message, j.signature) for j in effect.jobs]
                delay = self.tape.between(*self.options.verify_ms)
                self.at(delay, self._verified, place, process.life, effect.token, results)
            case ports.Executed() if place[:32] not in self.liars:
                assert effect.last <= self.disks[place].tip_height, "executed, and not durable"
            case ports.Settled() if place[:32] not in self.liars:
                if isinstance(effect.outcome, ports.Accepted):
                    known = self.disks[place].values.get(store_keys.record_key(effect.record_id))
                    assert known is not None, "a client hears of what is not durable"
                self.history.append_ends(effect.record_id, effect.outcome)
            case ports.Certified() if place[:32] not in self.liars:
                assert effect.height >= self.certified[place], "a certified height went back"
                self.certified[place] = effect.height
                self.watch.certified(process.replica)
            case ports.BarrierReady() if place[:32] not in self.liars:
                self.barriers.append((effect.token, effect.height))
                assert (effect.height or 0) <= self.disks[place].tip_height, "read, not durable"
                if effect.token in process.readers:
                    process.readers.remove(effect.token)
                    self.history.read_ends(effect.token, effect.height)
                    if effect.height is None and self.options.eager and not self.calm:
                        self.at(2 * TICK_MS, self._read_again, place, effect.token)
            case ports.Alarm() if place[:32] not in self.liars:
                self.alarms.append((place, effect))
            case ports.MembersChanged():
                self.wires.members_changed(place, process)
            case ports.KeySpent() if place[:32] not in self.liars:
                self._key_is_spent(place, process, Standing(effect.standing))

    def _key_is_spent(self, place: bytes, process: Process, standing: Standing) -> None:
        """A node ends its own service; only a node that left is retired, and only certified."""
        self.spent[place] = standing
        if standing is Standing.RETIRED:
            tip = process.replica.chain.tip
            assert is_gone(process.replica, place), "it was not retired, and it stops"
            assert not _among(place, tip.voters.sets()), "a voter stops"
            chain, known = process.replica.chain, process.replica._cosigning.certified_height
            left = tip.height
            while left and not _among(place, chain.voters_at(Height(left - 1)).sets()):
                left -= 1
            assert known >= left, "it stops, and the block that leaves it out is not certified"
            self.count("node-retired", step=False)

    def _land(self, place: bytes, life: int) -> None:
        """The disk is done with a batch; a crash may still come before the replica hears of it."""
        process = self.alive(place, life)
        if process is None:
            return
        batch, process.writing = process.writing, None
        assert batch is not None
        try:
            self._land_batch(place, batch)
        except NodeError as error:
            self._write_failed(place, process, batch, error)
            return
        if self.tape.chance(self.options.crash_at_write):
            self.count("crash-at-write")
            self.crash(place)
            self.restart_later(place)
        elif process.paused:
            process.inbox.append((self.give, (place, process.replica.persisted, batch.number)))
        else:
            self.give(place, process.replica.persisted, batch.number)

    def _land_batch(self, place: bytes, batch: ports.Batch) -> None:
        disk = self.disks[place]
        if place[:32] in self.liars:
            disk.write(batch)
            return
        before, height_before = disk.hard_state, disk.tip_height
        failing = disk.failing
        try:
            disk.write(batch)
        finally:
            if disk.batch_number == batch.number:
                self.watch.written(place, batch, before=before, height_before=height_before)
            if failing:
                self.count(failing, step=False)

    def _write_failed(
        self, place: bytes, process: Process, batch: ports.Batch, error: NodeError
    ) -> None:
        """A failed write ends the node, whatever is on the disk (P42); a later start reads that."""
        assert self.processes[place] is process and batch.number and error.remedy
        self.crash(place)
        self.restart_later(place)

    def _verified(self, place: bytes, life: int, token: int, results: list[bool]) -> None:
        process = self.alive(place, life)
        if process is None:
            return
        if process.paused:
            process.inbox.append((self.give, (place, process.replica.verified, token, results)))
        else:
            self.give(place, process.replica.verified, token, results)

    def resume(self, place: bytes, life: int) -> None:
        """A paused process gets all that waited for it, at once."""
        process = self.alive(place, life)
        if process is None or not process.paused:
            return
        process.paused = False
        inbox, process.inbox = process.inbox, []
        for entrance, given in inbox:
            if self.alive(place, life) is None:
                return
            entrance(*given)

    # Clients.

    def submit(
        self, node: bytes, raw: bytes, record_id: bytes | None = None
    ) -> bytes | ports.Rejected | None:
        """A client brings a record to a node, which takes it (its id) or not; None: nobody hears.

        record_id: if the client has worked it out.
        """
        process = self.processes.get(node)
        if process is None or process.paused:
            return None
        self.count("append")
        record_id = record_id or parse_record(raw).record_id
        self.history.append_begins(record_id)
        taken = self.give(node, process.replica.submit, raw)
        check_intake(process.replica._intake)
        if isinstance(taken, ports.Rejected) and taken.code == "busy":
            self.count("busy", step=False)
        if isinstance(taken, ports.Rejected) and taken.code != "key-spent":
            self.history.append_ends(record_id, taken)
        return taken

    @property
    def acknowledged(self) -> dict[bytes, ports.Accepted]:
        """Where each acknowledged record is."""
        return self.history.acknowledged

    def read(self, node: bytes, token: int) -> None:
        """A client wants to read what is committed by now."""
        if node in self.processes:
            self.count("read")
            self._read_again(node, token)

    def _read_again(self, node: bytes, token: int) -> None:
        process = self.processes.get(node)
        if process is None:
            return
        self.history.read_begins(token)
        process.readers.append(token)
        if process.paused:
            process.inbox.append((self.give, (node, process.replica.read_barrier, token)))
        else:
            self.give(node, process.replica.read_barrier, token)


def _among(place: bytes, sets: tuple[tuple[bytes, ...], ...]) -> bool:
    return any(place in voters for voters in sets)


def disk_stalls(world: World, process: Process) -> bool:
    """Whether a write takes longer than an election, as `node.runtime` has it (P47)."""
    patience_ms = world.options.election_ticks * TICK_MS
    return process.writing is not None and world.now_ms - process.writing_since_ms > patience_ms


__all__ = ["Disk", "Options", "Process", "World", "disk_stalls", "fast_sign", "settings_of"]
