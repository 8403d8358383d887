"""Records on their way into the ledger, on the node that submitted them and on the leader.

*Waiting* is what this node's clients want: each record stays until it is executed here, and is sent
again to the leader of the day while it is not, so a lost message or a fallen leader loses nothing.
Each time the wait before the next try doubles, so that a leader who cannot keep up is not asked
more because of it. While this node's records come out in the order in which they were sent, none
was lost, however long they take: then only one that a later one has overtaken is sent again.
A record that was sent twice is accepted once: the contracts know its key and nonce.

*Queued* is what a leader has yet to propose, in order of arrival. It goes when leadership goes; the
nodes that submitted those records still have them.

Both are limited in records and in bytes; beyond it a submission is refused, never dropped.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.records import Record

RESEND_GROWTH_MAX = 8
"""How many times `resend_ticks` the wait between two tries of sending grows to, at most."""

LOOK_TICKS = 4
"""Ticks between two looks at what has waited for its time but was not sent again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be under way at once.

    records_max: records. bytes_max: their bytes. resend_ticks: ticks before the first try
    of sending again.
    """

    records_max: int
    bytes_max: int
    resend_ticks: int


@dataclass(slots=True)
class _Waiting:
    raw: bytes
    valid_until_ms: int
    sent_at_tick: int
    patience_ticks: int


class Waiting:
    """This node's own submissions that are not executed yet, by record id.

    Invariants: nothing is overdue before `_look_tick`, and no record's validity ends before
    `_look_ms`. Of what has settled, the newest was sent at tick `_came_out`.
    """

    __slots__ = (
        "_bytes",
        "_came_out",
        "_limits",
        "_look_ms",
        "_look_tick",
        "_moved",
        "_moved_tick",
        "_records",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records: dict[bytes, _Waiting] = {}
        self._bytes = 0
        self._look_tick = self._look_ms = 0
        self._came_out = self._moved_tick = -1
        self._moved = False

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, record_id: bytes) -> bool:
        return record_id in self._records

    def add(self, record: Record, raw: bytes, *, tick: int) -> bool:
        """Keep a record until it settles; False if the limits are reached. Twice is once."""
        if record.record_id in self._records:
            return True
        if (
            len(self._records) >= self._limits.records_max
            or self._bytes + len(raw) > self._limits.bytes_max
        ):
            return False
        until_ms, patience = record.header.valid_until_ms, self._limits.resend_ticks
        self._records[record.record_id] = _Waiting(raw, until_ms, tick, patience)
        self._look_tick = min(self._look_tick, tick + patience)
        self._look_ms = min(self._look_ms, until_ms)
        self._bytes += len(raw)
        return True

    def settle(self, record_id: bytes) -> bool:
        """The record is executed or given up; whether it was waiting."""
        waiting = self._records.pop(record_id, None)
        if waiting is None:
            return False
        self._bytes -= len(waiting.raw)
        self._moved = True
        self._came_out = max(self._came_out, waiting.sent_at_tick)
        return True

    def overdue(self, *, tick: int) -> list[bytes]:
        """Records, as bytes, to send again now: after `resend_ticks`, then after twice as many
        each time, up to RESEND_GROWTH_MAX times as many.

        To be asked once a tick. The time runs from the last try, and anew whenever a record of this
        node came out that was not sent later.
        """
        if self._moved:
            self._moved, self._moved_tick = False, tick
        due: list[bytes] = []
        if tick < self._look_tick:
            return due
        longest = self._limits.resend_ticks * RESEND_GROWTH_MAX
        look = tick + longest
        for waiting in self._records.values():
            patience, since = waiting.patience_ticks, waiting.sent_at_tick
            if since >= self._came_out:
                since = max(since, self._moved_tick)
            if tick - since >= patience:
                waiting.sent_at_tick = tick
                waiting.patience_ticks = min(2 * patience, longest)
                due.append(waiting.raw)
            then = waiting.sent_at_tick + waiting.patience_ticks
            look = min(look, then if then > tick else tick + LOOK_TICKS)
        self._look_tick = look
        return due

    def resend_all(self, *, tick: int) -> list[bytes]:
        """Every record, as bytes: there is a new leader, who has not been asked yet."""
        for waiting in self._records.values():
            waiting.sent_at_tick = tick
            waiting.patience_ticks = self._limits.resend_ticks
        self._look_tick = min(self._look_tick, tick + self._limits.resend_ticks)
        return [waiting.raw for waiting in self._records.values()]

    def expired(self, *, time_ms: int) -> list[bytes]:
        """Ids of records that no block at or after `time_ms` can accept any more."""
        if time_ms < self._look_ms or not self._records:
            return []
        found = [
            record_id
            for record_id, waiting in self._records.items()
            if waiting.valid_until_ms <= time_ms
        ]
        left = (each.valid_until_ms for each in self._records.values())
        self._look_ms = min((until_ms for until_ms in left if until_ms > time_ms), default=0)
        return found


class Queue:
    """A leader's records to propose, each once, in order of arrival.

    Invariant: a record id is in `_queued` or in `_proposed`, never in both.
    """

    __slots__ = ("_bytes", "_limits", "_proposed", "_queued")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queued: dict[bytes, bytes] = {}
        self._proposed: set[bytes] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._queued)

    def add(self, record_id: bytes, raw: bytes) -> bool:
        """Queue a record; False if the limits are reached. One under way already counts as queued.

        The room is for records, so whoever comes again with the same one takes none.
        """
        if record_id in self._queued or record_id in self._proposed:
            return True
        if (
            len(self._queued) + len(self._proposed) >= self._limits.records_max
            or self._bytes + len(raw) > self._limits.bytes_max
        ):
            return False
        self._queued[record_id] = raw
        self._bytes += len(raw)
        return True

    def take(self, *, records_max: int, bytes_max: int) -> list[tuple[bytes, bytes]]:
        """The next records to propose, as (id, bytes): at least one if any is queued."""
        taken: list[tuple[bytes, bytes]] = []
        size = 0
        for record_id, raw in self._queued.items():
            if taken and (len(taken) >= records_max or size + len(raw) > bytes_max):
                break
            taken.append((record_id, raw))
            size += len(raw)
        for record_id, _ in taken:
            del self._queued[record_id]
            self._proposed.add(record_id)
        self._bytes -= size
        return taken

    def give_back(self, taken: Iterable[tuple[bytes, bytes]]) -> None:
        """The records could not be proposed now: they are the next again."""
        returned = dict(taken)
        for record_id, raw in returned.items():
            self._proposed.discard(record_id)
            self._bytes += len(raw)
        self._queued = {**returned, **self._queued}

    def executed(self, record_ids: Iterable[bytes]) -> None:
        """The records are in an executed block, or refused there: they may come again."""
        self._proposed.difference_update(record_ids)

    def clear(self) -> None:
        """This node leads no more."""
        self._queued.clear()
        self._proposed.clear()
        self._bytes = 0


def chunks(
    records: list[bytes], *, records_max: int, bytes_max: int
) -> Iterator[tuple[bytes, ...]]:
    """`records` in order, in messages of at most `records_max` records and about `bytes_max` bytes.

    A record that is larger than `bytes_max` travels alone.
    """
    part: list[bytes] = []
    size = 0
    for record in records:
        if part and (len(part) >= records_max or size + len(record) > bytes_max):
            yield tuple(part)
            part, size = [], 0
        part.append(record)
        size += len(record)
    if part:
        yield tuple(part)
