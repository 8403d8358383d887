"""Streams of receipts and acknowledgements: idempotent, resumable, each refused entry explained."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import msgpack
import pytest
import yaml

from cli.demo.cluster import free_ports
from cli.xroad import Half, half_of, imported, records
from contracts.grants import Grant, grant
from node import ports
from node.config import load_config
from node.dev import YEAR_MS, _found, _sample
from node.exchange.bulk import BATCH_ITEMS
from node.http.app import make_app
from node.http.bulk import MSGPACK, NDJSON
from node.runtime import Unknown
from node.server import running
from node.service import Service

COUNT = 2 * BATCH_ITEMS + 7


def token(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()


class Sides:
    """A provider's and a consumer's node with their HTTP interfaces, and a grant between them."""

    def __init__(self, provider: Service, consumer: Service, grant_id: str) -> None:
        self.provider, self.consumer, self.grant_id = provider, consumer, grant_id
        self.clients = {
            "receipts": self._client(provider),
            "acknowledgements": self._client(consumer),
        }

    @staticmethod
    def _client(service: Service) -> httpx2.AsyncClient:
        service.tokens.revoke("sidecar")
        secret = service.tokens.add(
            name="sidecar", role="app", expires_at_ms=service.node.clock.now_ms() + YEAR_MS
        )
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=make_app(service)),
            base_url="http://node",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
        )

    def entries(self, numbers: Iterable[int], side: str = "receipts") -> list[dict[str, Any]]:
        made = []
        for number in numbers:
            entry: dict[str, Any] = {
                "exchange_id": token("exchange", number),
                "grant_id": self.grant_id,
                "request": token("request", number),
                "response": token("response", number),
            }
            if side == "receipts":
                entry |= {"case": token("case", number), "rows": 1, "size_bytes": 100}
            made.append(entry)
        return made

    async def send(self, side: str, body: bytes, form: str = NDJSON) -> dict[str, Any]:
        """Posts a stream in pieces that do not care where entries end."""

        async def pieces() -> Any:
            for start in range(0, len(body), 70_001):
                yield body[start : start + 70_001]

        answer = await self.clients[side].post(
            f"/v1/bulk/{side}", content=pieces(), headers={"Content-Type": form}
        )
        content: dict[str, Any] = answer.json()
        return content | {"status": answer.status_code}

    def known(self) -> Grant:
        found = grant(self.provider.node.view(), bytes.fromhex(self.grant_id))
        assert found is not None
        return found


def lines(entries: Iterable[object]) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    return (answer["received"], answer["accepted"], answer["known"], answer["refused"])


def run(folder: Path, scene: Callable[[Sides], Awaitable[None]]) -> None:
    """Two nodes, a scene, and an end in order."""
    port = free_ports(3)[0]
    names = ("registry", "service-desk")

    async def play() -> None:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            services = [
                await stack.enter_async_context(running(load_config(folder / name / "node.toml")))
                for name in names
            ]
            await scene(Sides(services[0], services[1], await _sample(services)))

    if not (folder / names[0]).exists():
        _found(folder, names, f"127.0.0.1:{port}")
    asyncio.run(play())


def test_a_stream_is_written_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async def scene(sides: Sides) -> None:
        entries = sides.entries(range(COUNT))
        answer = await sides.send("receipts", lines(entries))
        assert counts(answer) == (COUNT, COUNT, 0, 0)
        assert counts(await sides.send("receipts", lines(entries))) == (COUNT, 0, COUNT, 0)
        packed = b"".join(msgpack.packb(entry) for entry in sides.entries(range(5, COUNT + 5)))
        answer = await sides.send("receipts", packed, MSGPACK)
        assert counts(answer) == (COUNT, 5, COUNT - 5, 0)
        assert (sides.known().exchanges, sides.known().rows) == (COUNT + 5, COUNT + 5)
        async for _ in sides.consumer.node.events.heights(-1, certified=True):
            if sides.consumer.node.events.height >= sides.provider.node.events.height:
                break
        halves = lines(sides.entries(range(COUNT + 6), "acknowledgements"))
        answer = await sides.send("acknowledgements", halves)
        assert counts(answer) == (COUNT + 6, COUNT + 5, 0, 1)
        assert answer["refusals"][0]["code"] == "no-receipt"
        assert sides.known().acknowledged == COUNT + 5

    run(tmp_path, scene)


def test_each_entry_that_is_refused_says_why_and_holds_up_no_other(tmp_path: Path) -> None:
    async def scene(sides: Sides) -> None:
        good = sides.entries(range(6))
        other = sides.entries([0])[0] | {"rows": 2}
        stranger = sides.entries([99])[0] | {"grant_id": token("no grant")}
        wrong = sides.entries([98])[0] | {"rows": -1, "colour": "red"}
        loud = sides.entries([97])[0] | {"case": token("case", 97).upper()}
        body = (
            lines([*good[:3], other, stranger, wrong, loud])
            + b"\n{broken\n"
            + b"x" * 5_000
            + b"\n"
            + lines(good[3:])
        )
        answer = await sides.send("receipts", body)
        assert counts(answer) == (12, 6, 0, 6)
        refused = {each["place"]: each["code"] for each in answer["refusals"]}
        malformed = dict.fromkeys((6, 7, 8, 9), "malformed-entry")
        assert refused == {4: "other-content", 5: "unknown-grant"} | malformed
        answer = await sides.send("receipts", msgpack.packb(good[0]) + b"\xc1 damage", MSGPACK)
        assert counts(answer) == (2, 0, 1, 1)
        answer = await sides.send("receipts", b"", "text/csv")
        assert answer["status"] == 422

    run(tmp_path, scene)


def test_a_stream_that_was_cut_off_within_a_batch_is_resumed_without_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first(sides: Sides) -> None:
        submit = sides.provider.node.submit
        calls = 0

        async def forgetful(raw: bytes, **options: Any) -> Any:
            nonlocal calls
            outcome = await submit(raw, **options)
            calls += 1
            if calls == 2:
                assert isinstance(outcome, ports.Accepted)
                return Unknown(bytes(32))
            return outcome

        monkeypatch.setattr(sides.provider.node, "submit", forgetful)
        answer = await sides.send("receipts", lines(sides.entries(range(COUNT))))
        assert answer["status"] == 504
        monkeypatch.undo()
        assert sides.known().exchanges == 2 * BATCH_ITEMS

    async def second(sides: Sides) -> None:
        resumed = lines(sides.entries(range(BATCH_ITEMS - 3, COUNT)))
        answer = await sides.send("receipts", resumed)
        assert counts(answer) == (COUNT - BATCH_ITEMS + 3, 7, BATCH_ITEMS + 3, 0)
        assert sides.known().exchanges == COUNT

    run(tmp_path, first)
    run(tmp_path, second)


def test_what_an_x_road_did_is_on_the_ledger_with_both_halves_and_once(tmp_path: Path) -> None:
    async def scene(sides: Sides) -> None:
        ledger_id = sides.provider.node.ledger_id
        values = [
            monitored(side, f"message-{number}")
            for number in range(3)
            for side in ("Client", "Producer", "Producer")
        ]
        values.append(monitored("Client", "timed-out", responseInTs=None))
        for side, route in (("producer", "receipts"), ("client", "acknowledgements")):
            found = imported(
                values,
                side=side,
                grants={("EE/GOV/1/desk", "EE/GOV/2/registry/people"): sides.grant_id},
                secret=bytes(range(32)),
                ledger_id=ledger_id,
            )
            assert (found.read, found.used, found.paired) == (10, 3, 3)
            assert dict(found.refused) == {"other-side": 3, "duplicate": 3, "failed": 1}
            body = lines(found.entries)
            assert counts(await sides.send(route, body)) == (3, 3, 0, 0)
            assert counts(await sides.send(route, body)) == (3, 0, 3, 0)
            async for _ in sides.consumer.node.events.heights(-1, certified=True):
                if sides.consumer.node.events.height >= sides.provider.node.events.height:
                    break
        assert (sides.known().exchanges, sides.known().acknowledged) == (3, 3)

    run(tmp_path, scene)


REAL = Path(__file__).resolve().parents[3] / "shared/data/xroad-metrics"


def real_records() -> list[object]:
    """Every record of an X-Road instance's logs and open data that is at hand."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(REAL.rglob("*.json"))]
    for file in sorted(REAL.rglob("get_harvest_all.yaml")):
        recorded = yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]
        texts += [each["response"]["body"]["string"] for each in recorded]
    return [value for text in texts for value in records(text)]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared is not here")
def test_real_x_road_records_come_to_the_ledger_once_and_the_rest_is_explained(
    tmp_path: Path,
) -> None:
    values = real_records()
    halves = [half for half in map(half_of, values) if isinstance(half, Half)]
    refusals = {"failed": 10, "contradiction": 22}
    expected = {
        "receipts": ("producer", 137, refusals | {"other-side": 136}),
        "acknowledgements": ("client", 136, refusals | {"other-side": 137}),
    }

    async def scene(sides: Sides) -> None:
        grants = {(half.client, half.service): sides.grant_id for half in halves}
        for route, (side, used, refused) in expected.items():
            found = imported(
                values,
                side=side,
                grants=grants,
                secret=bytes(range(32)),
                ledger_id=sides.provider.node.ledger_id,
            )
            assert (found.read, found.used, found.paired) == (305, used, 136)
            assert dict(found.refused) == refused
            body = lines(found.entries)
            assert counts(await sides.send(route, body)) == (used, used, 0, 0)
            assert counts(await sides.send(route, body)) == (used, 0, used, 0)
            async for _ in sides.consumer.node.events.heights(-1, certified=True):
                if sides.consumer.node.events.height >= sides.provider.node.events.height:
                    break
        assert (sides.known().exchanges, sides.known().acknowledged) == (137, 136)

    run(tmp_path, scene)


def monitored(side: str, message: str, **changes: Any) -> dict[str, Any]:
    """A security server's record of one exchange."""
    parties = {
        "clientXRoadInstance": "EE",
        "clientMemberClass": "GOV",
        "clientMemberCode": "1",
        "clientSubsystemCode": "desk",
        "serviceXRoadInstance": "EE",
        "serviceMemberClass": "GOV",
        "serviceMemberCode": "2",
        "serviceSubsystemCode": "registry",
        "serviceCode": "people",
    }
    times = {"requestInTs": 1_000, "responseInTs": 2_000}
    sizes = {"requestMimeSize": 10, "responseMimeSize": 20}
    said = {"securityServerType": side, "messageId": message, "succeeded": True}
    return parties | times | sizes | said | changes
