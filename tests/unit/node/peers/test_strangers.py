"""`node.peers.strangers`: a question to an address whose keys the asker does not know."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from loopback import make_node, on_the_products_loop, ports_of, running

from node.peers import PeerUnavailable, RpcError


async def echo(sender: bytes, body: bytes) -> AsyncIterator[bytes]:
    yield sender
    yield body


HANDLERS = {"echo": echo}


@on_the_products_loop
async def test_who_is_known_to_a_stranger_gets_the_whole_answer_and_a_refusal_by_name() -> None:
    ports = ports_of("a", "b")
    asker = make_node("a", ports, dials=[])
    stranger = make_node("b", ports, handlers=HANDLERS)
    address = f"127.0.0.1:{stranger.port}"
    async with running(asker, stranger):
        answer = await asker.network.ask_stranger(address, "echo", b"body", timeout_s=10)
        assert answer == asker.id + b"body"
        with pytest.raises(RpcError) as refused:
            await asker.network.ask_stranger(address, "what", b"", timeout_s=10)
        assert refused.value.code == "unknown-method"
        assert asker.network.connected == frozenset()


@on_the_products_loop
async def test_who_is_of_another_ledger_or_finds_nobody_hears_nothing() -> None:
    ports = ports_of("a", "c", "d")
    asker = make_node("a", ports, dials=[])
    elsewhere = make_node("c", ports, ledger_id=sha256(b"other").digest(), handlers=HANDLERS)
    async with running(asker, elsewhere):
        for port in (elsewhere.port, ports["d"]):
            with pytest.raises(PeerUnavailable):
                await asker.network.ask_stranger(f"127.0.0.1:{port}", "echo", b"", timeout_s=10)
        with pytest.raises(PeerUnavailable):
            await asker.network.ask_stranger("x" * 80 + ".example:1", "echo", b"", timeout_s=10)
