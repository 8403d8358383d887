"""A simulated disk: whole synced batches, and every way in which a disk lets a node down.

What LevelDB promises is modelled, not LevelDB: a synced batch is there as a whole or not at all
after a power loss, damage to what was acknowledged is found when it is read (paranoid checks), and
the watermark beside the keys is written after the batch and not synced, so it may lag behind.
`tests/faults` holds the real store to the same promises.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from consensus import HardState, Logged
from ledger import store_keys
from node import ports
from node.errors import StoreCorrupt, Unavailable

NOTHING = ports.Watermark(batch_number=0, term=0, vote=None, signed_height=0)

_LOGGED = msgspec.msgpack.Decoder(Logged)
_HARD_STATE = msgspec.msgpack.Decoder(HardState)


@dataclass(slots=True)
class Disk:
    """One node's disk.

    keys: those of values, by their first byte. failing: what the next write meets, "" if nothing.
    damaged: why this store must not be opened again, "" if it may. rotten: keys whose values were
    damaged. misdirected: keys whose reads come from another place. hard_state, tip_height: read
    from what is durable. lost: what was here before it went back.
    """

    values: dict[bytes, bytes] = field(default_factory=dict)
    keys: dict[int, dict[bytes, None]] = field(default_factory=dict)
    batch_number: int = 0
    watermark: ports.Watermark = NOTHING
    watermark_before: ports.Watermark = NOTHING
    failing: str = ""
    damaged: str = ""
    delay_ms: int = 0
    rotten: set[bytes] = field(default_factory=set)
    misdirected: dict[bytes, bytes] = field(default_factory=dict)
    hard_state: HardState = HardState()
    tip_height: int = 0
    torn: ports.Batch | None = None
    lost: "Disk | None" = None

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`. Raises StoreCorrupt where its checksum is wrong."""
        if self.rotten or self.misdirected:
            if key in self.rotten:
                raise StoreCorrupt("reading failed: a checksum is wrong")
            key = self.misdirected.get(key, key)
        return self.values.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        assert start[0] + 1 >= stop[0], "a scan is within one prefix"
        among = self.keys.get(start[0], ())
        keys = sorted((key for key in among if start <= key < stop), reverse=reverse)
        if self.rotten and not self.rotten.isdisjoint(keys):
            raise StoreCorrupt("reading failed: a checksum is wrong")
        return iter([(key, self.values[key]) for key in keys])

    def write(self, batch: ports.Batch) -> None:
        """Everything in the batch becomes durable. Raises Unavailable, with or without effect."""
        if self.failing:
            kept = self.failing == "fsync-failed-kept"
            problem, self.failing = self.failing, ""
            if kept:
                self._apply(batch)
            raise Unavailable(f"writing failed: {problem}")
        self._apply(batch)
        self.watermark_before, self.watermark = self.watermark, batch.watermark

    def tear(self, batch: ports.Batch) -> None:
        """The power goes while the batch is written: some of it is on the disk."""
        self.torn = batch

    def recover(self) -> None:
        """What opening the store does first: a torn batch at the end counts as never written."""
        self.torn = None

    def lose_watermark(self) -> None:
        """The last watermark was not on the disk yet when the power went."""
        self.watermark = self.watermark_before

    @property
    def last_entry(self) -> int:
        """The last stored Raft entry's index; 0 if there is none."""
        keys = self.keys.get(store_keys.ENTRY[0], {})
        return max((int.from_bytes(key[1:], "big") for key in keys), default=0)

    @property
    def last_term(self) -> int:
        """The term of the last stored Raft entry; 0 if there is none."""
        value = self.values.get(store_keys.entry_key(self.last_entry))
        return 0 if value is None else _LOGGED.decode(value).entry.term

    def go_back(self, earlier: "Disk") -> None:
        """The store is as it was; the watermark beside the keys is not."""
        self.lost = self.copy()
        self.values = dict(earlier.values)
        self.keys = {prefix: dict(keys) for prefix, keys in earlier.keys.items()}
        self.batch_number = earlier.batch_number
        self.hard_state, self.tip_height = earlier.hard_state, earlier.tip_height

    def copy(self) -> "Disk":
        """The disk as it is now, for a backup."""
        keys = {prefix: dict(found) for prefix, found in self.keys.items()}
        return replace(self, values=dict(self.values), keys=keys, rotten=set(), misdirected={})

    def entry_hash(self, index: int) -> bytes | None:
        """The hash of the Raft entry that is stored at an index."""
        value = self.values.get(store_keys.entry_key(index))
        return None if value is None else value[-32:]

    def holds(self, index: int, entry_hash: bytes) -> bool:
        """Whether that entry is durable here, in the log or executed and trimmed.

        A disk that was lost counts as it was when its node last spoke.
        """
        if self.lost is not None:
            return self.lost.holds(index, entry_hash)
        stored = self.entry_hash(index)
        return self.tip_height >= index if stored is None else stored == entry_hash

    def _apply(self, batch: ports.Batch) -> None:
        assert batch.number == self.batch_number + 1, "batches are numbered without gaps"
        self.batch_number = batch.number
        self.values.update(batch.puts)
        for key in batch.puts:
            self.keys.setdefault(key[0], {})[key] = None
        for key in batch.deletes:
            self.values.pop(key, None)
            self.keys.get(key[0], {}).pop(key, None)
        hard_state = batch.puts.get(store_keys.HARD_STATE_MARK)
        if hard_state is not None:
            self.hard_state = _HARD_STATE.decode(hard_state)
        tip = batch.puts.get(store_keys.TIP_MARK)
        if tip is not None:
            self.tip_height = msgspec.msgpack.decode(tip)[0]
