"""Linearizable reads under way: confirmed ones wait until their index is executed and durable.

While a disk is slow, reads are confirmed faster than they may run; beyond `reads_max` nobody waits,
and the client is told to ask again.
"""

from consensus.ready import ReadState
from ledger.types import Height
from node.ports import BarrierReady


class Barriers:
    """Reads by the height they have to see, at most `reads_max`."""

    __slots__ = ("_reads_max", "_waiting")

    def __init__(self, *, reads_max: int) -> None:
        self._reads_max = reads_max
        self._waiting: list[tuple[int, int]] = []

    def confirmed(self, read: ReadState) -> list[BarrierReady]:
        """The core knows what a read has to see, or that nobody can say; None: nobody waits."""
        if read.index is None or len(self._waiting) >= self._reads_max:
            return [BarrierReady(read.token, None)]
        self._waiting.append((read.index, read.token))
        return []

    def release(self, height: int) -> list[BarrierReady]:
        """Everything up to `height` is durable: the reads that may run."""
        if not self._waiting:
            return []
        ready = [
            BarrierReady(token, Height(height)) for index, token in self._waiting if index <= height
        ]
        self._waiting = [(index, token) for index, token in self._waiting if index > height]
        return ready

    def refuse(self) -> list[BarrierReady]:
        """This node takes part no more: no read may run."""
        refused = [BarrierReady(token, None) for _, token in self._waiting]
        self._waiting = []
        return refused
