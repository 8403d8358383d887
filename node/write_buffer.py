"""Writes that are not durable yet, laid over the store so that the replica reads its own writes.

One batch is in flight at a time. What comes meanwhile gathers for the next one, so a turn of the
loop costs one synced write however much happened in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.ports import Batch, StoreReader, Watermark


@dataclass(slots=True)
class _Layer:
    """Newest value per key; None where the key goes."""

    values: dict[bytes, bytes | None] = field(default_factory=dict)
    bytes_total: int = 0
    due: bool = False


class WriteBuffer:
    """The store as it will be once every write has landed.

    Invariant: a key's newest value is in the gathering layer, else in the flying one, else stored.
    """

    __slots__ = ("_flying", "_gathering", "_number", "_store")

    def __init__(self, store: StoreReader, *, last_batch_number: int) -> None:
        self._store = store
        self._gathering = _Layer()
        self._flying: _Layer | None = None
        self._number = last_batch_number

    @property
    def in_flight(self) -> bool:
        """Whether a batch has been taken that has not landed."""
        return self._flying is not None

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be taken."""
        return not self._gathering.values

    @property
    def due(self) -> bool:
        """Whether something waits that is worth a batch of its own."""
        return self._gathering.due

    @property
    def gathered_bytes(self) -> int:
        """Size of the values that wait to be taken, in bytes; overwritten ones count."""
        return self._gathering.bytes_total

    def get(self, key: bytes) -> bytes | None:
        """The newest value at `key`, durable or not; None if there is none."""
        values = self._gathering.values
        if key in values:
            return values[key]
        if self._flying is not None and key in self._flying.values:
            return self._flying.values[key]
        return self._store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Write `value` at `key` with the next batch."""
        layer = self._gathering
        layer.values[key] = value
        layer.bytes_total += len(value)
        layer.due = True

    def put_all(self, values: Mapping[bytes, bytes]) -> None:
        """Each as `put`."""
        layer = self._gathering
        layer.values.update(values)
        layer.bytes_total += sum(map(len, values.values()))
        layer.due = True

    def delete(self, key: bytes) -> None:
        """Remove `key` with the next batch."""
        self._gathering.values[key] = None
        self._gathering.due = True

    def put_later(self, key: bytes, value: bytes) -> None:
        """As `put`, but nobody waits for it: it goes with what is `due`, or after `hurry`."""
        self._gathering.values[key] = value
        self._gathering.bytes_total += len(value)

    def delete_later(self, key: bytes) -> None:
        """As `delete`, in the way of `put_later`."""
        self._gathering.values[key] = None

    def hurry(self) -> None:
        """What waits has waited long enough."""
        self._gathering.due = bool(self._gathering.values)

    def take(self, *, term: int, vote: bytes | None, signed_height: int) -> Batch:
        """Everything gathered, as the batch that is now in flight; the marks go to its watermark.

        One at a time: the batch taken before must have landed.
        """
        assert self._flying is None, "a second batch was taken while one is in flight"
        layer = self._gathering
        self._flying, self._gathering = layer, _Layer()
        self._number += 1
        return Batch(
            number=self._number,
            puts={key: value for key, value in layer.values.items() if value is not None},
            deletes=tuple(key for key, value in layer.values.items() if value is None),
            watermark=Watermark(
                batch_number=self._number, term=term, vote=vote, signed_height=signed_height
            ),
        )

    def landed(self, number: int) -> None:
        """The batch in flight is durable; `number` must be its number."""
        assert self._flying is not None and number == self._number, "no such batch is in flight"
        self._flying = None
