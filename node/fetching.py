"""Certified blocks over RPC, for a node that knows none of today's voters.

A node that was away for long, or ran on behind a cut cable, knows the voters of then. If all of
them have been replaced, nobody whom it knows is there to be asked, and it does not let in those
whom it does not know. Then it asks the addresses in `[peers]` of nodes that its ledger does not
name: blocks prove themselves, by the voters that it knows, whoever hands them on (DESIGN, "Peers
and keys"). They bring it to the voters of today, whom it then asks like any other.
"""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from ledger.codec import encode
from ledger.errors import Malformed
from node.messages import PEER_MESSAGE, BlocksWanted, CertifiedBlocks
from node.peers import PeerUnavailable, RpcError
from node.runtime import Node

BLOCKS = "blocks"
"""The method: `BlocksWanted`, answered by `CertifiedBlocks`."""

PAUSE_S = 5.0
"""Between two rounds over all addresses; the first begins after as long."""

TIMEOUT_S = 30.0
"""For one answer."""

EXECUTING_S = 0.05
"""Between two looks whether what came is executed."""

log = structlog.get_logger("concordat")


class Fetching:
    """Serves blocks to members, and fetches them while no voter answers this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._task: asyncio.Task[None] | None = None

    async def serve(self, sender: bytes, body: bytes) -> AsyncGenerator[bytes, None]:
        """Answers a member that is behind. Raises RpcError."""
        try:
            wanted = PEER_MESSAGE.decode(body)
        except Malformed as error:
            raise RpcError("malformed-request", str(error)) from None
        if not isinstance(wanted, BlocksWanted):
            raise RpcError("malformed-request", "no question for blocks")
        answer = self._node.replica.blocks_for(sender, wanted)
        if answer is None:
            raise RpcError("busy", "there are none yet, or they were asked for too often")
        yield encode(answer)

    def start(self) -> None:
        """Begins to look whether there is somebody to ask."""
        self._task = asyncio.create_task(self._fetch_for_ever())

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def addresses(self) -> list[str]:
        """Of nodes that the configuration names and the ledger here does not."""
        known = {node_id.hex() for node_id in self._node.replica.members}
        return [
            address for node_id, address in self._node.config.peers.items() if node_id not in known
        ]

    async def _fetch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            for address in self.addresses:
                try:
                    while await self._fetch(address):
                        pass
                except (PeerUnavailable, RpcError, Malformed) as error:
                    log.info("no blocks from outside the ledger", address=address, why=str(error))

    async def _fetch(self, address: str) -> bool:
        """Asks once; whether that brought this node on, so that it makes sense to ask again."""
        node = self._node
        wanted = node.replica.blocks_wanted()
        if wanted is None or node.network is None:
            return False
        answer = PEER_MESSAGE.decode(
            await node.network.ask_stranger(address, BLOCKS, encode(wanted), timeout_s=TIMEOUT_S)
        )
        if not isinstance(answer, CertifiedBlocks):
            raise Malformed("certified blocks", "another message came")
        if not node.fetched(answer):
            return False
        while node.replica.catches_up:
            await asyncio.sleep(EXECUTING_S)
        return True
