"""Sealed exchanges between two real nodes: the whole course, and what happens when a side stops."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_gateway import Pair, run

from audit.gaps import reconcile
from audit.questions import ALWAYS, QUESTIONS, Database
from audit.tables import make_tables
from contracts.catalog import DatasetOffer, dataset
from contracts.grants import Grant, GrantDecision, grant
from ledger import store_keys
from ledger.types import LeafIndex
from node.dev import _put
from node.exchange.arriving import ExchangeRefused
from node.peers.rpc import RpcError

ONE = {"id_number": "SYN-0001"}
SHORT_MS = 4_000


async def seal(pair: Pair) -> None:
    """The registry's dataset is sensitive from now on."""
    service = pair.provider
    offered = dataset(service.node.view(), service.node.department, "residents")
    assert offered is not None
    place = service.node.store.get(store_keys.document_key(offered.document))
    assert place is not None
    index = LeafIndex(store_keys.read_number(place))
    document = service.node.store.get(store_keys.attached_key(index))
    offer = DatasetOffer("residents", "sensitive", "conditional", True)
    await _put(service, "dataset.change", offer, "sealed", document=document)
    async for _ in pair.consumer.node.events.heights(-1, certified=True):
        known = dataset(pair.consumer.node.view(), service.node.department, "residents")
        if known is not None and known.sealed:
            return


async def until(pair: Pair, holds: Callable[[Grant], bool]) -> Grant:
    """The grant at the provider's node, once something holds of it."""
    async for _ in pair.provider.node.events.heights(-1, certified=True):
        known = grant(pair.provider.node.view(), pair.grant_id)
        assert known is not None
        if holds(known):
            return known
    raise AssertionError("the node stopped")


def ended(pair: Pair) -> list[str]:
    """How each exchange under the grant ended, as an auditor is told."""
    asked = QUESTIONS["exchanges"]
    parameters = {"grant": pair.grant_id.hex(), "from_ms": ALWAYS[0], "to_ms": ALWAYS[1]}
    node = pair.provider.node
    with Database(make_tables(node.store, node.genesis)) as database:
        answer = database.ask(asked.sql, parameters)
    place = answer.columns.index("ended")
    return [row[place] for row in answer.rows]


def gaps(pair: Pair, *, grace_ms: int = 0) -> list[str]:
    """What an auditor finds on the provider's ledger."""
    found = reconcile(pair.provider.node.store, grace_ms=grace_ms)
    return [gap.code for gap in found.gaps]


def play(folder: Path, scene: Callable[[Pair], Awaitable[None]], **options: Any) -> None:
    async def sealed(pair: Pair) -> None:
        await seal(pair)
        await scene(pair)

    run(folder, sealed, **options)


def test_sealed_content_is_acknowledged_before_its_key_is_handed_over(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        received = await pair.exchange(ONE)
        with closing(received):
            assert received.answer().rows == (("SYN-0001", "Ada Example", True),)
        known = await until(pair, lambda known: known.opened == 1)
        assert (known.exchanges, known.sealed, known.acknowledged, known.voided) == (1, 1, 1, 0)
        assert (gaps(pair), ended(pair)) == ([], ["complete"])

    play(tmp_path, scene)


def test_a_provider_that_keeps_the_key_is_seen_by_the_auditor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        async def silent(opened: Any, placed: Any) -> bytes:
            assert "key-missing" in gaps(pair, grace_ms=-1)
            assert ended(pair) == ["no key"]
            raise RpcError("busy", "another time")

        monkeypatch.setattr(pair.provider.provider, "_hand_over_key", silent)
        assert await pair.refused(ONE) == "busy"
        known = await until(pair, lambda known: known.voided == 1)
        assert (known.acknowledged, known.opened) == (1, 0)
        assert (await pair.until_void()).delivered_bytes == 0
        assert (gaps(pair), ended(pair)) == (["key-withheld"], ["voided, key withheld"])

    play(tmp_path, scene, window_ms=SHORT_MS)


def test_a_consumer_that_does_not_acknowledge_gets_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        async def silent(*_: Any, **__: Any) -> Any:
            raise ExchangeRefused("not-acknowledged", "it goes away")

        monkeypatch.setattr(pair.consumer.consumer, "_acknowledge", silent)
        assert await pair.refused(ONE) == "not-acknowledged"
        known = await until(pair, lambda known: known.voided == 1)
        assert (known.acknowledged, known.opened) == (0, 0)
        assert (await pair.until_void()).delivered_bytes == 0
        assert (gaps(pair), ended(pair)) == ([], ["voided"])

    play(tmp_path, scene, window_ms=SHORT_MS)


def test_a_key_that_is_not_the_one_committed_to_is_refused_and_stays_as_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.exchange import provider as module

    honest = module.wrap
    monkeypatch.setattr(module, "wrap", lambda key, to, **names: honest(bytes(32), to, **names))

    async def scene(pair: Pair) -> None:
        assert await pair.refused(ONE) == "key-mismatch"
        known = await until(pair, lambda known: known.opened == 1)
        assert known.acknowledged == 1

    play(tmp_path, scene)


def test_what_is_revoked_between_acknowledgement_and_key_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider = pair.provider.provider
        honest = provider._hand_over_key

        async def late(opened: Any, placed: Any) -> bytes:
            body = GrantDecision(pair.grant_id, "it is over")
            await _put(pair.provider, "grant.revoke", body, "revoked")
            return await honest(opened, placed)

        monkeypatch.setattr(provider, "_hand_over_key", late)
        assert await pair.refused(ONE) == "grant-revoked"
        known = await until(pair, lambda known: known.voided == 1)
        assert (known.acknowledged, known.opened) == (1, 0)
        void = await pair.until_void()
        assert (void.delivered_bytes, void.reason) == (0, "grant-revoked")

    play(tmp_path, scene)
