"""What is known of each peer: its keys and address, the queue to it, its connections.

A queue takes messages only while there is a connection, so a peer that comes back is not greeted
with what was true before: the replica asks and tells anew. A full queue lets go of older messages
of the kind that comes, where its sender says that the newer one is enough: what was to be appended,
acknowledged or certified some time ago is stale. Everything else that finds no room is dropped.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from node.peers.rpc import RpcClient

FULL_BYTES = 64 * 1024
"""Bytes that wait within a connection, from which on it is given no more until it has room."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its id and TLS key as the ledger names them, and its host:port."""

    node_id: bytes
    tls_key: bytes
    address: str


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Queues, windows and times; what does not fit is dropped or refused as stated in `peers`.

    bulk_bytes_min: messages from this size on go over the connection for large ones.
    connections_per_peer_max: of those that one peer dialled; a new one replaces the oldest.
    ping_s: between pings. silence_s: without a frame from the other side, the connection ends;
    a large frame gets more time, as if it came with frame_bytes_per_s_min.
    redial_s: shortest and longest pause before a peer is dialled again, before jitter.
    close_s: for what was written last to go out.
    """

    queue_messages_max: int = 4_096
    queue_bytes_max: int = 64 * 1024 * 1024
    bulk_bytes_min: int = 16 * 1024
    rpc_in_flight_max: int = 256
    connections_max: int = 128
    connections_per_peer_max: int = 8
    handshake_timeout_s: float = 5.0
    ping_s: float = 5.0
    silence_s: float = 15.0
    frame_bytes_per_s_min: int = 16 * 1024
    redial_s: tuple[float, float] = (0.05, 2.0)
    close_s: float = 1.0


class Lane:
    """Frames that wait for one connection. bytes_total: of them.

    wake: set while whoever writes them out is to do so by itself, and there are some.
    Invariant: `_kinds` holds the kind of each of `frames`, in the same order.
    """

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.bytes_total = 0
        self.wake = asyncio.Event()
        self._kinds: deque[str] = deque()

    def put(self, data: bytes, kind: str) -> None:
        """Queues a frame."""
        self.frames.append(data)
        self._kinds.append(kind)
        self.bytes_total += len(data)

    def take(self) -> bytes:
        """The next frame; there has to be one."""
        data = self.frames.popleft()
        self._kinds.popleft()
        self.bytes_total -= len(data)
        if not self.frames:
            self.wake.clear()
        return data

    def drain(self) -> bytes:
        """Everything queued."""
        data = b"".join(self.frames)
        self.frames.clear()
        self._kinds.clear()
        self.bytes_total = 0
        if self.wake.is_set():
            self.wake.clear()
        return data

    def drop(self, kind: str) -> int:
        """Lets go of every frame of a kind; how many there were."""
        if kind not in self._kinds:
            return 0
        before, awake = len(self.frames), self.wake.is_set()
        kept = [pair for pair in zip(self.frames, self._kinds, strict=True) if pair[1] != kind]
        self.drain()
        for data, kept_kind in kept:
            self.put(data, kept_kind)
        if kept and awake:
            self.wake.set()
        return before - len(kept)


class Line:
    """The outgoing messages to one peer: small and large ones apart, and the connections.

    writer: of the connection for small messages, None while there is none; the one for large
    messages comes and goes with it. rpc: the connection for calls, made under `rpc_lock`. context:
    what its TLS connections share. told: the problem reported last, code and detail, so each is
    reported once. version: of the protocol that the peer and this node speak, 0 before they first
    met.
    """

    def __init__(self, peer: Peer, limits: PeerLimits) -> None:
        self.peer = peer
        self.small = Lane()
        self.bulk = Lane()
        self.writer: asyncio.StreamWriter | None = None
        self.rpc: RpcClient | None = None
        self.rpc_lock = asyncio.Lock()
        self.context: ssl.SSLContext | None = None
        self.told = ("", "")
        self.version = 0
        self._limits = limits

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""
        return self.writer is not None

    @property
    def bytes_total(self) -> int:
        """Bytes that wait for this peer."""
        return self.small.bytes_total + self.bulk.bytes_total

    def put(self, data: bytes, kind: str) -> bool:
        """Queues a frame; False if there is no connection or no room for it.

        kind: of which a newer frame makes older ones stale; "" if it is of none.
        """
        if self.writer is None or not self._has_room(data):
            return False
        if len(data) < self._limits.bulk_bytes_min:
            self.small.put(data, kind)
        else:
            self.bulk.put(data, kind)
            self.bulk.wake.set()
        return True

    def write_out(self) -> None:
        """Writes the small messages that wait; if the connection is full, they wait for room."""
        if self.writer is None or not self.small.frames:
            return
        transport = self.writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > FULL_BYTES:
            self.small.wake.set()
        else:
            transport.write(self.small.drain())

    def make_room(self, data: bytes, kind: str) -> int:
        """Lets go of older frames of this kind if there is no room for a frame; how many."""
        if self._has_room(data):
            return 0
        return self.small.drop(kind) + self.bulk.drop(kind)

    def _has_room(self, data: bytes) -> bool:
        small, bulk, limits = self.small, self.bulk, self._limits
        return (
            len(small.frames) + len(bulk.frames) < limits.queue_messages_max
            and small.bytes_total + bulk.bytes_total + len(data) <= limits.queue_bytes_max
        )


async def close_gently(writer: asyncio.StreamWriter, limits: PeerLimits) -> None:
    """Lets what was written go out, for a while; then ends the connection."""
    writer.close()
    try:
        async with asyncio.timeout(limits.close_s):
            await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
