"""Messages on their way out, held back until what they rest on is durable.

    held ── the next write is taken ──> flying ── it has landed ──> free

A message that rests on nothing, or on what is durable already, is free at once.
"""

from consensus.messages import AnyMessage
from consensus.ready import Outgoing
from consensus.types import NodeId


class Outbox:
    """Invariant: `_flying` is None exactly while no write is under way."""

    __slots__ = ("_flying", "_free", "_held")

    def __init__(self) -> None:
        self._free: list[Outgoing] = []
        self._held: list[Outgoing] = []
        self._flying: list[Outgoing] | None = None

    @property
    def is_writing(self) -> bool:
        """Whether a write is under way."""
        return self._flying is not None

    @property
    def holds_any(self) -> bool:
        """Whether messages wait for the next write."""
        return bool(self._held)

    def send(self, to: NodeId, message: AnyMessage) -> None:
        """A message that rests on nothing undurable."""
        self._free.append(Outgoing(to, message))

    def send_durably(self, to: NodeId, message: AnyMessage, *, unwritten: bool) -> None:
        """A message that rests on the whole state. unwritten: part of it is in no write yet."""
        outgoing = Outgoing(to, message)
        if unwritten:
            self._held.append(outgoing)
        elif self._flying is not None:
            self._flying.append(outgoing)
        else:
            self._free.append(outgoing)

    def write_begins(self) -> None:
        """Everything so far is in the write that begins now."""
        assert self._flying is None, "one write is under way at a time"
        self._flying, self._held = self._held, []

    def write_landed(self) -> None:
        """The write under way is durable."""
        assert self._flying is not None, "nothing is being written"
        self._free += self._flying
        self._flying = None

    def take(self) -> tuple[Outgoing, ...]:
        """Every free message, each once."""
        free, self._free = self._free, []
        return tuple(free)
