"""Receipts and acknowledgements of exchanges that took place elsewhere: the sidecar's way in.

A department that keeps its existing exchange sends what happened there as a stream of entries, each
with its commitments ready-made. Entries become items, items batches, batches records, one after the
other: the stream is read no faster than its records are certified.

Idempotent and resumable: what is on the ledger is in a journal by exchange id, and a batch is in it
before it is submitted. After a crash or a lost connection the client sends its stream again, from
the beginning or from anywhere; what is known is counted and not written twice, and one exchange
with two contents is refused. A refused batch is tried again in parts, so one bad entry holds up
nobody else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from contracts.exchanges import (
    LINES_MAX,
    Acknowledgement,
    Acknowledgements,
    Line,
    Receipt,
    ReceiptLine,
    Receipts,
    parse_item,
)
from contracts.grants import Grant, grant
from contracts.state import receipts_list
from ledger import store_keys
from ledger.attachments import items_root, parse_items
from ledger.codec import Format, encode
from ledger.errors import Malformed
from ledger.records import parse_record
from ledger.types import LeafIndex
from node import ports
from node.authoring import Author, Draft
from node.runtime import Node, Unknown
from node.store.leveldb import open_database

CODES: dict[str, str] = {
    "malformed-entry": "An entry of a bulk stream is not one.",
    "other-content": "A bulk stream names an exchange that is on the ledger with another content.",
    "no-receipt": "A bulk acknowledgement of an exchange that its provider has not receipted.",
}
"""Why an entry is refused before it comes to a contract."""

BATCH_ITEMS = 2_000
"""Items in one record of a stream."""

REFUSED_SHOWN_MAX = 1_000
"""Refused entries that an answer names; the others are counted."""

TIMEOUT_S = 30.0
"""How long one batch may take to be certified."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One exchange of a stream. place: its number in the stream, from 1. data: the item's bytes."""

    place: int
    grant_id: bytes
    item: Receipt | Acknowledgement
    data: bytes

    @classmethod
    def of(cls, place: int, grant_id: bytes, item: Receipt | Acknowledgement) -> "Entry":
        """With the item's bytes."""
        return cls(place, grant_id, item, encode(item))


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that is not on the ledger, and why."""

    place: int
    code: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """What became of a stream. known: entries that were on the ledger before."""

    received: int = 0
    accepted: int = 0
    known: int = 0
    refused: int = 0
    shown: list[Refused] = field(default_factory=list)

    def refuse(self, place: int, code: str, detail: str) -> None:
        """Counts a refused entry and, up to a limit, names it."""
        self.refused += 1
        if len(self.shown) < REFUSED_SHOWN_MAX:
            self.shown.append(Refused(place, code, detail))


class Interrupted(Exception):
    """A batch's outcome was not known in time; the stream may be sent again."""


class Journal:
    """What this node has put on the ledger in bulk; a LevelDB of its own, each write synced.

    Keys: `d` side, exchange id: digest of the item, by side "r" or "a". `p` side: the record that
    was being submitted. `x` exchange id: the record of its receipt, as far as a grant was indexed.
    `g` grant id: how many of its receipt lines are indexed. All of it is on the ledger as well.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates it. Raises StoreInUse, StoreCorrupt, Unavailable."""
        self._db = open_database(path, mode=0o700)

    def digest(self, side: str, exchange_id: bytes) -> bytes | None:
        """The digest of the item that is on the ledger; None if none is."""
        value: bytes | None = self._db.get(b"d" + side.encode() + exchange_id)
        return value

    def pending(self, side: str) -> bytes | None:
        """The record whose outcome was not known when the last stream ended."""
        value: bytes | None = self._db.get(b"p" + side.encode())
        return value

    def begin(self, side: str, raw: bytes) -> None:
        """A record is about to be submitted."""
        self._db.put(b"p" + side.encode(), raw, sync=True)

    def end(self, side: str, items: Sequence[bytes]) -> None:
        """The record's outcome is known; items: those that are on the ledger, none if refused."""
        with self._db.write_batch(sync=True) as writes:
            writes.delete(b"p" + side.encode())
            prefix = b"d" + side.encode()
            for data in items:
                writes.put(prefix + _exchange_of(data), sha256(data).digest())

    def receipt_record(self, exchange_id: bytes) -> bytes | None:
        """The record of an exchange's receipt, if its grant is indexed so far."""
        value: bytes | None = self._db.get(b"x" + exchange_id)
        return value

    def indexed(self, grant_id: bytes) -> int:
        """How many receipt lines of a grant are indexed."""
        value: bytes | None = self._db.get(b"g" + grant_id)
        return 0 if value is None else int.from_bytes(value, "big")

    def index(self, grant_id: bytes, lines: int, found: dict[bytes, bytes]) -> None:
        """Receipts found in a grant's lines up to number `lines`."""
        with self._db.write_batch(sync=True) as writes:
            writes.put(b"g" + grant_id, lines.to_bytes(8, "big"))
            for exchange_id, record_id in found.items():
                writes.put(b"x" + exchange_id, record_id)

    def close(self) -> None:
        """Closes it."""
        self._db.close()


class _Batch:
    """Entries for one record, by exchange id."""

    __slots__ = ("entries", "grants")

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.grants: set[bytes] = set()

    @property
    def is_full(self) -> bool:
        """Whether one more entry may be too much."""
        return len(self.entries) >= BATCH_ITEMS or len(self.grants) >= LINES_MAX

    def add(self, entry: Entry) -> None:
        """An exchange that is not in it yet."""
        self.entries[entry.item.exchange_id] = entry
        self.grants.add(entry.grant_id)


class Bulk:
    """Takes streams of one side, one at a time.

    `_flying`: entries of the batch on its way, by exchange id; the journal has them only later.
    """

    def __init__(self, *, node: Node, author: Author, journal: Journal, side: str) -> None:
        """side: "r" for receipts (the provider's), "a" for acknowledgements (the consumer's)."""
        assert side in ("r", "a")
        self._node = node
        self._author = author
        self._journal = journal
        self._side = side
        self._kind = "exchange.receipts" if side == "r" else "exchange.acknowledgements"
        self._lock = asyncio.Lock()
        self._flying: dict[bytes, Entry] = {}

    @property
    def busy(self) -> bool:
        """Whether a stream is under way."""
        return self._lock.locked()

    async def take(self, entries: AsyncIterator[list[Entry | Refused]], *, actor: str) -> Outcome:
        """Puts the entries of a stream on the ledger. Raises Interrupted.

        While one batch is on its way, the next one gathers.
        """
        outcome = Outcome()
        async with self._lock:
            await self._recover()
            batch = _Batch()
            flying: asyncio.Task[None] | None = None
            try:
                async for part in entries:
                    outcome.received += len(part)
                    for entry in part:
                        if isinstance(entry, Refused):
                            outcome.refuse(entry.place, entry.code, entry.detail)
                            continue
                        if entry.item.exchange_id in self._flying:
                            await _landed(flying)
                        self._sort_in(entry, batch, outcome)
                        if batch.is_full:
                            await _landed(flying)
                            self._flying = batch.entries
                            flying = asyncio.create_task(self._put(batch, outcome, actor))
                            batch = _Batch()
                await _landed(flying)
                await self._put(batch, outcome, actor)
            finally:
                await asyncio.gather(*([] if flying is None else [flying]), return_exceptions=True)
                self._flying = {}
        return outcome

    def _sort_in(self, entry: Entry, batch: "_Batch", outcome: Outcome) -> None:
        """Into the batch, unless the exchange is known; with another content it is refused."""
        exchange_id = entry.item.exchange_id
        waiting = batch.entries.get(exchange_id)
        if waiting is None:
            digest = self._journal.digest(self._side, exchange_id)
            if digest is None:
                batch.add(entry)
                return
            same = digest == sha256(entry.data).digest()
        else:
            same = waiting.data == entry.data
        if same:
            outcome.known += 1
        else:
            outcome.refuse(entry.place, "other-content", "the exchange is known with another one")

    async def _put(self, batch: "_Batch", outcome: Outcome, actor: str) -> None:
        """One batch; `take` waits for it before the next one."""
        await self._put_parts(list(batch.entries.values()), outcome, actor)
        self._flying = {}

    async def _put_parts(self, entries: list[Entry], outcome: Outcome, actor: str) -> None:
        """One batch, in parts if it is refused whole."""
        if not entries:
            return
        entries.sort(key=lambda each: each.grant_id)
        body = self._body(entries)
        if isinstance(body, Refused):
            rejected = ports.Rejected(body.code, body.detail)
        else:
            items = tuple(each.data for each in entries)
            record = self._author.build(Draft(self._kind, body, actor, items=items))
            answer = await self._submit(record.to_bytes(), items)
            if isinstance(answer, ports.Accepted):
                outcome.accepted += len(entries)
                return
            rejected = answer
        if len(entries) == 1:
            outcome.refuse(entries[0].place, rejected.code, rejected.detail)
            return
        for part in _parts(entries):
            await self._put_parts(part, outcome, actor)

    async def _submit(self, raw: bytes, items: Sequence[bytes]) -> ports.Accepted | ports.Rejected:
        """Submits a record that the journal knows of. Raises Interrupted."""
        await asyncio.to_thread(self._journal.begin, self._side, raw)
        answer = await self._node.submit(raw, wait="certified", timeout_s=TIMEOUT_S)
        if isinstance(answer, Unknown) or (
            isinstance(answer, ports.Rejected) and answer.code == "busy"
        ):
            raise Interrupted("a batch was not certified in time; send the stream again")
        done = items if isinstance(answer, ports.Accepted) else ()
        await asyncio.to_thread(self._journal.end, self._side, done)
        return answer

    def _on_ledger(self, record_id: bytes) -> bool:
        return self._node.store.get(store_keys.record_key(record_id)) is not None

    async def _recover(self) -> None:
        """What was being submitted when the last stream ended is submitted again, as it was."""
        raw = self._journal.pending(self._side)
        if raw is not None:
            record = parse_record(raw)
            assert record.attached is not None
            items = parse_items(record.attached)
            if self._on_ledger(record.record_id):
                await asyncio.to_thread(self._journal.end, self._side, items)
            else:
                await self._submit(raw, items)

    def _body(self, entries: Sequence[Entry]) -> Format | Refused:
        """The record's body: one line a grant, under the version in force."""
        view = self._node.view()
        parts: dict[bytes, list[Entry]] = {}
        for entry in entries:
            parts.setdefault(entry.grant_id, []).append(entry)
        lines: list[ReceiptLine] = []
        acknowledged: list[Line] = []
        for grant_id, part in parts.items():
            known = grant(view, grant_id)
            if known is None:
                return Refused(part[0].place, "unknown-grant", grant_id.hex())
            root = items_root([each.data for each in part])
            acknowledged.append(Line(grant_id, len(part), root))
            lines.append(_line(known, [each.item for each in part], root))
        if self._side == "r":
            return Receipts(tuple(lines))
        return Acknowledgements(tuple(acknowledged))

    def receipt_record(self, grant_id: bytes, exchange_id: bytes) -> bytes | None:
        """The record of an exchange's receipt under a grant; None if there is none yet. Blocking.

        Reads each line of the grant's list once, ever.
        """
        found = self._journal.receipt_record(exchange_id)
        if found is not None:
            return found
        digest = sha256(receipts_list(grant_id)).digest()
        number = self._journal.indexed(grant_id)
        store = self._node.store
        while True:
            line = store.get(store_keys.list_item_key(digest, number=number))
            if line is None:
                return self._journal.receipt_record(exchange_id)
            place = store.get(store_keys.record_key(line[:32]))
            assert place is not None, "a receipt of a list is on the ledger"
            index = LeafIndex(store_keys.read_number(place[:8]))
            attached = store.get(store_keys.attached_key(index))
            items = [] if attached is None else parse_items(attached)
            number += 1
            exchange_ids = _exchanges_of(items)
            self._journal.index(grant_id, number, dict.fromkeys(exchange_ids, line[:32]))


async def _landed(flying: "asyncio.Task[None] | None") -> None:
    if flying is not None:
        await flying


def _exchange_of(data: bytes) -> bytes:
    item = parse_item(data)
    return item.exchange_id


def _exchanges_of(items: Sequence[bytes]) -> list[bytes]:
    """Whose receipts another member attached; bytes that are no item are left out, for no contract
    reads what is attached."""
    found = []
    for data in items:
        with contextlib.suppress(Malformed):
            found.append(_exchange_of(data))
    return found


def _line(known: Grant, items: Sequence[Receipt | Acknowledgement], root: bytes) -> ReceiptLine:
    receipts = [item for item in items if isinstance(item, Receipt)]
    return ReceiptLine(
        known.grant_id,
        known.version,
        known.request.purpose,
        known.request.legal_basis,
        len(items),
        sum(item.rows for item in receipts),
        sum(item.size_bytes for item in receipts),
        root,
    )


def _parts(entries: list[Entry]) -> list[list[Entry]]:
    """A refused batch in parts: by grant, or in halves if it is of one grant."""
    grants = sorted({entry.grant_id for entry in entries})
    if len(grants) > 1:
        return [[each for each in entries if each.grant_id == grant_id] for grant_id in grants]
    middle = len(entries) // 2
    return [entries[:middle], entries[middle:]]
