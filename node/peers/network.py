"""Connections to every peer: dialled for ever with back-off, accepted from members only."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import Any

from consensus.messages import PROTOCOL_VERSION
from ledger.errors import Malformed
from node.config import check_address
from node.errors import ConfigInvalid, Unavailable
from node.peers.direct import DirectReader, Heard
from node.peers.frames import (
    FRAME_BYTES_MAX,
    GOODBYE,
    HELLO,
    HELLO_BYTES_MAX,
    OLDEST_VERSION,
    FrameType,
    Goodbye,
    Hello,
    Purpose,
    frame,
    frame_of,
    read_frame,
)
from node.peers.lines import Line, Peer, PeerLimits, close_gently
from node.peers.rpc import PeerUnavailable, RpcClient, RpcHandler, RpcServer
from node.peers.strangers import ask_stranger
from node.peers.tls import add_anchor, make_context, peer_key

SOFTWARE = "concordat/0.1"

READ_BYTES = 256 * 1024
"""Read from a connection at a time, at most."""

_BROKEN = (OSError, asyncio.IncompleteReadError)

_UNREACHABLE = (*_BROKEN, UnicodeError, ConfigInvalid)
"""Also an address that no host can have: another member may have put it on the ledger."""


class PeerNetwork:
    """All connections of one node. superseded: messages that were let go for newer ones so far."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        node_id: bytes,
        tls_seed: bytes,
        listen: str,
        peers: Sequence[Peer],
        on_message: Callable[[bytes, bytes], None],
        on_connected: Callable[[bytes, int], None],
        on_problem: Callable[[str, str], None],
        handlers: Mapping[str, RpcHandler],
        limits: PeerLimits | None = None,
        version: int = PROTOCOL_VERSION,
    ) -> None:
        """on_message(sender, payload), on_connected(peer, version), on_problem(code, detail).

        version: the newest this node speaks; on_connected is told the one spoken with the peer.
        """
        self._version = version
        self._ledger_id = ledger_id
        self._node_id = node_id
        self._tls_seed = tls_seed
        self._listen = check_address("listen", listen)
        self._limits = limits or PeerLimits()
        self._lines = {peer.node_id: Line(peer, self._limits) for peer in peers}
        self._by_key = {peer.tls_key: peer.node_id for peer in peers}
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_problem = on_problem
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._stopped = False
        self.superseded = 0
        self._unwritten: dict[bytes, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted_from: dict[bytes, list[asyncio.Task[None]]] = {}
        self._diallers: dict[bytes, asyncio.Task[None]] = {}

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
        self._context = make_context(self._tls_seed, self._by_key, server=True)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: asyncio.StreamReaderProtocol(DirectReader(), self._accepted),
                host,
                port,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_timeout_s,
                ssl_shutdown_timeout=self._limits.close_s,
            )
        except OSError as error:
            raise Unavailable(
                f"cannot listen for peers on {host}:{port}: {error.strerror}",
                remedy="Is another node running there? Change rpc.listen.",
            ) from None
        for line in self._lines.values():
            self._diallers[line.peer.node_id] = self._spawn(self._dial_for_ever(line))

    def update(self, peers: Sequence[Peer]) -> None:
        """Other peers, or the same under other keys or addresses, from now on.

        Whoever is left out, or changed, is cut off at once, after what was queued for it.
        """
        assert self._context is not None, "the network has been started"
        wanted = {peer.node_id: peer for peer in peers}
        for node_id, line in list(self._lines.items()):
            if wanted.get(node_id) != line.peer:
                self._forget(line)
        for peer in wanted.values():
            if peer.node_id not in self._lines:
                line = self._lines[peer.node_id] = Line(peer, self._limits)
                self._by_key[peer.tls_key] = peer.node_id
                add_anchor(self._context, peer.tls_key)
                self._diallers[peer.node_id] = self._spawn(self._dial_for_ever(line))

    def _forget(self, line: Line) -> None:
        """The key stays an anchor of the server's context: whoever shows it is sent away later."""
        node_id = line.peer.node_id
        del self._lines[node_id]
        del self._by_key[line.peer.tls_key]
        self._diallers.pop(node_id).cancel()
        for task in self._accepted_from.pop(node_id, []):
            task.cancel()
        if line.rpc is not None:
            self._spawn(line.rpc.close())

    async def stop(self) -> None:
        """Ends every connection; open calls fail."""
        self._stopped = True
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

    def send(self, peer: bytes, payload: bytes, kind: str = "") -> bool:
        """Queues a message, to be written in the next iteration of the loop; False: it is dropped.

        kind: where not "", older messages of that kind are let go if there is no room for this one.
        """
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self.write_out)
        return self.queue(peer, payload, kind)

    def queue(self, peer: bytes, payload: bytes, kind: str = "") -> bool:
        """As `send`, but the caller says when to write, by `write_out`."""
        line = self._lines.get(peer)
        if line is None or len(payload) >= FRAME_BYTES_MAX:
            return False
        data = frame(FrameType.MESSAGE, payload)
        if kind:
            self.superseded += line.make_room(data, kind)
        if not line.put(data, kind):
            return False
        self._unwritten[peer] = line
        return True

    def write_out(self) -> None:
        """Writes what is queued, all that goes to one peer together."""
        lines, self._unwritten = self._unwritten, {}
        for line in lines.values():
            line.write_out()

    async def call(
        self, peer: bytes, method: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The chunks of a peer's answer. Raises RpcError, PeerUnavailable.

        timeout_s: longest wait for the connection and for each chunk.
        """
        client = await self.reach(peer, timeout_s=timeout_s)
        address = self._lines[peer].peer.address
        answer = client.call(method, body)
        try:
            while True:
                async with asyncio.timeout(timeout_s):
                    chunk = await anext(answer, None)
                if chunk is None:
                    return
                yield chunk
        except TimeoutError:
            raise PeerUnavailable(f"{address} does not answer in time") from None
        finally:
            await answer.aclose()

    async def ask_stranger(
        self, address: str, method: str, body: bytes, *, timeout_s: float
    ) -> bytes:
        """The answer of whoever is at an address. Raises RpcError, PeerUnavailable."""
        return await ask_stranger(
            address,
            method,
            body,
            tls_seed=self._tls_seed,
            hello=self._hello("rpc"),
            limits=self._limits,
            timeout_s=timeout_s,
        )

    async def reach(self, peer: bytes, *, timeout_s: float) -> RpcClient:
        """A connection to a peer for calls, made now if there is none. Raises PeerUnavailable."""
        line = self._lines.get(peer)
        if line is None:
            raise PeerUnavailable("there is no such peer")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._rpc_client(line)
        except TimeoutError:
            raise PeerUnavailable(f"{line.peer.address} does not answer") from None

    async def _rpc_client(self, line: Line) -> RpcClient:
        async with line.rpc_lock:
            if line.rpc is None or line.rpc.closed:
                try:
                    reader, writer = await self._dial(line, "rpc")
                except (*_UNREACHABLE, Malformed) as error:
                    raise PeerUnavailable(f"{line.peer.address}: {error}") from None
                if self._stopped:
                    writer.transport.abort()
                    raise PeerUnavailable("this node stops")
                line.rpc = RpcClient(reader, writer)
            return line.rpc

    # Dialling.

    async def _dial(
        self, line: Line, purpose: Purpose
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection with both hellos exchanged.

        Raises ConnectionRefusedError, after telling why, if one side does not want the other.
        """
        host, port = check_address("peer", line.peer.address)
        if line.context is None:
            line.context = make_context(self._tls_seed, [line.peer.tls_key], server=False)
        async with asyncio.timeout(self._limits.handshake_timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=line.context, ssl_shutdown_timeout=self._limits.close_s
            )
            try:
                if peer_key(writer.get_extra_info("ssl_object")) != line.peer.tls_key:
                    raise ssl.SSLError("the certificate has another key than the ledger names")
                _notice_silence(writer, self._limits)
                writer.write(frame_of(FrameType.HELLO, self._hello(purpose)))
                kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
                if kind is FrameType.GOODBYE:
                    raise self._refused(line, GOODBYE.decode(payload))
                if kind is not FrameType.HELLO:
                    raise Malformed("hello", "another frame came first")
                hello = HELLO.decode(payload)
                fault = self._fault(hello, line.peer.node_id)
                if fault is not None:
                    raise self._refused(line, fault)
                line.version = min(hello.version, self._version)
            except BaseException:
                writer.transport.abort()
                raise
        return reader, writer

    def _hello(self, purpose: Purpose) -> Hello:
        return Hello(self._version, self._ledger_id, self._node_id, purpose, SOFTWARE)

    def _fault(self, hello: Hello, node_id: bytes) -> Goodbye | None:
        """What does not fit in the other side's hello."""
        if hello.version < OLDEST_VERSION:
            return Goodbye(
                "wrong-version", f"protocol {hello.version} is older than {OLDEST_VERSION}"
            )
        if hello.ledger_id != self._ledger_id:
            return Goodbye("wrong-ledger", f"ledger {hello.ledger_id.hex()} is another one")
        if hello.node_id != node_id:
            return Goodbye("wrong-node", "the hello names another node than the certificate")
        return None

    def _refused(self, line: Line, goodbye: Goodbye) -> ConnectionRefusedError:
        self._problem(goodbye.code, goodbye.detail, line)
        return ConnectionRefusedError(goodbye.detail)

    def _problem(self, code: str, detail: str, line: Line) -> None:
        """Reports what keeps a peer away, once until the peer is reached or it is another."""
        if line.told != (code, detail):
            line.told = (code, detail)
            self._on_problem(code, f"{line.peer.address}: {detail}")

    async def _dial_for_ever(self, line: Line) -> None:
        shortest, longest = self._limits.redial_s
        pause = shortest
        while True:
            try:
                reader, writer = await self._dial(line, "messages")
            except ssl.SSLError as error:
                self._problem("wrong-key", getattr(error, "reason", None) or str(error), line)
            except Malformed as error:
                self._problem("malformed", str(error), line)
            except _UNREACHABLE:
                pass
            else:
                pause, line.told = shortest, ("", "")
                await self._speak(line, reader, writer)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(longest, pause * 2)

    async def _speak(
        self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Sends what is queued until the connection breaks or the other side is silent."""

        def heard_the_end(_: asyncio.Task[None]) -> None:
            """Wakes the loop below, wherever it waits: for a message, or for room to write one."""
            if not hearing.cancelled():
                writer.transport.abort()
                line.small.wake.set()

        line.small.drain()
        line.writer = writer
        bulk = asyncio.create_task(self._speak_at_length(line))
        hearing = asyncio.create_task(self._hear_pings(line, reader))
        hearing.add_done_callback(heard_the_end)
        pinging = asyncio.create_task(self._ping(line))
        try:
            self._on_connected(line.peer.node_id, line.version)
            while not hearing.done():
                await line.small.wake.wait()
                await writer.drain()
                writer.write(line.small.drain())
        except _BROKEN:
            pass
        finally:
            line.writer = None
            helpers = (hearing, bulk, pinging)
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            if not writer.is_closing():
                writer.write(line.small.drain())
            await close_gently(writer, self._limits)

    async def _ping(self, line: Line) -> None:
        while True:
            await asyncio.sleep(self._limits.ping_s)
            line.small.put(frame(FrameType.PING), "")
            line.write_out()

    async def _speak_at_length(self, line: Line) -> None:
        """Sends large messages, one at a time, as long as the small ones have their connection.

        Nothing is heard on this connection: that the other side is there, the small ones tell. What
        cannot be sent is lost.
        """
        lane = line.bulk
        writer: asyncio.StreamWriter | None = None
        try:
            while True:
                await lane.wake.wait()
                try:
                    if writer is None:
                        _, writer = await self._dial(line, "bulk")
                    writer.write(lane.take())
                    await writer.drain()
                except (*_UNREACHABLE, Malformed):
                    lane.drain()
                    if writer is not None:
                        writer.transport.abort()
                    writer = None
                    await asyncio.sleep(self._limits.redial_s[0])
        finally:
            lane.drain()
            if writer is not None:
                writer.transport.abort()

    async def _hear_pings(self, line: Line, reader: asyncio.StreamReader) -> None:
        """Ends when the other side closes, or has been silent for too long."""
        with contextlib.suppress(*_BROKEN):
            try:
                while True:
                    async with asyncio.timeout(self._limits.silence_s):
                        kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
                    if kind is FrameType.GOODBYE:
                        goodbye = GOODBYE.decode(payload)
                        self._problem(goodbye.code, goodbye.detail, line)
                    elif kind is not FrameType.PING:
                        raise Malformed("frame", f"{kind.name.lower()} has no place here")
            except Malformed as error:
                self._problem("malformed", str(error), line)

    # Accepting.

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._stopped:
                return
            if len(self._tasks) > self._limits.connections_max + len(self._lines):
                return
            _notice_silence(writer, self._limits)
            await self._welcome(reader, writer)
        except Malformed as error:
            self._on_problem("malformed", str(error))
            with contextlib.suppress(*_BROKEN):
                writer.write(frame_of(FrameType.GOODBYE, Goodbye("malformed", error.why[:300])))
                await writer.drain()
        except (*_BROKEN, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await close_gently(writer, self._limits)
            self._tasks.discard(task)
            for tasks in self._accepted_from.values():
                if task in tasks:
                    tasks.remove(task)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("ssl_object")
        sender = self._by_key.get(peer_key(connection))
        if sender is None:
            return
        self._make_room(sender)
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
            silence_s = self._limits.silence_s if hello.purpose == "messages" else None
            await self._listen_to(sender, reader, writer, silence_s=silence_s)

    def _make_room(self, sender: bytes) -> None:
        """No peer takes the connections of others: its newest one replaces its oldest."""
        task = asyncio.current_task()
        assert task is not None
        tasks = self._accepted_from.setdefault(sender, [])
        if len(tasks) >= self._limits.connections_per_peer_max:
            tasks.pop(0).cancel()
        tasks.append(task)

    async def _listen_to(
        self,
        sender: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        silence_s: float | None,
    ) -> None:
        """Hands on what comes. silence_s: longest wait for a frame to begin; None: no limit.

        It is handed on as it comes, without waking a task; this one looks after the silence.
        """
        assert isinstance(reader, DirectReader)
        clock = asyncio.get_running_loop().time
        heard = Heard(
            sender, writer, limits=self._limits, silence_s=silence_s, clock=clock, take=self._take
        )
        reader.hand_to(heard.feed)
        try:
            while True:
                soon = clock() + self._limits.silence_s
                due_s = soon if heard.due_s is None else min(soon, heard.due_s)
                try:
                    async with asyncio.timeout_at(due_s):
                        data = await reader.read(READ_BYTES)
                except TimeoutError:
                    if heard.due_s is not None and clock() >= heard.due_s:
                        raise
                    continue
                if not data:
                    raise asyncio.IncompleteReadError(b"", None)
                heard.feed(data)
        finally:
            reader.hand_to(None)

    def _take(self, sender: bytes, payload: bytes) -> None:
        """A message; not from who was cut off meanwhile."""
        if sender in self._lines:
            self._on_message(sender, payload)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _notice_silence(writer: asyncio.StreamWriter, limits: PeerLimits) -> None:
    """Has the system end a connection whose other side is gone, though nobody reads or writes.

    Such a call waits for ever otherwise: connections for RPC and for large messages have no pings.
    What the system does not offer is left out.
    """
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    silence_s = max(1, int(limits.silence_s))
    for name, value in (
        ("TCP_KEEPIDLE", max(1, int(limits.ping_s))),
        ("TCP_KEEPINTVL", max(1, int(limits.ping_s))),
        ("TCP_USER_TIMEOUT", silence_s * 1000),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
