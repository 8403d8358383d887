"""A node's log: what is stored, what is being written, and what is only in memory yet.

    0 … compacted │ … stable │ … flying │ … last
                  └ stored ──┘ └ in memory ──────┘     commit ≤ last, applied ≤ commit

Marks and their invariants: compacted ≤ applied ≤ commit ≤ last; stable ≤ last. An index above
`stable` may still be replaced by a leader of a higher term, one at or below `commit` never (P20).
Terms never fall along the log. Recently stored entries stay in memory too, up to a limit, so that a
leader need not read them back.

The beginning goes in two ways (Raft §7): `compact` forgets what is executed and durable, and
`restart` replaces the whole log by the place of a state that came from elsewhere. Either is durable
with the next write.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol

from consensus.errors import LogBroken
from consensus.types import Entry, EntryPoint, HardState, Logged, RaftIndex, Term


class LogStorage(Protocol):
    """The durable log, as of the newest batch that has landed."""

    def hard_state(self) -> HardState:
        """The durable term, vote and commit index; all zero in a new store."""

    def compacted(self) -> EntryPoint:
        """The entry just before the first that is stored; index 0, term 0 in a whole log.

        Afterwards, the newest `Unwritten.log_start` that was written.
        """

    def last_index(self) -> int:
        """The last stored entry's index; that of `compacted()` if there is none."""

    def entry(self, index: int) -> Logged | None:
        """The stored entry at `index`, None if it is not there."""


class Log:
    """The log over its storage."""

    __slots__ = (
        "_cache_bytes",
        "_cached_bytes_max",
        "_compacted",
        "_flying_last",
        "_memory",
        "_start_moved",
        "_storage",
        "_taken_last",
        "commit",
        "last",
        "stable",
    )

    def __init__(self, storage: LogStorage, *, commit: int, cached_bytes_max: int) -> None:
        self._storage = storage
        self._compacted = storage.compacted()
        self._memory: dict[int, Logged] = {}
        self._cache_bytes = 0
        self._cached_bytes_max = cached_bytes_max
        self.last = RaftIndex(storage.last_index())
        self.stable = self.last
        self.commit = RaftIndex(commit)
        self._taken_last = self.last
        self._flying_last: RaftIndex | None = None
        self._start_moved = False
        if not self._compacted.index <= commit <= self.last:
            raise LogBroken(f"commit index {commit} is outside the stored log")

    @property
    def last_term(self) -> Term:
        """The last entry's term (Raft §5.4.1)."""
        term = self.term_at(self.last)
        assert term is not None, "the last entry is always known"
        return term

    @property
    def compacted(self) -> EntryPoint:
        """The place just before the log's first entry; nothing at or below it can be read."""
        return self._compacted

    @property
    def has_unwritten(self) -> bool:
        """Whether entries, or another beginning, wait for a batch."""
        return self._taken_last < self.last or self._start_moved

    def get(self, index: int) -> Logged:
        """The entry at compacted < index ≤ last."""
        logged = self._memory.get(index)
        if logged is None:
            logged = self._storage.entry(index)
            if logged is None or logged.entry.index != index:
                raise LogBroken(f"entry {index} is not in the store")
        return logged

    def point(self, index: int) -> EntryPoint | None:
        """The place `index` names in this log; None if the log does not reach it either way."""
        if index == self._compacted.index:
            return self._compacted
        if not self._compacted.index < index <= self.last:
            return None
        return self._point(index)

    def term_at(self, index: int) -> Term | None:
        """The term of the entry at `index`; None where the log does not reach."""
        if self._compacted.index < index <= self.last:
            return Term(self.get(index).entry.term)
        return Term(self._compacted.term) if index == self._compacted.index else None

    def hash_at(self, index: int) -> bytes:
        """The hash of the entry at `index`, which must be known."""
        if self._compacted.index < index <= self.last:
            return self.get(index).hash
        assert index == self._compacted.index, f"index {index} is outside the log"
        return self._compacted.hash

    def is_up_to_date(self, *, last_index: int, last_term: int) -> bool:
        """Whether a candidate's log is at least as good as this one (Raft §5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def append(self, entries: Iterable[Logged]) -> None:
        """Adds entries right after `last`."""
        for logged in entries:
            index = logged.entry.index
            assert index == self.last + 1, "entries are appended without gaps"
            self._memory[index] = logged
            self._cache_bytes += len(logged.entry.data)
            self.last = RaftIndex(index)

    def truncate(self, first: int) -> None:
        """Forgets the entries from `first` on: a leader of a higher term has others (Raft §5.3).

        What is being written is overtaken: its completion must not mark them durable (P21).
        """
        assert self.commit < first <= self.last, "a committed entry is never removed"
        for index in range(first, self.last + 1):
            self._forget(index)
        kept = RaftIndex(first - 1)
        self.last = kept
        self.stable = min(self.stable, kept)
        self._taken_last = min(self._taken_last, kept)
        if self._flying_last is not None:
            self._flying_last = min(self._flying_last, kept)

    def take_unwritten(self) -> tuple[EntryPoint | None, tuple[Logged, ...]]:
        """The beginning if it moved, and entries, for a batch; in flight until `written()`."""
        assert self._flying_last is None, "one batch is in flight at a time"
        start = self._compacted if self._start_moved else None
        entries = tuple(self.get(at) for at in range(self._taken_last + 1, self.last + 1))
        self._taken_last = self._flying_last = self.last
        self._start_moved = False
        return start, entries

    def written(self) -> None:
        """The batch in flight is durable: so are its entries, as far as they still stand."""
        assert self._flying_last is not None, "no batch is in flight"
        self.stable = max(self.stable, self._flying_last)
        self._flying_last = None
        self._trim_cache()

    def compact(self, index: int) -> None:
        """Forgets the entries up to `index`, as far as they are durable."""
        index = min(index, self.stable)
        if index <= self._compacted.index:
            return
        assert index <= self.commit, "only what is committed is compacted"
        first = self._compacted.index + 1
        self._compacted = self._point(index)
        self._start_moved = True
        for at in range(first, index + 1):
            self._forget(at)

    def restart(self, start: EntryPoint) -> None:
        """The log is empty, begins after `start`, and is committed up to there (Raft §7).

        Nothing of this log is durable until the next batch is: also what is in flight is overtaken.
        """
        assert start.index > self.commit, "what is committed is never replaced"
        for index in list(self._memory):
            self._forget(index)
        self._compacted = start
        self._start_moved = True
        self.last = self.commit = self._taken_last = RaftIndex(start.index)
        self.stable = RaftIndex(0)
        if self._flying_last is not None:
            self._flying_last = RaftIndex(0)

    def commit_to(self, index: int) -> bool:
        """Raises the commit index; whether it moved."""
        if index <= self.commit:
            return False
        assert index <= self.last, "only what the log holds can be committed"
        self.commit = RaftIndex(index)
        return True

    def committed_after(self, index: int, *, bytes_max: int) -> tuple[Logged, ...]:
        """Committed entries after `index`, at most bytes_max bytes of data, one at least."""
        entries: list[Logged] = []
        size = 0
        for at in range(index + 1, self.commit + 1):
            logged = self.get(at)
            size += len(logged.entry.data)
            if entries and size > bytes_max:
                break
            entries.append(logged)
        return tuple(entries)

    def size_of(self, first: int, last: int) -> int:
        """Size of the entries first … last, as `data_bytes` counts it."""
        return data_bytes(self.get(index).entry for index in range(first, last + 1))

    def newest_at_most(self, *, index: int, term: int) -> EntryPoint:
        """The newest entry at or before `index` of a term up to `term`: where logs may agree.

        Fast back-off (Raft §5.3, end): one step a term, not one an entry.
        """
        first = self._compacted.index
        places = range(first + 1, min(index, self.last) + 1)
        count = bisect_right(places, term, key=lambda at: self.get(at).entry.term)
        return self._point(first + count) if count else self._compacted

    def _point(self, index: int) -> EntryPoint:
        logged = self.get(index)
        return EntryPoint(index, logged.entry.term, logged.hash)

    def _forget(self, index: int) -> None:
        logged = self._memory.pop(index, None)
        if logged is not None:
            self._cache_bytes -= len(logged.entry.data)

    def _trim_cache(self) -> None:
        """Drops the oldest entries from memory that are stored, beyond the limit."""
        while self._cache_bytes > self._cached_bytes_max and self._memory:
            index = next(iter(self._memory))
            if index > self.stable:
                return
            self._forget(index)


def data_bytes(entries: Iterable[Entry]) -> int:
    """Size of the entries' data in bytes, and 64 for each entry's frame."""
    return sum(len(entry.data) + 64 for entry in entries)
