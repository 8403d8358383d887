"""Puts a node together and runs it: replica, peers, gateway and HTTP, until it is told to stop."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn

from node.authoring import Author
from node.config import Config, check_address
from node.errors import ConfigInvalid, NodeError, Unavailable
from node.exchange.approvals import Approver
from node.exchange.bulk import Bulk, Journal
from node.exchange.consumer import Consumer
from node.exchange.provider import Provider
from node.exchange.sources.registry import load_sources
from node.exchange.spool import Spool
from node.exchange.vault import Vault
from node.fetching import BLOCKS, Fetching
from node.http.app import make_app
from node.runtime import Node
from node.service import Service
from node.tokens import Tokens
from node.witness import Witness
from node.witnessed import Witnessed

DRAIN_S = 5
"""How long open requests may take to end when the node stops, in seconds."""

GARBAGE_ALLOCATIONS = 20_000
"""Allocations, less releases, between two looks for cyclic garbage among the youngest objects."""

log = structlog.get_logger("concordat")


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the node stops in an order of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the node's."""
        yield


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Service]:
    """A node that talks to its peers, with its gateway; without HTTP."""
    node = Node(config)
    try:
        service = _assemble(node, config)
        fetching = Fetching(node)
    except BaseException:
        await node.stop()
        raise
    try:
        await node.start(
            {
                "exchange": service.provider.serve,
                "resume": service.provider.resume,
                "key": service.provider.key,
                BLOCKS: fetching.serve,
            }
        )
        fetching.start()
        service.provider.recover()
        service.approver.start()
        service.witnessed.start()
        yield service
    finally:
        await fetching.stop()
        await service.witnessed.stop()
        if node.failed is None or not node.failed.done():
            await service.approver.stop()
            await asyncio.gather(
                service.provider.stop(), service.consumer.stop(), return_exceptions=True
            )
        await node.stop()
        service.vault.close()
        service.journal.close()
        service.sources.close()


async def serve(config: Config, *, ready: Callable[[Service], None] | None = None) -> None:
    """Runs a node with its HTTP interface until SIGTERM, SIGINT or a failure that ends it.

    Raises NodeError with what to do. ready: called once everything listens.
    """
    listener = _listen(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(config) as service:
            server = _Server(
                uvicorn.Config(
                    make_app(service),
                    log_config=None,
                    access_log=False,
                    proxy_headers=False,
                    lifespan="off",
                    timeout_graceful_shutdown=DRAIN_S,
                    ssl_certfile=_optional(config, config.http.tls_certificate),
                    ssl_keyfile=_optional(config, config.http.tls_key),
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            _settle_memory()
            if ready is not None:
                ready(service)
            failed = service.node.failed
            assert failed is not None
            failed.add_done_callback(lambda _: stop.set())
            serving.add_done_callback(lambda _: stop.set())
            await stop.wait()
            service.node.events.stop()
            server.should_exit = True
            await serving
            if failed.done():
                raise failed.result()
    finally:
        listener.close()


def _settle_memory() -> None:
    """What exists now stays: the collector looks through it no more, and less often through the
    rest, most of which goes by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_ALLOCATIONS, 20, 20)


def _assemble(node: Node, config: Config) -> Service:
    sources = load_sources(config.sources, config.base)
    folder = config.path(config.node.spool)
    vault = Vault(folder / "vault", node.identity)
    journal = Journal(folder / "bulk")

    def spool() -> Spool:
        return Spool(folder, bytes_max=config.limits.spool_bytes_max)

    author = Author(
        ledger_id=node.ledger_id,
        department=node.department,
        identity=node.identity,
        clock=node.clock,
        store=node.store,
    )
    return Service(
        node=node,
        author=author,
        tokens=Tokens(config.path(config.node.tokens)),
        sources=sources,
        vault=vault,
        provider=Provider(node=node, author=author, sources=sources, vault=vault, spool=spool()),
        consumer=Consumer(node=node, author=author, vault=vault, spool=spool()),
        journal=journal,
        bulk_receipts=Bulk(node=node, author=author, journal=journal, side="r"),
        bulk_acknowledgements=Bulk(node=node, author=author, journal=journal, side="a"),
        approver=Approver(node=node, author=author),
        witness=_witness(node, config),
        witnessed=Witnessed(node, config.witnesses),
    )


def _witness(node: Node, config: Config) -> Witness | None:
    if not config.witness.name:
        return None
    return Witness(
        node.identity,
        name=config.witness.name,
        ml_dsa_44=config.witness.post_quantum,
        logs=config.witnessed,
        folder=config.path(config.node.keys) / "witnessed",
        now_ms=node.clock.now_ms,
    )


def _listen(config: Config) -> socket.socket:
    host, port = check_address("http.listen", config.http.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen for apps on {host}:{port}: {error.strerror}",
            remedy="Is another program running there? Change http.listen.",
        ) from None
    return listener


def _optional(config: Config, path: str) -> str | None:
    if not path:
        return None
    absolute = config.path(path)
    if not absolute.is_file():
        raise ConfigInvalid(f"{absolute} is not there")
    return str(absolute)


__all__ = ["NodeError", "running", "serve"]
