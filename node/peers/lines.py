"""What is known of each peer: its keys and address, the queue to it, its connections.

A queue takes messages only while there is a connection, so a peer that comes back is not greeted
with what was true before: the replica asks and tells anew.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from node.peers.rpc import RpcClient


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its id and TLS key as the ledger names them, and its host:port."""

    node_id: bytes
    tls_key: bytes
    address: str


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Queues, windows and times; what does not fit is dropped or refused as stated in `peers`.

    ping_s: between pings. silence_s: without a byte from the other side, the connection ends.
    redial_s: shortest and longest pause before a peer is dialled again, before jitter.
    close_s: for what was written last to go out.
    """

    queue_messages_max: int = 4_096
    queue_bytes_max: int = 64 * 1024 * 1024
    rpc_in_flight_max: int = 256
    connections_max: int = 128
    handshake_timeout_s: float = 5.0
    ping_s: float = 5.0
    silence_s: float = 15.0
    redial_s: tuple[float, float] = (0.05, 2.0)
    close_s: float = 1.0


class Line:
    """The outgoing messages to one peer: a queue, and the connection when there is one.

    bytes_total: of the frames in `queue`. wake: set while the queue may hold something.
    rpc: the connection for calls, made under `rpc_lock`. context: what its TLS connections share.
    told: the problem reported last, code and detail, so that each is reported once.
    """

    def __init__(self, peer: Peer, limits: PeerLimits) -> None:
        self.peer = peer
        self.queue: deque[bytes] = deque()
        self.bytes_total = 0
        self.wake = asyncio.Event()
        self.connected = False
        self.rpc: RpcClient | None = None
        self.rpc_lock = asyncio.Lock()
        self.context: ssl.SSLContext | None = None
        self.told = ("", "")
        self._limits = limits

    def put(self, data: bytes) -> bool:
        """Queues a frame; False if there is no connection or no room for it."""
        if (
            not self.connected
            or len(self.queue) >= self._limits.queue_messages_max
            or self.bytes_total + len(data) > self._limits.queue_bytes_max
        ):
            return False
        self.queue.append(data)
        self.bytes_total += len(data)
        self.wake.set()
        return True

    def drain(self) -> bytes:
        """Everything queued."""
        data = b"".join(self.queue)
        self.queue.clear()
        self.bytes_total = 0
        self.wake.clear()
        return data
