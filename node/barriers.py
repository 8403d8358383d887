"""Linearizable reads under way: confirmed ones wait until their index is executed and durable."""

from consensus.ready import ReadState
from ledger.types import Height
from node.ports import BarrierReady


class Barriers:
    """Reads by the height they have to see."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int]] = []

    def confirmed(self, read: ReadState) -> list[BarrierReady]:
        """The core knows what a read has to see, or that nobody can say."""
        if read.index is None:
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
