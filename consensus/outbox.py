"""What has to be durable before which message leaves: hard state and messages on their way out.

    held ── the next write is taken ──> flying ── it has landed ──> free

A message that rests on nothing, or on what is durable already, is free at once. What waits for the
disk waits once, however often it was said: a disk that stalls gathers no more than what the windows
of `consensus.progress` let in. Whatever leaves is first fitted to the version that its receiver
speaks (`consensus.messages.for_version`).
"""

from consensus.log import Log
from consensus.messages import PROTOCOL_VERSION, AnyMessage, Message, for_version, since
from consensus.ready import Outgoing, Unwritten
from consensus.types import HardState, NodeId


class Outbox:
    """Messages, and the hard state that is durable or on its way there.

    durable: what the newest landed write left; its commit index may lag behind the log's.
    Invariant: `_flying` is None exactly while no write is under way.
    """

    __slots__ = ("_flying", "_flying_state", "_free", "_held", "_log", "_versions", "durable")

    def __init__(self, log: Log, durable: HardState) -> None:
        self._log = log
        self.durable = durable
        self._free: list[Outgoing] = []
        self._held: list[Outgoing] = []
        self._flying: list[Outgoing] | None = None
        self._flying_state: HardState | None = None
        self._versions: dict[NodeId, int] = {}

    def learn_version(self, peer: NodeId, version: int) -> None:
        """The peer speaks this version; the newest is assumed until then."""
        self._versions[peer] = version

    def understands(self, peer: NodeId, kind: type[Message]) -> bool:
        """Whether the peer's version knows this kind of message."""
        return self._versions.get(peer, PROTOCOL_VERSION) >= since(kind)

    def send(self, to: NodeId, message: AnyMessage) -> None:
        """A message that rests on nothing undurable."""
        self._put(self._free, to, message)

    def send_durably(self, to: NodeId, message: AnyMessage, hard: HardState) -> None:
        """A message that rests on `hard`'s term and vote and on the whole log."""
        known = self.durable if self._flying_state is None else self._flying_state
        if (hard.term, hard.vote) != (known.term, known.vote) or self._log.has_unwritten:
            self._put(self._held, to, message)
        elif self._flying is not None:
            self._put(self._flying, to, message)
        else:
            self._put(self._free, to, message)

    def take_unwritten(self, hard: HardState) -> Unwritten | None:
        """The next write, which is under way from now on; None if nothing waits for one."""
        if self._flying is not None:
            return None
        news = hard != self.durable
        if not news and not self._log.has_unwritten and not self._held:
            return None
        self._flying, self._held = self._held, []
        self._flying_state = hard if news else None
        log_start, entries = self._log.take_unwritten()
        return Unwritten(self._flying_state, log_start, entries, self._log.last)

    def landed(self) -> None:
        """The write under way is durable, and what rests on it may leave."""
        assert self._flying is not None, "nothing is being written"
        self._free += self._flying
        self._flying = None
        self.durable = self._flying_state or self.durable
        self._flying_state = None
        self._log.written()

    def take(self) -> tuple[Outgoing, ...]:
        """Every free message, each once."""
        if not self._free:
            return ()
        free, self._free = self._free, []
        return tuple(free)

    def _put(self, queue: list[Outgoing], to: NodeId, message: AnyMessage) -> None:
        fitted = for_version(message, self._versions.get(to, PROTOCOL_VERSION))
        if fitted is None:
            return
        outgoing = Outgoing(to, fitted)
        if queue is self._free or outgoing not in queue:
            queue.append(outgoing)
