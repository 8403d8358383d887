"""`node.peer_memory`: what peers promised stays known, at little cost."""

from collections.abc import Iterator

from consensus import messages
from ledger import store_keys
from node import ports
from node.messages import Remembered, SignedCheckpoint
from node.peer_memory import KEPT_TICKS, PeerMemory
from node.write_buffer import WriteBuffer

PEER, OTHER = b"p" * 32, b"q" * 32
HASH = bytes(32)
SIGNED = SignedCheckpoint(7, 9, HASH, 1_700_000_000, bytes(64))


class Store:
    """A store in memory that takes batches."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        found = sorted((key, value) for key, value in self.values.items() if start <= key < stop)
        return iter(reversed(found) if reverse else found)


def remembering() -> tuple[PeerMemory, WriteBuffer, Store, dict[bytes, SignedCheckpoint]]:
    store = Store()
    buffer = WriteBuffer(store, last_batch_number=0)
    newest: dict[bytes, SignedCheckpoint] = {}
    return PeerMemory(buffer, newest.get), buffer, store, newest


def batch(buffer: WriteBuffer) -> ports.Batch:
    taken = buffer.take(term=0, vote=None, signed_height=0)
    buffer.landed(taken.number)
    return taken


def test_what_changed_goes_with_the_next_batch_once() -> None:
    memory, buffer, _, newest = remembering()
    memory.observe(PEER, messages.AppendReply(3, 12, HASH))
    newest[OTHER] = SIGNED
    memory.signed(OTHER)
    memory.keep()
    assert set(batch(buffer).puts) == {store_keys.promise_key(node) for node in (PEER, OTHER)}
    memory.observe(PEER, messages.AppendReply(3, 12, HASH))
    memory.observe(PEER, messages.AppendReply(3, 11, HASH))
    memory.observe(PEER, messages.VoteReply(2, True))
    memory.observe(PEER, messages.Heartbeat(9, 0, 0))
    memory.keep()
    assert buffer.empty


def test_what_no_batch_takes_gets_one_after_a_while() -> None:
    memory, buffer, _, _ = remembering()
    for _ in range(KEPT_TICKS):
        memory.tick()
    memory.observe(PEER, messages.VoteRequest(4, 0, 0, 0))
    for _ in range(KEPT_TICKS - 1):
        memory.tick()
    assert buffer.empty
    memory.tick()
    assert set(batch(buffer).puts) == {store_keys.promise_key(PEER)}
    for _ in range(2 * KEPT_TICKS):
        memory.tick()
    assert buffer.empty


def test_after_a_restart_a_peer_is_told_what_it_promised_before() -> None:
    memory, buffer, store, newest = remembering()
    memory.observe(PEER, messages.AppendReply(3, 12, HASH))
    memory.observe(PEER, messages.VoteReply(5, True))
    memory.observe(PEER, messages.VoteReply(6, False))
    newest[PEER] = SIGNED
    memory.signed(PEER)
    memory.keep()
    store.values |= batch(buffer).puts
    signatures: dict[bytes, SignedCheckpoint] = {}
    again = PeerMemory(WriteBuffer(store, last_batch_number=1), signatures.get)
    signatures |= again.load(store)
    assert again.told(PEER) == memory.told(PEER) == Remembered(SIGNED, 5, 3, 12)
    assert again.told(OTHER) == Remembered(None, 0, 0, 0)
