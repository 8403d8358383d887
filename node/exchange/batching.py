"""Many items, one signed record: receipts, acknowledgements, denials and voids share batches.

Items gather while earlier batches are on their way, so the busier the node, the larger its batches;
an idle node sends an item at once, or after the batcher's pause. If a batch is refused, its parts
are tried alone: first each grant's, so that one revoked grant holds up nobody else, then halves, so
that as many go through as a limit still allows.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts.exchanges import LINES_MAX, Line, ReceiptLine
from ledger.attachments import items_root
from ledger.codec import Format
from ledger.records import Record
from node import ports
from node.authoring import Author, Draft
from node.runtime import Unknown, Wait

ITEMS_MAX = 2_000
"""Items in one batch."""

BATCHES_MAX = 2
"""Batches of one batcher on their way at once."""

log = structlog.get_logger("concordat.exchange")


class Submitter(Protocol):
    """Brings records to the ledger."""

    async def submit(
        self, raw: bytes, *, wait: Wait, timeout_s: float
    ) -> ports.Accepted | ports.Rejected | Unknown:
        """What becomes of a record, as far as it is known in time."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An item is certified on the ledger, in this record."""

    record: Record
    place: ports.Accepted


Outcome = Placed | ports.Rejected | Unknown


@dataclass(frozen=True, slots=True)
class Right:
    """Under what a receipt is written: version, purpose and legal basis of its grant, and whether
    the content is sealed."""

    version: int
    purpose: str
    legal_basis: str
    sealed: bool = False


@dataclass(slots=True)
class _Item:
    grant_id: bytes
    data: bytes
    rows: int
    size_bytes: int
    right: Right | None
    leaving: Callable[[], ports.Rejected | None] | None
    done: asyncio.Future[Outcome]


class Batcher:
    """Items of one kind on their way to the ledger.

    make_body: the record's body from its lines. pause_s: how long items gather before an idle
    batcher sends. items_waiting_max: beyond it items are refused as busy.
    """

    def __init__(
        self,
        *,
        kind: str,
        make_body: Callable[[tuple[ReceiptLine | Line, ...]], Format],
        author: Author,
        submitter: Submitter,
        actor: str,
        pause_s: float = 0.0,
        timeout_s: float = 30.0,
        items_waiting_max: int = 20_000,
    ) -> None:
        self._kind = kind
        self._make_body = make_body
        self._author = author
        self._submitter = submitter
        self._actor = actor
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._items_waiting_max = items_waiting_max
        self._waiting: list[_Item] = []
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop_task = asyncio.create_task(self._run())

    async def add(
        self,
        grant_id: bytes,
        data: bytes,
        *,
        rows: int = 0,
        size_bytes: int = 0,
        right: Right | None = None,
        leaving: Callable[[], ports.Rejected | None] | None = None,
        urgent: bool = False,
    ) -> Outcome:
        """Puts an item on the ledger; once certified, where it is. right: a receipt's.

        leaving: asked in the turn in which the item's batch is submitted, why it may not be.
        urgent: the batcher's pause ends now.
        """
        if len(self._waiting) >= self._items_waiting_max:
            return ports.Rejected("busy", "too many exchanges are under way", retry_after_ms=1_000)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Item(grant_id, data, rows, size_bytes, right, leaving, done))
        self._wake.set()
        if urgent:
            self._urgent.set()
        return await done

    async def stop(self) -> None:
        """Sends what waits, and ends."""
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        while self._waiting:
            await self._send(self._take())
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._pause_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s):
                        await self._urgent.wait()
                self._urgent.clear()
            while len(self._tasks) >= BATCHES_MAX:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            self._wake.clear()
            items = self._take()
            if self._waiting:
                self._wake.set()
            if items:
                task = asyncio.create_task(self._send(items))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Item]:
        """The next batch: at most ITEMS_MAX items of at most LINES_MAX grants, in order; the items
        of one grant all under one right."""
        rights: dict[bytes, Right | None] = {}
        taken: list[_Item] = []
        left: list[_Item] = []
        for item in self._waiting:
            if item.grant_id in rights:
                fits = rights[item.grant_id] == item.right
            else:
                fits = len(rights) < LINES_MAX
            if fits and len(taken) < ITEMS_MAX:
                rights[item.grant_id] = item.right
                taken.append(item)
            else:
                left.append(item)
        self._waiting = left
        return taken

    async def _send(self, items: Sequence[_Item]) -> None:
        try:
            items = self._that_may_leave(items)
            if not items:
                return
            ordered = sorted(items, key=lambda item: item.grant_id)
            record = self._author.build(
                Draft(
                    kind=self._kind,
                    body=self._make_body(_lines(ordered, self._kind)),
                    actor=self._actor,
                    items=tuple(item.data for item in ordered),
                )
            )
            outcome = await self._submitter.submit(
                record.to_bytes(), wait="certified", timeout_s=self._timeout_s
            )
            if isinstance(outcome, ports.Rejected) and len(items) > 1:
                for part in _parts(items):
                    await self._send(part)
                return
            if isinstance(outcome, ports.Accepted):
                self._finish(items, Placed(record, outcome))
            else:
                self._finish(items, outcome)
        except Exception as error:
            log.error("a batch failed", kind=self._kind, error=repr(error))
            self._finish(items, ports.Rejected("internal-error", type(error).__name__))
            raise

    def _that_may_leave(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The items without those that must not be submitted any more."""
        left = []
        for item in items:
            stopped = None if item.leaving is None else item.leaving()
            if stopped is None:
                left.append(item)
            else:
                self._finish([item], stopped)
        return left

    @staticmethod
    def _finish(items: Sequence[_Item], outcome: Outcome) -> None:
        for item in items:
            if not item.done.done():
                item.done.set_result(outcome)


def _parts(items: Sequence[_Item]) -> list[Sequence[_Item]]:
    """A refused batch in parts: by grant, or in halves if it is of one grant."""
    grants = sorted({item.grant_id for item in items})
    if len(grants) > 1:
        return [[item for item in items if item.grant_id == each] for each in grants]
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


def _lines(items: Sequence[_Item], kind: str) -> tuple[ReceiptLine | Line, ...]:
    """One line a grant, in order; items are sorted by grant."""
    parts: dict[bytes, list[_Item]] = {}
    for item in items:
        parts.setdefault(item.grant_id, []).append(item)
    lines: list[ReceiptLine | Line] = []
    for grant_id, part in parts.items():
        root = items_root([item.data for item in part])
        if kind == "exchange.receipts":
            rows = sum(item.rows for item in part)
            size = sum(item.size_bytes for item in part)
            right = part[0].right
            assert right is not None, "a receipt is written under a right"
            lines.append(
                ReceiptLine(
                    grant_id,
                    right.version,
                    right.purpose,
                    right.legal_basis,
                    len(part),
                    rows,
                    size,
                    root,
                    right.sealed,
                )
            )
        else:
            lines.append(Line(grant_id, len(part), root))
    return tuple(lines)
