"""Automatic approval between real nodes: from the request to the first byte without a person."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import msgspec

from audit.policies import automatic_decisions
from cli.demo.cluster import free_ports
from contracts.grants import Grant, grant
from contracts.limits import Limits
from contracts.policies import PolicyPublish
from node.config import load_config
from node.dev import YEAR_MS, _found, _put, _sample
from node.exchange.consumer import Wanted
from node.server import running
from node.service import Service

POLICY = """
@id("a-few-rows")
permit(principal == Department::"service-desk", action, resource)
when { context.rows_max > 0 && context.rows_max <= 10 };
@id("never-onward")
forbid(principal, action, resource) when { context.onward };
"""


async def settled(service: Service, grant_id: bytes) -> Grant:
    """The grant once nothing of it waits."""
    async for _ in service.node.events.heights(-1, certified=True):
        known = grant(service.node.view(), grant_id)
        if known is not None and known.pending is None:
            return known
    raise AssertionError("the node stopped")


def run(folder: Path, scene: Callable[[Service, Service, bytes], Awaitable[None]]) -> None:
    port = free_ports(3)[0]
    names = ("registry", "service-desk")

    async def play() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            services = [
                await stack.enter_async_context(running(load_config(folder / name / "node.toml")))
                for name in names
            ]
            plain = bytes.fromhex(await _sample(services))
            await scene(services[0], services[1], plain)

    _found(folder, names, f"127.0.0.1:{port}")
    asyncio.run(play())


def test_a_request_is_decided_by_policy_and_the_decision_holds_before_an_auditor(
    tmp_path: Path,
) -> None:
    async def scene(provider: Service, consumer: Service, plain: bytes) -> None:
        known = grant(provider.node.view(), plain)
        assert known is not None
        published = PolicyPublish("residents")
        document = POLICY.encode()
        await _put(provider, "policy.publish", published, "policy", document=document)
        cases = {
            "small": ({"limits": Limits(rows_max=5)}, "approved"),
            "onward": ({"limits": Limits(rows_max=5), "onward": True}, "refused"),
        }
        for name, (changes, status) in cases.items():
            wanted = msgspec.structs.replace(known.request, **changes)
            grant_id = await _put(consumer, "grant.request", wanted, name)
            decided = await settled(consumer, grant_id)
            assert decided.status == status
            assert decided.decided.actor == "policy engine"
            if status == "approved":
                ask = Wanted(
                    grant_id,
                    wanted.purpose,
                    "case",
                    {"where": {"id_number": "SYN-0001"}},
                    None,
                    "tester",
                )
                received = await consumer.consumer.exchange(ask, timeout_s=20.0)
                with closing(received):
                    assert len(received.answer().rows) == 1
        large = msgspec.structs.replace(
            known.request, valid_until_ms=wanted.valid_from_ms + YEAR_MS
        )
        waits = await _put(consumer, "grant.request", large, "large")
        await _put(provider, "policy.publish", published, "again", document=document)
        left = grant(provider.node.view(), waits)
        assert left is not None and left.status == "requested"
        found = automatic_decisions(provider.node.store, provider.node.genesis)
        assert [(each.said.verdict, each.supported) for each in found] == [
            ("permit", True),
            ("forbid", True),
        ]

    run(tmp_path, scene)
