"""A record's way from a client of some node into the leader's next block.

    submit ── signature checked ──> waiting ── forward ──> queue of the leader ──> entry
                                       ^ resent while it is not executed, to the leader of the day

A record is queued, and held against later copies, only after its signature was checked, so nobody
can push a record out with a spoilt copy of it. What is known under way is known by whole bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from consensus import Raft, Role
from contracts.machine import Candidate, candidate
from ledger.records import RECORD_BYTES_MAX, Record
from ledger.types import NodeId
from node import ports
from node.chain import Appended, Chain
from node.messages import FORWARD_RECORDS_MAX, Forward, ForwardRefused, PeerMessage
from node.submissions import Limits, Queue, Waiting, chunks
from node.verification import Verification

CHECKED_AT_ONCE = 250
"""Records in one question for checks, at most: execution goes on with those that are answered."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """waiting: this node's submissions. queue: a leader's. verified_records_max: checks kept."""

    waiting: Limits = Limits(records_max=20_000, bytes_max=64 * 1024 * 1024, resend_ticks=20)
    queue: Limits = Limits(records_max=40_000, bytes_max=128 * 1024 * 1024, resend_ticks=20)
    verified_records_max: int = 100_000


class Intake:
    """Records under way at one node.

    verify(raws, jobs): ask for signatures to be checked; `checked` brings the answers. What is
    asked and forwarded gathers until `flush`.
    settle(record id, outcome): say so to the client, once everything before is durable.
    """

    def __init__(
        self,
        *,
        node_id: NodeId,
        raft: Raft,
        chain: Chain,
        limits: IntakeLimits,
        verify: Callable[[tuple[bytes, ...], tuple[ports.SignatureJob, ...]], None],
        send: Callable[[NodeId, PeerMessage], None],
        settle: Callable[[bytes, ports.Accepted | ports.Rejected], None],
    ) -> None:
        self._node_id = node_id
        self._raft = raft
        self._chain = chain
        self._limits = limits
        self._verify = verify
        self._send = send
        self._settle = settle
        self._verification = Verification(records_max=limits.verified_records_max)
        self._waiting = Waiting(limits.waiting)
        self._queue = Queue(limits.queue)
        self._submitted: dict[bytes, Record] = {}
        self._forwarded: set[bytes] = set()
        self._to_check: list[tuple[bytes, ports.SignatureJob]] = []
        self._to_forward: list[bytes] = []
        self._tick = 0

    @property
    def idle(self) -> bool:
        """Whether no record of this node's clients is under way."""
        return not len(self._waiting) and not self._submitted

    @property
    def queued(self) -> int:
        """Records that this leader has yet to propose."""
        return len(self._queue)

    def tick(self) -> None:
        """Sends again what has waited too long; gives up what no block can take any more."""
        self._tick += 1
        if self._raft.leader is not None:
            overdue = self._waiting.overdue(tick=self._tick)
            if overdue:
                self._forward(overdue)
        for record_id in self._waiting.expired(time_ms=self._chain.tip.time_ms):
            self._settle_waiting(
                record_id, ports.Rejected("expired", "no block took it in its window")
            )
        self._verification.trim()

    def submit(self, raw: bytes, known: Candidate) -> bytes | ports.Rejected:
        """Takes a record for a client of this node; its id, or why it is not taken.

        known: `raw` as a candidate.
        """
        record = known.record
        if record is None:
            return ports.Rejected("malformed-record", known.fault)
        if record.record_id in self._waiting or raw in self._submitted:
            return record.record_id
        if len(self._waiting) + len(self._submitted) >= self._limits.waiting.records_max:
            return _BUSY
        self._submitted[raw] = record
        self._ask(self._verification.adopt(raw, known))
        if self._verification.checked(raw) is not None:
            self.checked(raw)
        return record.record_id

    def receive(self, sender: NodeId, raws: Sequence[bytes]) -> None:
        """Another node's records, for this leader to propose."""
        if self._raft.role is not Role.LEADER:
            return
        room = self._limits.queue.records_max - len(self._queue) - len(self._forwarded)
        taken, left = raws[: max(room, 0)], raws[max(room, 0) :]
        self._queue_when_checked(taken)
        if left:
            parsed = (candidate(raw).record for raw in left)
            ids = tuple(record.record_id for record in parsed if record is not None)
            self._send(sender, ForwardRefused(ids, retry_after_ms=1_000))

    def prepare(self, raws: Iterable[bytes]) -> None:
        """Has the signatures of these records checked, unless that has happened."""
        self._ask(self._verification.prepare(raws))

    def adopt(self, raws: Sequence[bytes], parsed: Sequence[Candidate]) -> None:
        """The same for records that have been parsed elsewhere."""
        for raw, known in zip(raws, parsed, strict=True):
            self._ask(self._verification.adopt(raw, known))

    def _ask(self, jobs: Sequence[tuple[bytes, ports.SignatureJob]]) -> None:
        self._to_check += jobs

    def flush(self) -> None:
        """Ends a turn: asks and sends together what came up in it."""
        if not self._to_check and not self._to_forward:
            return
        jobs, self._to_check = self._to_check, []
        for at in range(0, len(jobs), CHECKED_AT_ONCE):
            asked = jobs[at : at + CHECKED_AT_ONCE]
            self._verify(tuple(raw for raw, _ in asked), tuple(job for _, job in asked))
        raws, self._to_forward = self._to_forward, []
        leader = self._raft.leader
        if raws and leader is not None and self._raft.role is not Role.LEADER:
            once = list(dict.fromkeys(raws))
            for part in chunks(once, records_max=FORWARD_RECORDS_MAX, bytes_max=RECORD_BYTES_MAX):
                self._send(leader, Forward(part))

    def verified(self, raw: bytes, *, valid: bool) -> None:
        """A signature was checked."""
        self._verification.result(raw, valid=valid)
        self.checked(raw)

    def candidates(self, raws: Sequence[bytes]) -> list[Candidate] | None:
        """The checked candidates of an entry's records; None while a check is missing."""
        found = self._verification.all_checked(raws)
        if found is None:
            self.prepare(raws)
        return found

    def checked(self, raw: bytes) -> None:
        """Whoever waited for this record's check goes on."""
        if raw in self._forwarded:
            self._forwarded.discard(raw)
            self._enqueue(raw)
        record = self._submitted.get(raw)
        if record is None:
            return
        found = self._verification.checked(raw)
        place = self._chain.place_of(record.record_id)
        if place is None and found is None:
            self.prepare([raw])
            return
        del self._submitted[raw]
        if place is not None:
            self._settle(record.record_id, ports.Accepted(*place))
        elif found is not None and not found.signature_valid:
            detail = "the signature is not the key's over this header"
            self._settle(record.record_id, ports.Rejected("bad-signature", detail))
        elif self._waiting.add(record, raw, tick=self._tick):
            self._forward([raw])
        else:
            self._settle(record.record_id, _BUSY)

    def leader_changed(self) -> None:
        """Another node leads, or the connection to the leader is new: it gets all that waits."""
        if self._raft.role is not Role.LEADER:
            self._queue.clear()
            self._forwarded.clear()
        if self._raft.leader is not None:
            self._forward(self._waiting.resend_all(tick=self._tick))

    def take(self, *, records_max: int, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """The next records to propose."""
        return self._queue.take(records_max=records_max, bytes_max=bytes_max)

    def give_back(self, taken: list[tuple[bytes, bytes]]) -> None:
        """They could not be proposed."""
        self._queue.give_back(taken)

    def executed(
        self, appended: Appended, raws: Sequence[bytes], candidates: Sequence[Candidate]
    ) -> None:
        """A block was executed: its records are under way no more, and clients hear of theirs."""
        self._verification.forget(raws)
        block = appended.block
        self._queue.executed(each.record.record_id for each in candidates if each.record)
        index = block.first_leaf_index
        for record in block.accepted:
            self._settle_waiting(record.record_id, ports.Accepted(block.height, index))
            index = type(index)(index + 1)
        for refused in block.refused:
            if refused.record_id is None or refused.record_id not in self._waiting:
                continue
            place = self._chain.place_of(refused.record_id)
            refusal = refused.refusal
            self._settle_waiting(
                refused.record_id,
                ports.Rejected(refusal.code, refusal.detail)
                if place is None
                else ports.Accepted(*place),
            )

    def _settle_waiting(self, record_id: bytes, outcome: ports.Accepted | ports.Rejected) -> None:
        if self._waiting.settle(record_id):
            self._settle(record_id, outcome)

    def _forward(self, raws: Sequence[bytes]) -> None:
        """Brings this node's records to the leader, itself or another."""
        if self._raft.role is Role.LEADER:
            self._queue_when_checked(raws)
        else:
            self._to_forward += raws

    def _queue_when_checked(self, raws: Sequence[bytes]) -> None:
        for raw in raws:
            if self._verification.checked(raw) is None:
                self._forwarded.add(raw)
            else:
                self._enqueue(raw)
        self.prepare(raws)
        for raw in raws:
            if raw in self._forwarded and self._verification.checked(raw) is not None:
                self.checked(raw)

    def _enqueue(self, raw: bytes) -> None:
        """Queues a checked record, if this node leads and the record is not in the ledger yet."""
        found = self._verification.checked(raw)
        if self._raft.role is not Role.LEADER or found is None or not found.signature_valid:
            return
        assert found.record is not None
        if self._chain.place_of(found.record.record_id) is None:
            self._queue.add(found.record.record_id, raw)


_BUSY = ports.Rejected("busy", "too many records are under way", retry_after_ms=1_000)
