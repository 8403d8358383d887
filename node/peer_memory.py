"""What each peer has promised this node: its highest term, its last acknowledgement, its signature.

A peer whose store went back has forgotten what it promised; it asks when it starts
(`node.standing`), and this is what it is told. So it is kept in the store: with each batch goes
what has changed since the last, and what no batch has taken for a while gets one of its own. That
costs no sync in a node that works, and in an idle one a rare one.

What came in the last KEPT_TICKS before this node stopped may be missing; that matters only if every
node that heard it stopped as soon.
"""

from collections.abc import Callable
from dataclasses import dataclass

from consensus import messages
from ledger import store_keys
from ledger.codec import Decoder, encode
from ledger.types import NodeId
from node.messages import Remembered, SignedCheckpoint
from node.ports import StoreReader
from node.write_buffer import WriteBuffer

KEPT_TICKS = 40
"""Ticks after which a change gets a batch of its own, if no other has taken it."""

_REMEMBERED: Decoder[Remembered] = Decoder(
    Remembered, what="what a peer has promised", bytes_max=1024
)


@dataclass(frozen=True, slots=True)
class Promise:
    """What a peer remembers of a node. term: its highest. match: what it acknowledged last, in
    match_term.
    """

    term: int = 0
    match_term: int = 0
    match: int = 0


class PeerMemory:
    """What each peer has promised this node, by messages that only leave once they are durable.

    newest_of(peer): the peer's newest signature that came here.
    """

    __slots__ = ("_buffer", "_changed", "_newest_of", "_promises", "_waited_ticks")

    def __init__(
        self, buffer: WriteBuffer, newest_of: Callable[[NodeId], SignedCheckpoint | None]
    ) -> None:
        self._buffer = buffer
        self._newest_of = newest_of
        self._promises: dict[NodeId, Promise] = {}
        self._changed: set[NodeId] = set()
        self._waited_ticks = 0

    def load(self, store: StoreReader) -> dict[NodeId, SignedCheckpoint]:
        """Takes up what the store holds; each peer's newest signature there."""
        signatures = {}
        prefix = store_keys.PROMISE
        for key, value in store.scan(prefix, bytes([prefix[0] + 1])):
            kept = _REMEMBERED.decode(value)
            self._promises[key[1:]] = Promise(kept.term, kept.match_term, kept.match)
            if kept.checkpoint is not None:
                signatures[key[1:]] = kept.checkpoint
        return signatures

    def observe(self, sender: NodeId, message: messages.AnyMessage) -> None:
        """A message of a peer arrived."""
        known = self.of(sender)
        match message:
            case messages.AppendReply():
                newest = max(
                    (known.match_term, known.match), (int(message.term), int(message.index))
                )
                promise = Promise(max(known.term, message.term), *newest)
            case messages.VoteRequest() | messages.VoteReply(granted=True):
                promise = Promise(max(known.term, message.term), known.match_term, known.match)
            case _:
                return
        if promise != known:
            self._promises[sender] = promise
            self._changed.add(sender)

    def signed(self, sender: NodeId) -> None:
        """A signature of a peer arrived."""
        self._changed.add(sender)

    def of(self, peer: NodeId) -> Promise:
        """The highest a peer has promised; zeroes if it has promised nothing."""
        return self._promises.get(peer, Promise())

    def told(self, peer: NodeId) -> Remembered:
        """What a peer that starts is told of itself."""
        promise = self.of(peer)
        return Remembered(self._newest_of(peer), promise.term, promise.match_term, promise.match)

    def tick(self) -> None:
        """One tick has passed; what has waited for so long is put into a batch."""
        self._waited_ticks = self._waited_ticks + 1 if self._changed else 0
        if self._waited_ticks >= KEPT_TICKS:
            self.keep()

    def keep(self) -> None:
        """Puts what has changed into the batch that gathers."""
        for peer in sorted(self._changed):
            self._buffer.put(store_keys.promise_key(peer), encode(self.told(peer)))
        self._changed.clear()
        self._waited_ticks = 0
