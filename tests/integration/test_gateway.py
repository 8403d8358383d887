"""The exchange gateway between two real nodes: what a dishonest or slow provider cannot do."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from cli.demo.cluster import free_ports
from contracts.emergencies import EmergencyReview
from contracts.exchanges import Receipt, Void, parse_item
from contracts.grants import GrantDecision, grant
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.blocks import parse_any_leaf
from ledger.codec import encode
from ledger.genesis import Setting
from ledger.records import RecordLeaf, parse_leaf
from ledger.types import LeafIndex
from node.config import load_config
from node.dev import _found, _sample
from node.exchange.answers import ReleaseHead
from node.exchange.batching import Right
from node.exchange.consumer import ExchangeRefused, Received, Wanted
from node.exchange.preparing import NO_SUBJECTS
from node.exchange.recovery import Unfinished
from node.http.writing import ended_by, stopping
from node.peers.rpc import Part
from node.runtime import StateView
from node.server import running
from node.service import Service

PURPOSE = "dpv:ResearchAndDevelopment"
ROWS = 9_000


class Pair:
    """A provider's node, a consumer's, and a grant between them."""

    def __init__(self, provider: Service, consumer: Service, grant_id: bytes) -> None:
        self.provider = provider
        self.consumer = consumer
        self.grant_id = grant_id

    async def exchange(
        self, where: dict[str, Any], *, timeout_s: float = 10.0, **query: int
    ) -> Received:
        wanted = Wanted(self.grant_id, PURPOSE, "case", {"where": where, **query}, None, "tester")
        return await self.consumer.consumer.exchange(wanted, timeout_s=timeout_s)

    async def refused(self, where: dict[str, Any], *, timeout_s: float = 10.0) -> str:
        with pytest.raises(ExchangeRefused) as refused:
            await self.exchange(where, timeout_s=timeout_s)
        return refused.value.code

    def voids(self) -> list[Void]:
        """Every void on the provider's ledger."""
        store = self.provider.node.store
        found = []
        for key, leaf in store.scan(store_keys.LEAF, b"m"):
            if not isinstance(parse_any_leaf(leaf), RecordLeaf):
                continue
            if parse_leaf(leaf).header.kind == "exchange.voids":
                index = LeafIndex(store_keys.read_number(key[1:]))
                attached = store.get(store_keys.attached_key(index))
                assert attached is not None
                found += [parse_item(item) for item in parse_items(attached)]
        return [item for item in found if isinstance(item, Void)]

    async def until_void(self) -> Void:
        async for _ in self.provider.node.events.heights(-1, certified=True):
            if voids := self.voids():
                return voids[-1]
        raise AssertionError("the node stopped")


def run(
    folder: Path,
    scene: Callable[[Pair], Awaitable[None]],
    *,
    prepare: Callable[[Path], None] | None = None,
    window_ms: int = 10_000,
) -> None:
    """Two nodes, a scene, and an end in order. prepare: what is done to their folder before."""
    port = free_ports(3)[0]
    names = ("registry", "service-desk")

    async def play() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            services = [
                await stack.enter_async_context(running(load_config(folder / name / "node.toml")))
                for name in names
            ]
            grant_id = bytes.fromhex(await _sample(services))
            await scene(Pair(services[0], services[1], grant_id))

    settings = (Setting("release-window-ms", window_ms),)
    _found(folder, names, f"127.0.0.1:{port}", settings=settings)
    if prepare is not None:
        prepare(folder)
    asyncio.run(play())


def test_an_exchange_is_receipted_checked_and_acknowledged(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        received = await pair.exchange({"id_number": "SYN-0001"})
        with closing(received):
            assert received.answer().rows == (("SYN-0001", "Ada Example", True),)
        async for _ in pair.consumer.node.events.heights(-1, certified=True):
            known = grant(pair.consumer.node.view(), pair.grant_id)
            assert known is not None
            if known.acknowledged == 1:
                assert (known.exchanges, known.rows, known.voided) == (1, 1, 0)
                return

    run(tmp_path, scene)


def test_a_provider_cannot_hand_over_other_content_than_it_receipted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider = pair.provider.provider
        honest = provider._release

        async def other(opened: Any, *, start: int) -> AsyncIterator[bytes]:
            async for part in honest(opened, start=start):
                for chunk in part():
                    yield chunk.replace(b"Ada", b"Eve")

        monkeypatch.setattr(provider, "_release", other)
        assert await pair.refused({"id_number": "SYN-0001"}) == "receipt-mismatch"

    run(tmp_path, scene)


def test_a_provider_cannot_hand_over_without_a_certified_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider = pair.provider.provider

        async def serve(sender: bytes, body: bytes) -> AsyncIterator[bytes]:
            asked = provider._authentic(sender, body)
            known = grant(pair.provider.node.view(), asked.grant_id)
            assert known is not None
            prepared = await provider._preparer.prepare(asked, known)
            hashes, content = tuple(prepared.result.hashes), prepared.result.chunk(0)
            prepared.result.discard()
            yield encode(
                ReleaseHead(bytes(32), encode(prepared.receipt), prepared.blinding, hashes, None)
            )
            yield content

        network = pair.provider.node.network
        assert network is not None
        monkeypatch.setitem(network._handlers, "exchange", serve)  # type: ignore[arg-type]
        assert await pair.refused({"id_number": "SYN-0001"}, timeout_s=1.0) == "receipt-missing"

    run(tmp_path, scene)


def test_nothing_goes_out_after_the_release_window_and_the_receipt_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        times = iter([0.0])
        monkeypatch.setattr(pair.provider.provider, "_monotonic", lambda: next(times, 11.0))
        assert await pair.refused({"id_number": "SYN-0001"}) == "release-window-over"
        void = await pair.until_void()
        assert void.delivered_bytes == 0 and "window" in void.reason

    run(tmp_path, scene)


def test_a_receipt_that_is_certified_only_after_a_restart_is_void(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        provider, view = pair.provider.provider, pair.provider.node.view()
        known = grant(view, pair.grant_id)
        assert known is not None
        receipt = Receipt(
            exchange_id=bytes([7] * 32),
            request=bytes(32),
            response=bytes(32),
            case=bytes(32),
            rows=1,
            size_bytes=1,
            subjects=0,
            subjects_root=NO_SUBJECTS,
            key_commitment=None,
        )
        height = pair.provider.node.events.height
        provider._unfinished = {receipt.exchange_id: Unfinished(pair.grant_id, height)}
        provider.recover()
        await asyncio.sleep(0)
        right = Right(known.version, known.request.purpose, known.request.legal_basis)
        await provider._receipts.add(
            pair.grant_id, encode(receipt), rows=1, size_bytes=1, right=right
        )
        void = await pair.until_void()
        assert (void.exchange_id, void.delivered_bytes) == (receipt.exchange_id, 0)
        assert "restarted" in void.reason

    run(tmp_path, scene)


def test_a_revocation_whose_outcome_is_not_known_goes_on_stopping(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        endings = pair.provider.provider.endings
        async with stopping(pair.provider, pair.grant_id):
            assert endings.under_way(pair.grant_id)
        assert not endings.under_way(pair.grant_id)
        with pytest.raises(asyncio.CancelledError):
            async with stopping(pair.provider, pair.grant_id):
                raise asyncio.CancelledError
        assert endings.under_way(pair.grant_id)

    run(tmp_path, scene)


def test_whatever_ends_a_grant_stops_its_exchanges_as_it_is_submitted() -> None:
    grant_id = bytes([7] * 32)
    for kind in ("grant.revoke", "grant.suspend"):
        assert ended_by(kind, GrantDecision(grant_id, "over")) == grant_id
    assert ended_by("grant.resume", GrantDecision(grant_id, "again")) is None
    review = EmergencyReview(grant_id, "unjustified", "nothing was found")
    assert ended_by("emergency.review", review) == grant_id
    justified = EmergencyReview(grant_id, "justified", "a flood")
    assert ended_by("emergency.review", justified) is None


def test_a_revocation_stops_a_release_between_two_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider = pair.provider.provider
        with closing(sqlite3.connect(tmp_path / "registry" / "residents.db")) as db, db:
            db.executemany(
                "INSERT INTO residents VALUES (?, ?, '2000-01-01', 1)",
                [(f"SYN-{number:06d}", "x" * 60) for number in range(ROWS)],
            )
        honest = provider._release

        async def interrupted(opened: Any, *, start: int) -> AsyncIterator[Part]:
            sent = 0
            async for part in honest(opened, start=start):
                yield part
                sent += 1
                if sent == 2:
                    provider.endings.begin(pair.grant_id)

        monkeypatch.setattr(provider, "_release", interrupted)
        assert await pair.refused({}) == "grant-revoked"
        void = await pair.until_void()
        assert 0 < void.delivered_bytes < ROWS * 60 and void.reason == "grant-revoked"
        assert await pair.refused({"id_number": "SYN-0001"}) == "grant-revoked"
        async for _ in pair.provider.node.events.heights(-1, certified=True):
            known = grant(pair.provider.node.view(), pair.grant_id)
            assert known is not None
            if known.denied:
                return

    run(tmp_path, scene)


def test_a_filter_by_a_field_that_is_not_granted_is_refused(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        assert await pair.refused({"born": "1990-01-31"}) == "query-refused"

    run(tmp_path, scene)


def test_a_provider_that_is_behind_catches_up_before_it_denies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider, node = pair.provider.provider, pair.provider.node
        views = [StateView(node.store), StateView(node.store)]
        heights: list[int | None] = []

        class Empty:
            """A ledger on which nothing has happened yet."""

            def get(self, key: bytes) -> bytes | None:
                return None if key.startswith(b"grant/") else views[0].get(key)

        barrier = node.read_barrier

        async def read_barrier(*, timeout_s: float) -> int | None:
            monkeypatch.setattr(node, "view", lambda: views[1])
            heights.append(await barrier(timeout_s=timeout_s))
            return heights[-1]

        monkeypatch.setattr(node, "view", Empty)
        monkeypatch.setattr(node, "read_barrier", read_barrier)
        (await pair.exchange({"id_number": "SYN-0001"})).close()
        assert len(heights) == 1 and heights[0] is not None
        assert provider.denied == 0

    run(tmp_path, scene)
