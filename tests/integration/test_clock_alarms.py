"""An operator hears of a peer whose clock is apart, for as long as it is."""

import asyncio
from pathlib import Path

from test_retries import a_node

from consensus import messages
from node.messages import Cosignatures, PeerMessage, SignedCheckpoint
from node.runtime import Node

PEER = b"p" * 32


async def heard(node: Node, message: PeerMessage) -> list[str]:
    """The node's alarms after a message of the peer."""
    node._input(lambda: node.replica.receive(PEER, message))
    await asyncio.sleep(0)
    return node.alarms


async def _apart_and_well_again(folder: Path) -> None:
    async with a_node(folder) as service:
        node = service.node
        time_ms = node.clock.now_ms() + 60_000
        asks = messages.VoteRequest(0, 0, 0, time_ms)
        (alarm,) = await heard(node, asks)
        assert alarm.startswith(f"clock-apart: node {PEER.hex()} has a clock ")
        assert alarm.endswith(" s ahead of this node's")
        assert await heard(node, asks) == [alarm]
        end = node.replica.chain.checkpoint()
        now_s = node.clock.now_ms() // 1000
        signed = SignedCheckpoint(end.height, end.tree_size, end.root, now_s, bytes(64))
        assert await heard(node, Cosignatures((signed,))) == []


def test_an_alarm_names_a_peer_whose_clock_is_ahead_until_it_is_right_again(
    tmp_path: Path,
) -> None:
    asyncio.run(_apart_and_well_again(tmp_path))
