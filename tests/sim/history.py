"""What clients saw, judged as it happens: linearizable, and each record once.

The model is a log: an append puts one record at the end, a read sees all up to a height. The
ledger's own order is the witness (as in Wing and Gong's search, with the answer given): a history
is linearizable in that order if each operation that began after another had ended stands after it.
One sweep over time decides that: an operation notes on its way in how far the operations that have
ended by then had come (its *floor*), and must have come further when it ends.

A record is refused for good, unless it `may_be_tried_again`: what stood in its way may be over.

An append may be tried again by other nodes, always as the same record; it began with its first try
and ends with its first acknowledgement. One that was never acknowledged may be in the ledger or
not; if it is, it stands after its floor too.
"""

from node import ports


class History:
    """Operations of all clients. A leaf index or a height is -1 or 0 while nothing has ended."""

    def __init__(self, *, judging: bool = True) -> None:
        """judging: False where nodes lie, and two ledgers may go on side by side."""
        self._judging = judging
        self.may_be_tried_again: set[bytes] = set()
        self.acknowledged: dict[bytes, ports.Accepted] = {}
        self.refused: dict[bytes, ports.Rejected] = {}
        self.reads = 0
        self._floors: dict[bytes, tuple[int, int]] = {}
        self._reading: dict[int, int] = {}
        self._leaf = -1
        self._height = 0

    def append_begins(self, record_id: bytes) -> None:
        """A client sends a record for the first time; later tries change nothing."""
        self._floors.setdefault(record_id, (self._leaf, self._height))

    def append_ends(self, record_id: bytes, outcome: ports.Accepted | ports.Rejected) -> None:
        """A client hears what became of its record."""
        if not self._judging:
            if isinstance(outcome, ports.Accepted):
                self.acknowledged.setdefault(record_id, outcome)
            return
        if isinstance(outcome, ports.Rejected):
            if outcome.retry_after_ms is None:
                self._refused(record_id, outcome)
            return
        if record_id in self.may_be_tried_again:
            self.refused.pop(record_id, None)
        assert record_id not in self.refused, "acknowledged after it was refused for good"
        known = self.acknowledged.setdefault(record_id, outcome)
        assert known == outcome, "one record, two answers"
        self._stands_after(record_id, outcome.leaf_index, outcome.height)
        self._leaf = max(self._leaf, outcome.leaf_index)
        self._height = max(self._height, outcome.height)

    def _refused(self, record_id: bytes, outcome: ports.Rejected) -> None:
        if record_id in self.acknowledged and record_id in self.may_be_tried_again:
            return
        assert record_id not in self.acknowledged, "refused after it was acknowledged"
        self.refused[record_id] = outcome

    def read_begins(self, token: int) -> None:
        """A client asks to read what is committed by now."""
        self._reading[token] = self._height

    def read_ends(self, token: int, height: int | None) -> None:
        """A client may read up to a height; None: it has to ask again."""
        floor = self._reading.pop(token, None)
        assert floor is not None, "a read was answered twice"
        if height is None or not self._judging:
            return
        assert height >= floor, "a read does not see what had been acknowledged or read before"
        self._height = max(self._height, height)
        self.reads += 1

    def reader_died(self, tokens: list[int]) -> None:
        """The node that was asked has ended: nobody will answer."""
        for token in tokens:
            self._reading.pop(token, None)

    def at_the_end(self, places: dict[bytes, tuple[int, int]]) -> None:
        """places: (leaf index, height) of each record in the ledger, by id."""
        for record_id, (leaf_index, height) in places.items():
            self._stands_after(record_id, leaf_index, height)
            refused = record_id in self.refused and record_id not in self.may_be_tried_again
            assert not refused, "refused for good, and in the ledger"
        for record_id, outcome in self.acknowledged.items():
            assert places.get(record_id) == (outcome.leaf_index, outcome.height), (
                "an acknowledged record is missing"
            )

    def _stands_after(self, record_id: bytes, leaf_index: int, height: int) -> None:
        floor = self._floors.get(record_id)
        if floor is not None:
            later = leaf_index > floor[0] and height > floor[1]
            assert later, "a record stands before one that was acknowledged before it was sent"
