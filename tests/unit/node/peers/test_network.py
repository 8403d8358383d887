"""`node.peers.network`: members find each other again and again; nobody else gets a word in."""

import asyncio

import pytest
from loopback import (
    make_node,
    meet,
    node_id,
    nodes_of,
    on_the_products_loop,
    ports_of,
    running,
    tls_key,
)

from consensus.messages import PROTOCOL_VERSION
from node.errors import Unavailable
from node.peers import Peer
from node.peers.frames import (
    FRAME_BYTES_MAX,
)

# Members among themselves.


@on_the_products_loop
async def test_three_nodes_exchange_messages_in_order() -> None:
    nodes = nodes_of("a", "b", "c")
    async with running(*nodes):
        await meet(*nodes)
        sent = [f"{number}".encode() for number in range(500)]
        for node in nodes:
            for other in nodes:
                if other is not node:
                    assert all(node.network.send(other.id, payload) for payload in sent)
        for node in nodes:
            heard = node.heard
            await heard.until(lambda h=heard: len(h.messages) == 1000)
            for other in nodes:
                if other is not node:
                    assert [text for who, text in heard.messages if who == other.id] == sent
    assert not any(node.heard.problems for node in nodes)


@on_the_products_loop
async def test_the_largest_message_arrives_and_a_larger_one_is_dropped() -> None:
    a, b = nodes_of("a", "b")
    async with running(a, b):
        await meet(a, b)
        assert not a.network.send(b.id, bytes(FRAME_BYTES_MAX))
        assert a.network.send(b.id, bytes(FRAME_BYTES_MAX - 1))
        await b.heard.until(lambda: len(b.heard.messages) == 1)
        assert len(b.heard.messages[0][1]) == FRAME_BYTES_MAX - 1
        assert a.network.queued_bytes == 0


@on_the_products_loop
async def test_nodes_may_start_in_any_order_and_a_restarted_one_is_found_again() -> None:
    ports = ports_of("a", "b")
    a = make_node("a", ports)
    async with running(a):
        assert not a.network.send(node_id("b"), b"nobody there")
        for life in range(3):
            b = make_node("b", ports)
            async with running(b):
                await meet(a, b)
                assert a.network.send(b.id, b"life %d" % life)
                await b.heard.until(lambda h=b.heard: bool(h.messages))
                assert b.heard.messages == [(a.id, b"life %d" % life)]
            while a.network.connected:
                await asyncio.sleep(0)
        assert a.heard.connected == [b.id] * 3


@on_the_products_loop
async def test_what_was_sent_before_a_stop_still_arrives() -> None:
    a, b = nodes_of("a", "b")
    async with running(b):
        async with running(a):
            await meet(a, b)
            assert a.network.send(b.id, b"I step down")
        await b.heard.until(lambda: b.heard.messages == [(a.id, b"I step down")])


@on_the_products_loop
async def test_stopping_closes_the_port_and_leaves_no_task() -> None:
    a, b = nodes_of("a", "b")
    before = asyncio.all_tasks()
    async with running(a, b):
        await meet(a, b)
    assert a.network.connected == frozenset()
    assert not a.network.send(b.id, b"too late")
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", a.port)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@on_the_products_loop
async def test_a_taken_port_is_said_with_a_remedy() -> None:
    (a,) = nodes_of("a")
    same = make_node("b", {"b": a.port})
    async with running(a):
        with pytest.raises(
            Unavailable, match=f"cannot listen for peers on 127.0.0.1:{a.port}"
        ) as e:
            await same.network.start()
        assert "rpc.listen" in e.value.remedy
        await same.network.stop()


@on_the_products_loop
async def test_nothing_is_sent_to_who_is_no_peer() -> None:
    (a,) = nodes_of("a")
    async with running(a):
        assert not a.network.send(node_id("stranger"), b"x")
        assert not a.network.send(a.id, b"x")


# Versions, and members that come and go.


@on_the_products_loop
async def test_two_versions_speak_the_older_one() -> None:
    ports = ports_of("a", "b", "c")
    old = make_node("a", ports, version=1)
    new = make_node("b", ports)
    newer = make_node("c", ports, version=PROTOCOL_VERSION + 5)
    async with running(old, new, newer):
        await meet(old, new, newer)
        assert new.heard.versions == {old.id: 1, newer.id: PROTOCOL_VERSION}
        assert old.heard.versions == {new.id: 1, newer.id: 1}
        assert new.network.send(old.id, b"x")
        await old.heard.until(lambda: bool(old.heard.messages))


def peer_of(name: str, ports: dict[str, int]) -> Peer:
    return Peer(node_id(name), tls_key(name), f"127.0.0.1:{ports[name]}")


@on_the_products_loop
async def test_a_member_that_joins_is_dialled_and_let_in_and_one_that_leaves_is_not() -> None:
    ports = ports_of("a", "b", "c")
    a = make_node("a", ports, dials=["b"])
    b = make_node("b", ports, dials=["a"])
    c = make_node("c", ports)
    async with running(a, b, c):
        await meet(a, b)
        assert not c.network.connected
        a.network.update([peer_of("b", ports), peer_of("c", ports)])
        b.network.update([peer_of("a", ports), peer_of("c", ports)])
        await meet(a, b, c)
        assert a.heard.connected.count(b.id) == 1
        assert a.network.send(c.id, b"the last word")
        a.network.update([peer_of("b", ports)])
        await c.heard.until(lambda: (a.id, b"the last word") in c.heard.messages)
        async with asyncio.timeout(10):
            while a.id in c.network.connected:
                await asyncio.sleep(0.01)
        assert not a.network.send(c.id, b"x")
        assert c.id not in a.network.connected
        assert a.network.send(b.id, b"still here")
        await b.heard.until(lambda: (a.id, b"still here") in b.heard.messages)
        heard = len(a.heard.connected)
        await asyncio.sleep(0.2)
        assert len(a.heard.connected) == heard
        a.network.update([peer_of("b", ports), peer_of("c", ports)])
        await meet(a, b, c)


@on_the_products_loop
async def test_a_member_under_another_address_is_dialled_there() -> None:
    ports = ports_of("a", "b")
    a = make_node("a", ports, dials=[], more=[Peer(node_id("b"), tls_key("b"), "127.0.0.1:9")])
    b = make_node("b", ports)
    async with running(a, b):
        a.network.update([peer_of("b", ports)])
        await meet(a, b)
