"""The tables of a ledger that grows, kept by a node for its auditors, up to date on demand.

A node has executed its own blocks, so nothing is executed again here: rows are made from leaves,
and what stands now from the state, of one snapshot of the store. Each exchange's halves get no
rows, except denials: the questions rest on lines of receipts. Work for one question is bounded; a
ledger that goes on for longer is read in several.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock

from audit.forks import Readable
from audit.questions import Answer, Database
from audit.reading import with_attached
from audit.tables import Tables, TableWriter
from contracts.machine import Tip, parse_tip
from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.records import Record, RecordLeaf, record_of_leaf
from ledger.types import LeafIndex

INDEXED_MAX = 20_000
"""Leaves that are read for one question."""

SLICE_LEAVES = 2_000
"""Leaves whose rows are in memory at a time."""

LIMITS = {"memory_limit": "512MB", "threads": "1"}
"""Of the database; beyond it a question is refused."""

WAIT_S = 10.0
"""How long a question waits for another one."""

_OF_STATE = ("grants", "datasets", "departments")


class Behind(Exception):
    """The index has not caught up yet, or another question is being answered: ask again."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """The tables as of a snapshot of the store. tip: where it ends."""

    snapshot: Readable
    tip: Tip
    database: Database


class Index:
    """One node's tables. Safe from any thread; one question at a time.

    next: the first leaf that was not read yet. pending: records read whose block's end was not.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        """Starts from nothing, also after a failure that left rows behind."""
        self._tables = Tables(b"")
        self._writer = TableWriter(self._tables, exchanges=False)
        self._opened: Database | None = None
        self._next = 0
        self._pending: list[tuple[int, Record]] = []

    def ask(
        self,
        opened: AbstractContextManager[Readable],
        sql: str,
        parameters: dict[str, str | int],
    ) -> tuple[Answer, Tip]:
        """An answer as of a snapshot's tip. Raises Behind or Unanswerable.

        opened: the snapshot, taken when it is this question's turn.
        """
        with self.as_of(opened) as indexed:
            return ask(indexed, sql, parameters), indexed.tip

    @contextmanager
    def as_of(self, opened: AbstractContextManager[Readable]) -> Iterator[Indexed]:
        """The tables as of a snapshot's tip, for one question. Raises Behind or Unanswerable."""
        if not self._lock.acquire(timeout=WAIT_S):
            raise Behind("another question is being answered")
        try:
            with opened as snapshot:
                yield self._caught_up(snapshot)
        finally:
            self._lock.release()

    def _caught_up(self, snapshot: Readable) -> Indexed:
        stored = snapshot.get(store_keys.TIP_MARK)
        if stored is None:
            raise Behind("there is no block yet")
        tip = parse_tip(stored)
        if self._opened is None:
            self._opened = Database(limits=LIMITS)
        try:
            self._read(self._opened, snapshot, tip)
        except Behind:
            raise
        except BaseException:
            self._opened.close()
            self._begin()
            raise
        return Indexed(snapshot, tip, self._opened)

    def _read(self, database: Database, snapshot: Readable, tip: Tip) -> None:
        """Takes what the ledger has more than the tables, and what stands now."""
        stop = min(tip.tree_size, self._next + INDEXED_MAX)
        while self._next < stop:
            self._slice(database, snapshot, min(stop, self._next + SLICE_LEAVES))
        if self._next < tip.tree_size:
            raise Behind(f"{self._next} of {tip.tree_size} leaves have been read for the tables")
        if self._tables.height == tip.height:
            return
        for table in _OF_STATE:
            database.empty(table)
        start = store_keys.state_key(b"")
        values = snapshot.scan(start, bytes([start[0] + 1]))
        self._writer.state((key[len(start) :], value) for key, value in values)
        self._keep(database)
        database.set_time(tip.time_ms)
        self._tables.height = tip.height

    def _slice(self, database: Database, snapshot: Readable, stop: int) -> None:
        start = store_keys.leaf_key(LeafIndex(self._next))
        leaves = snapshot.scan(start, store_keys.leaf_key(LeafIndex(stop)))
        for index, (_, data) in enumerate(leaves, start=self._next):
            leaf = parse_any_leaf(data)
            if not isinstance(leaf, BlockHeader):
                self._pending.append((index, _record(snapshot, index, leaf, data)))
                continue
            for place, record in self._pending:
                self._writer.record(leaf, place, record)
            self._pending.clear()
        self._keep(database)
        self._next = stop

    def _keep(self, database: Database) -> None:
        """Moves the rows that were made into the database."""
        self._tables.release(database.add)


def ask(indexed: Indexed, sql: str, parameters: dict[str, str | int]) -> Answer:
    """A question's answer. Raises Unanswerable."""
    indexed.database.check_named(parameters)
    return indexed.database.ask(sql, parameters)


def _record(snapshot: Readable, index: int, leaf: RecordLeaf, data: bytes) -> Record:
    """A record, with what is attached to it if that gets rows."""
    record = record_of_leaf(leaf, data)
    if record.header.kind != "exchange.denials":
        return record
    attached = snapshot.get(store_keys.attached_key(LeafIndex(index)))
    return record if attached is None else with_attached(record, attached)
