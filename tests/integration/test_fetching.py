"""A node that reaches none of the voters it knows gets certified blocks from another address."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from test_retries import DOCUMENT, DRAFT, STEWARD, found

from contracts.catalog import DatasetOffer
from node import fetching, ports
from node.authoring import Draft
from node.config import load_config
from node.messages import BlocksWanted
from node.server import running
from node.service import Service
from node.standing import Standing

NOBODY = "127.0.0.1:9"
"""An address where nobody listens."""


async def _written(service: Service, count: int) -> int:
    """Certified records; the height of the last."""
    height = 0
    for number in range(count):
        offer = DatasetOffer(f"homes-{number}", "internal", "open", False)
        draft = Draft(DRAFT.kind, offer, STEWARD.name, document=DOCUMENT)
        raw = service.author.build(draft).to_bytes()
        outcome = await service.node.submit(raw, wait="certified", timeout_s=20)
        assert isinstance(outcome, ports.Accepted), outcome
        height = outcome.height
    return height


async def _fetch(folder: Path) -> None:
    health, housing, tourism = found(folder, "health", "housing", "tourism")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(load_config(health)))
        second = await stack.enter_async_context(running(load_config(housing)))
        known = [first.node.identity.node_id, second.node.identity.node_id]
        height = await _written(first, 12)
        lines = [f'"{node.hex()}" = "{NOBODY}"' for node in known]
        lines.append(f'"{"0" * 64}" = "{first.node.config.rpc.listen}"')
        with tourism.open("a", encoding="utf-8") as file:
            file.write("\n[peers]\n" + "\n".join(lines) + "\n")
        away = await stack.enter_async_context(running(load_config(tourism)))
        async with asyncio.timeout(20):
            while away.node.events.certified_height < height:
                await asyncio.sleep(0.01)
        assert away.node.standing is Standing.ASKING
        assert away.node.replica.raft.term == 0
        assert await _asked_for_what_is_not_there(first, second) == {"busy", "malformed-request"}


async def _asked_for_what_is_not_there(server: Service, caller: Service) -> set[str]:
    codes = set()
    assert caller.node.network is not None
    for body in (fetching.encode(BlocksWanted(10**6, 10**6)), b"\xc1", b"\x91\x69"):
        with pytest.raises(fetching.RpcError) as refused:
            await caller.node.network.ask_stranger(
                server.node.config.rpc.listen, fetching.BLOCKS, body, timeout_s=5
            )
        codes.add(refused.value.code)
    return codes


def test_a_node_that_reaches_no_voter_it_knows_fetches_blocks_and_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.05)
    asyncio.run(_fetch(tmp_path))
