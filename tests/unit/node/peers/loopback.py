"""Nodes on the loopback interface for the tests of `node.peers`, and a bare TLS member."""

import asyncio
import functools
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import uvloop
from builders import signer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nacl.signing import SigningKey

from cli.demo.cluster import free_ports
from consensus.messages import PROTOCOL_VERSION
from node.peers import Peer, PeerLimits, PeerNetwork
from node.peers.frames import FrameType, Hello, frame_of, read_frame
from node.peers.rpc import RpcHandler
from node.peers.tls import make_context, own_certificate

LEDGER = sha256(b"ledger").digest()

QUICK = PeerLimits(redial_s=(0.01, 0.05))
"""As in production, but nobody waits long for the next dial."""


def on_the_products_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an asynchronous test on uvloop, as a node runs.

    asyncio's own loop (CPython 3.11) may leave a connection that was being greeted when its node
    stopped to the garbage collector.
    """

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(**arguments))

    return run


def tls_seed(name: str) -> bytes:
    return sha256(b"tls seed " + name.encode()).digest()


def tls_key(name: str) -> bytes:
    return bytes(SigningKey(tls_seed(name)).verify_key)


def node_id(name: str) -> bytes:
    return signer(name).public_key


def vouched_for(name_of: str, key: str | EllipticCurvePrivateKey, *, issued_by: str) -> bytes:
    """A certificate in one node's name over another key, signed by a third, and that key: PEM."""
    if isinstance(key, str):
        key_of: Any = Ed25519PrivateKey.from_private_bytes(tls_seed(key))
    else:
        key_of = key
    named = x509.load_pem_x509_certificate(own_certificate(tls_seed(name_of))[0])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named.subject)
        .issuer_name(named.issuer)
        .public_key(key_of.public_key())
        .serial_number(5)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9000, 1, 1, tzinfo=UTC))
        .sign(Ed25519PrivateKey.from_private_bytes(tls_seed(issued_by)), None)
    )
    return certificate.public_bytes(Encoding.PEM) + key_of.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def with_chain(context: ssl.SSLContext, pem: bytes) -> ssl.SSLContext:
    """The context, with this certificate and key in place of its own."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Heard:
    """What a network told its owner; a test waits until it is as it should be."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self.connected: list[bytes] = []
        self.versions: dict[bytes, int] = {}
        self.problems: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def message(self, sender: bytes, payload: bytes) -> None:
        self.messages.append((sender, payload))
        self._changed.set()

    def connection(self, peer: bytes, version: int) -> None:
        self.connected.append(peer)
        self.versions[peer] = version
        self._changed.set()

    def problem(self, code: str, detail: str) -> None:
        self.problems.append((code, detail))
        self._changed.set()

    @property
    def codes(self) -> set[str]:
        return {code for code, _ in self.problems}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for callbacks until the condition holds; the test's time limit ends a wait."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Node:
    """A network with what it heard."""

    name: str
    port: int
    network: PeerNetwork
    heard: Heard = field(default_factory=Heard)

    @property
    def id(self) -> bytes:
        return node_id(self.name)


def make_node(
    name: str,
    ports: Mapping[str, int],
    *,
    seed: bytes | None = None,
    ledger_id: bytes = LEDGER,
    own_id: bytes | None = None,
    handlers: Mapping[str, RpcHandler] | None = None,
    limits: PeerLimits = QUICK,
    dials: Sequence[str] | None = None,
    more: Sequence[Peer] = (),
    version: int = PROTOCOL_VERSION,
) -> Node:
    """A node that knows every name in `ports`, or only those that it `dials`."""
    heard = Heard()
    others = [other for other in ports if other != name] if dials is None else dials
    network = PeerNetwork(
        ledger_id=ledger_id,
        node_id=own_id or node_id(name),
        tls_seed=seed or tls_seed(name),
        listen=f"127.0.0.1:{ports[name]}",
        peers=[Peer(node_id(o), tls_key(o), f"127.0.0.1:{ports[o]}") for o in others] + [*more],
        on_message=heard.message,
        on_connected=heard.connection,
        on_problem=heard.problem,
        handlers=handlers or {},
        limits=limits,
        version=version,
    )
    return Node(name, ports[name], network, heard)


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """The nodes, started; stopped at the end."""
    try:
        for node in nodes:
            await node.network.start()
        yield
    finally:
        for node in nodes:
            await node.network.stop()


async def meet(*nodes: Node) -> None:
    """Waits until every node can send to every other."""
    for node in nodes:
        wanted = {other.id for other in nodes if other is not node}
        await node.heard.until(lambda n=node, w=wanted: w <= n.network.connected)


def hello(
    name: str, purpose: str = "messages", *, version: int = PROTOCOL_VERSION, ledger: bytes = LEDGER
) -> bytes:
    """The frame with which a member begins."""
    return frame_of(FrameType.HELLO, Hello(version, ledger, node_id(name), purpose, "bare member"))


@asynccontextmanager
async def bare_member(
    name: str, to: Node, *, seed: bytes | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection with a member's key and nothing else: the test writes every byte."""
    context = make_context(seed or tls_seed(name), [tls_key(to.name)], server=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", to.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def bare_listener(
    name: str,
    port: int,
    members: Sequence[str],
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], AsyncIterator[None]],
    *,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Listens with a member's key; `talk` has each connection until it ends or the test does."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            async for _ in talk(reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    trusted = [tls_key(each) for each in members]
    context = context or make_context(tls_seed(name), trusted, server=True)
    server = await asyncio.start_server(accepted, "127.0.0.1", port, ssl=context)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def end_of(reader: asyncio.StreamReader) -> list[tuple[FrameType, bytes]]:
    """Every frame until the other side closes."""
    frames = []
    async with asyncio.timeout(20):
        while True:
            try:
                frames.append(await read_frame(reader))
            except (OSError, asyncio.IncompleteReadError):
                return frames


def ports_of(*names: str) -> dict[str, int]:
    return dict(zip(names, free_ports(len(names)), strict=True))


def nodes_of(*names: str, limits: PeerLimits = QUICK) -> list[Node]:
    ports = ports_of(*names)
    return [make_node(name, ports, limits=limits) for name in names]


async def stays_deaf(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[None]:
    """Greets as node "b", then reads no more and says nothing."""
    await read_frame(reader)
    writer.write(hello("b"))
    await writer.drain()
    await asyncio.Event().wait()
    yield
