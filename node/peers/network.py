"""Connections to every peer: dialled for ever with back-off, accepted from members only."""

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.errors import Malformed
from node.config import check_address
from node.errors import Unavailable
from node.peers.frames import (
    GOODBYE,
    HELLO,
    HELLO_BYTES_MAX,
    PROTOCOL_VERSION,
    FrameType,
    Goodbye,
    Hello,
    frame,
    frame_of,
    read_frame,
)
from node.peers.rpc import PeerUnavailable, RpcClient, RpcHandler, RpcServer
from node.peers.tls import make_context, peer_key

SOFTWARE = "concordat/0.1"

_BROKEN = (ConnectionError, OSError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its id and TLS key as the ledger names them, and its host:port."""

    node_id: bytes
    tls_key: bytes
    address: str


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Queues, windows and times; what does not fit is dropped or refused as stated in `peers`."""

    queue_messages_max: int = 4_096
    queue_bytes_max: int = 64 * 1024 * 1024
    rpc_in_flight_max: int = 256
    connections_max: int = 128
    handshake_timeout_s: float = 5.0
    ping_s: float = 5.0
    silence_s: float = 15.0
    redial_s: tuple[float, float] = (0.05, 2.0)


class _Line:
    """The outgoing messages to one peer: a queue, and the connection when there is one."""

    def __init__(self, peer: Peer, limits: PeerLimits) -> None:
        self.peer = peer
        self.queue: deque[bytes] = deque()
        self.bytes_total = 0
        self.wake = asyncio.Event()
        self.connected = False
        self.rpc: RpcClient | None = None
        self.rpc_lock = asyncio.Lock()
        self._limits = limits

    def put(self, data: bytes) -> bool:
        """Queues a frame; False if there is no connection or no room."""
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


class PeerNetwork:
    """All connections of one node."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        node_id: bytes,
        tls_seed: bytes,
        listen: str,
        peers: Sequence[Peer],
        on_message: Callable[[bytes, bytes], None],
        on_connected: Callable[[bytes], None],
        on_problem: Callable[[str, str], None],
        handlers: Mapping[str, RpcHandler],
        limits: PeerLimits | None = None,
    ) -> None:
        """on_message(sender, payload), on_connected(peer), on_problem(code, detail)."""
        self._ledger_id = ledger_id
        self._node_id = node_id
        self._tls_seed = tls_seed
        self._listen = check_address("listen", listen)
        self._limits = limits or PeerLimits()
        self._lines = {peer.node_id: _Line(peer, self._limits) for peer in peers}
        self._by_key = {peer.tls_key: peer.node_id for peer in peers}
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_problem = on_problem
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> frozenset[bytes]:
        """Peers to which messages can be sent now."""
        return frozenset(node for node, line in self._lines.items() if line.connected)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for all peers."""
        return sum(line.bytes_total for line in self._lines.values())

    async def start(self) -> None:
        """Listens and begins to dial every peer. Raises Unavailable if the port is taken."""
        host, port = self._listen
        context = make_context(self._tls_seed, self._by_key, server=True)
        try:
            self._server = await asyncio.start_server(
                self._accepted,
                host,
                port,
                ssl=context,
                ssl_handshake_timeout=self._limits.handshake_timeout_s,
            )
        except OSError as error:
            raise Unavailable(
                f"cannot listen for peers on {host}:{port}: {error.strerror}",
                remedy="Is another node running there? Change rpc.listen.",
            ) from None
        for line in self._lines.values():
            self._spawn(self._dial_for_ever(line))

    async def stop(self) -> None:
        """Ends every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._lines.values():
            if line.rpc is not None:
                await line.rpc.close()
        if self._server is not None:
            await self._server.wait_closed()

    def send(self, peer: bytes, payload: bytes) -> bool:
        """Queues a message; False if it is dropped."""
        line = self._lines.get(peer)
        return line is not None and line.put(frame(FrameType.MESSAGE, payload))

    async def call(
        self, peer: bytes, method: str, body: bytes, *, timeout_s: float
    ) -> AsyncIterator[bytes]:
        """The chunks of a peer's answer. Raises RpcError, PeerUnavailable.

        timeout_s: longest wait for the connection and for each chunk.
        """
        line = self._lines.get(peer)
        if line is None:
            raise PeerUnavailable("there is no such peer")
        try:
            async with asyncio.timeout(timeout_s):
                client = await self._rpc_client(line)
        except TimeoutError:
            raise PeerUnavailable(f"{line.peer.address} does not answer") from None
        answer = client.call(method, body)
        try:
            while True:
                async with asyncio.timeout(timeout_s):
                    chunk = await anext(answer, None)
                if chunk is None:
                    return
                yield chunk
        except TimeoutError:
            raise PeerUnavailable(f"{line.peer.address} does not answer in time") from None
        finally:
            await answer.aclose()  # type: ignore[attr-defined]

    async def _rpc_client(self, line: _Line) -> RpcClient:
        async with line.rpc_lock:
            if line.rpc is None or line.rpc.closed:
                try:
                    reader, writer = await self._dial(line.peer, "rpc")
                except (*_BROKEN, Malformed) as error:
                    raise PeerUnavailable(f"{line.peer.address}: {error}") from None
                line.rpc = RpcClient(reader, writer)
            return line.rpc

    # Dialling.

    async def _dial(
        self, peer: Peer, purpose: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection with both hellos exchanged."""
        host, port = check_address("peer", peer.address)
        context = make_context(self._tls_seed, [peer.tls_key], server=False)
        async with asyncio.timeout(self._limits.handshake_timeout_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(frame_of(FrameType.HELLO, self._hello(purpose)))
                kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
                if kind is FrameType.GOODBYE:
                    goodbye = GOODBYE.decode(payload)
                    self._on_problem(goodbye.code, f"{peer.address}: {goodbye.detail}")
                    raise ConnectionRefusedError(goodbye.detail)
                if kind is not FrameType.HELLO:
                    raise Malformed("hello", "another frame came first")
                fault = self._fault(HELLO.decode(payload), peer.node_id)
                if fault is not None:
                    self._on_problem(fault.code, f"{peer.address}: {fault.detail}")
                    raise ConnectionRefusedError(fault.detail)
            except BaseException:
                writer.close()
                raise
        return reader, writer

    def _hello(self, purpose: str) -> Hello:
        assert purpose in ("messages", "rpc")
        return Hello(
            PROTOCOL_VERSION,
            self._ledger_id,
            self._node_id,
            "rpc" if purpose == "rpc" else "messages",
            SOFTWARE,
        )

    def _fault(self, hello: Hello, node_id: bytes) -> Goodbye | None:
        """What does not fit in the other side's hello."""
        if hello.version != PROTOCOL_VERSION:
            return Goodbye(
                "wrong-version", f"protocol {hello.version} meets protocol {PROTOCOL_VERSION}"
            )
        if hello.ledger_id != self._ledger_id:
            return Goodbye("wrong-ledger", f"ledger {hello.ledger_id.hex()} is another one")
        if hello.node_id != node_id:
            return Goodbye("wrong-node", "the hello names another node than the certificate")
        return None

    async def _dial_for_ever(self, line: _Line) -> None:
        shortest, longest = self._limits.redial_s
        pause = shortest
        told = ""
        while True:
            try:
                reader, writer = await self._dial(line.peer, "messages")
            except ssl.SSLError as error:
                if told != str(error):
                    told = str(error)
                    self._on_problem("wrong-key", f"{line.peer.address}: {error.reason or error}")
            except (*_BROKEN, Malformed):
                pass
            else:
                pause, told = shortest, ""
                await self._speak(line, reader, writer)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(longest, pause * 2)

    async def _speak(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Sends what is queued until the connection breaks."""
        line.drain()
        line.connected = True
        listening = asyncio.create_task(self._hear_pings(reader))
        clock = asyncio.get_running_loop().time
        pinged = clock()
        try:
            self._on_connected(line.peer.node_id)
            while not listening.done():
                waking = asyncio.create_task(line.wake.wait())
                await asyncio.wait(
                    {waking, listening},
                    timeout=self._limits.ping_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                waking.cancel()
                data = line.drain()
                if clock() - pinged >= self._limits.ping_s:
                    pinged = clock()
                    data += frame(FrameType.PING)
                writer.write(data)
                await writer.drain()
        except _BROKEN:
            pass
        finally:
            line.connected = False
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            writer.close()

    async def _hear_pings(self, reader: asyncio.StreamReader) -> None:
        """Ends when the other side closes, or has been silent for too long."""
        with contextlib.suppress(*_BROKEN, Malformed):
            while True:
                async with asyncio.timeout(self._limits.silence_s):
                    kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
                if kind is FrameType.GOODBYE:
                    goodbye = GOODBYE.decode(payload)
                    self._on_problem(goodbye.code, goodbye.detail)

    # Accepting.

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > self._limits.connections_max + len(self._lines):
                return
            await self._welcome(reader, writer)
        except Malformed as error:
            self._on_problem("malformed", str(error))
            with contextlib.suppress(*_BROKEN):
                writer.write(frame_of(FrameType.GOODBYE, Goodbye("malformed", error.why[:300])))
                await writer.drain()
        except (*_BROKEN, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("ssl_object")
        sender = self._by_key.get(peer_key(connection))
        if sender is None:
            return
        async with asyncio.timeout(self._limits.handshake_timeout_s):
            kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
        if kind is not FrameType.HELLO:
            raise Malformed("hello", "another frame came first")
        hello = HELLO.decode(payload)
        fault = self._fault(hello, sender)
        if fault is not None:
            self._on_problem(fault.code, fault.detail)
            writer.write(frame_of(FrameType.GOODBYE, fault))
            await writer.drain()
            return
        writer.write(frame_of(FrameType.HELLO, self._hello(hello.purpose)))
        await writer.drain()
        if hello.purpose == "rpc":
            await RpcServer(
                sender,
                reader,
                writer,
                handlers=self._handlers,
                in_flight_max=self._limits.rpc_in_flight_max,
            ).serve()
        else:
            await self._listen_to(sender, reader, writer)

    async def _listen_to(
        self, sender: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            async with asyncio.timeout(self._limits.silence_s):
                kind, payload = await read_frame(reader)
            if kind is FrameType.MESSAGE:
                self._on_message(sender, payload)
            elif kind is FrameType.PING:
                writer.write(frame(FrameType.PING))
                await writer.drain()
            else:
                raise Malformed("frame", f"{kind.name.lower()} has no place here")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
