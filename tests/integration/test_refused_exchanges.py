"""The truth table of refusals: what a provider denies, with which code, and that each is recorded.

Two real nodes; a row says how the grant differs from a plain one, what was done about it, and how
the request differs from one that is served. What a contract refuses at a receipt's place in the
ledger has its own table in `tests/unit/contracts`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cli.demo.cluster import free_ports
from contracts.catalog import DatasetOffer, DatasetWithdraw, dataset
from contracts.exchanges import Denial, parse_item
from contracts.grants import GrantApprove, GrantDecision, GrantReply, GrantRequest, grant
from contracts.limits import Hours, Limits, Rate
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.blocks import parse_any_leaf
from ledger.codec import Format
from ledger.records import RecordLeaf, parse_leaf
from ledger.types import LeafIndex
from node.config import load_config
from node.dev import YEAR_MS, _found, _put, _sample
from node.exchange.consumer import ExchangeRefused, Wanted
from node.http.exchanges import exchange
from node.http.models import ExchangeWanted, Verdict
from node.server import running
from node.service import Service
from node.tokens import Token

PURPOSE = "dpv:ResearchAndDevelopment"
ONE = {"id_number": "SYN-0001"}
TWO = {"id_number": {"in": ["SYN-0001", "SYN-0002"]}}


@dataclass(frozen=True)
class Row:
    """One way to be refused. acts: done before, by the provider but for the consumer's withdrawal.

    served: exchanges before. dataset: the sample's, or one that is published like it.
    """

    code: str
    limits: Limits = Limits()
    acts: tuple[str, ...] = ("approve",)
    served: int = 0
    purpose: str = PURPOSE
    fields: tuple[str, ...] | None = None
    where: dict[str, Any] = field(default_factory=lambda: ONE)
    dataset: str = "residents"


OTHERS = {
    "archive": DatasetOffer("archive", "sensitive", "conditional", True, carried="elsewhere"),
    "replaced": DatasetOffer("replaced", "personal", "conditional", True),
}
"""Datasets that are published beside the sample's."""

TABLE = (
    Row("grant-not-active", acts=()),
    Row("grant-not-active", acts=("accept", "refuse")),
    Row("grant-suspended", acts=("approve", "suspend")),
    Row("grant-revoked", acts=("approve", "revoke")),
    Row("grant-withdrawn", acts=("approve", "withdraw")),
    Row("grant-not-started"),
    Row("carried-elsewhere", dataset="archive"),
    Row("dataset-withdrawn", acts=("approve", "dataset-withdraw"), dataset="replaced"),
    Row("exchanges-exhausted", limits=Limits(exchanges_max=1), served=1),
    Row("rows-exhausted", limits=Limits(rows_max=1), where=TWO),
    Row("bytes-exhausted", limits=Limits(size_bytes_max=10)),
    Row("rate-exceeded", limits=Limits(rate=Rate(1, 31 * 86_400_000)), served=1),
    Row("outside-hours"),
    Row("purpose-mismatch", purpose="dpv:ScientificResearch"),
    Row("not-granted-field", fields=("born",)),
    Row("subjects-not-named", limits=Limits(subjects_named=True), where={}),
    Row("subjects-not-named", limits=Limits(subjects_named=True), where={"id_number": {">": "S"}}),
    Row("subjects-exhausted", limits=Limits(subjects_max=1), where=TWO),
)

DECIDED_BY_ROWS = ("rows-exhausted", "bytes-exhausted", "subjects-exhausted")
"""What a dry run cannot foresee: it does not ask the provider."""


class Bench:
    """Two nodes, and grants between them."""

    def __init__(self, provider: Service, consumer: Service, plain: bytes) -> None:
        self.provider = provider
        self.consumer = consumer
        known = grant(provider.node.view(), plain)
        assert known is not None
        self.plain = known.request
        self.plain_id = plain
        self.put = 0

    async def write(self, service: Service, kind: str, body: Format) -> bytes:
        self.put += 1
        return await _put(service, kind, body, f"{kind}-{self.put}")

    async def publish(self, offer: DatasetOffer) -> None:
        """A dataset that is described as the sample's is."""
        node = self.provider.node
        offered = dataset(node.view(), node.department, "residents")
        assert offered is not None
        place = node.store.get(store_keys.document_key(offered.document))
        assert place is not None
        index = LeafIndex(store_keys.read_number(place))
        document = node.store.get(store_keys.attached_key(index))
        await _put(self.provider, "dataset.publish", offer, offer.name, document=document)

    async def granted(self, row: Row) -> bytes:
        """The row's grant, after what was done about it."""
        start = self.plain.valid_from_ms + (YEAR_MS if row.code == "grant-not-started" else 0)
        wanted: GrantRequest = msgspec.structs.replace(
            self.plain,
            dataset=row.dataset,
            limits=row.limits,
            valid_from_ms=start,
            valid_until_ms=start + YEAR_MS,
        )
        if row.dataset in OTHERS:
            await self.publish(OTHERS[row.dataset])
        grant_id = await self.write(self.consumer, "grant.request", wanted)
        for word in row.acts:
            if word == "withdraw":
                await self.write(
                    self.consumer, "grant.withdraw", GrantDecision(grant_id, "as agreed")
                )
                continue
            if word == "dataset-withdraw":
                ended = DatasetWithdraw(row.dataset, "as agreed")
                await self.write(self.provider, "dataset.withdraw", ended)
                continue
            body: Format = GrantDecision(grant_id, "as agreed")
            if word in ("accept", "approve"):
                body = GrantApprove(grant_id)
            elif word == "refuse":
                body = GrantReply(grant_id, "as agreed")
            await self.write(self.provider, f"grant.{word}", body)
        return grant_id

    async def ask(self, row: Row, grant_id: bytes, *, plain: bool = False) -> str | None:
        """The code of the refusal; None if the exchange is served."""
        wanted = Wanted(
            grant_id,
            PURPOSE if plain else row.purpose,
            "case",
            {"where": ONE if plain else row.where},
            None if plain else row.fields,
            "tester",
        )
        try:
            (await self.consumer.consumer.exchange(wanted, timeout_s=20.0)).close()
        except ExchangeRefused as refused:
            return refused.code
        return None

    async def foreseen(self, row: Row, grant_id: bytes) -> str | None:
        """The code that a dry run at the consumer's node names; None if it would be served."""
        await self.consumer.node.read_barrier(timeout_s=5.0)
        wanted = ExchangeWanted(
            grant_id=grant_id.hex(),
            purpose=row.purpose,
            case="case",
            query={"where": row.where},
            fields=None if row.fields is None else list(row.fields),
        )
        token = Token("tester", "app", "", 0)
        verdict = await exchange(self.consumer, token, wanted, dry_run=True)
        assert isinstance(verdict, Verdict)
        assert verdict.allowed == (verdict.code is None)
        return verdict.code

    def denials(self) -> list[tuple[bytes, str]]:
        """Every denial on the provider's ledger: grant and code."""
        store = self.provider.node.store
        found: list[tuple[bytes, str]] = []
        for key, leaf in store.scan(store_keys.LEAF, b"m"):
            if not isinstance(parse_any_leaf(leaf), RecordLeaf):
                continue
            header = parse_leaf(leaf).header
            if header.kind != "exchange.denials":
                continue
            index = LeafIndex(store_keys.read_number(key[1:]))
            attached = store.get(store_keys.attached_key(index))
            assert attached is not None
            items = iter(parse_items(attached))
            for grant_id, count, _ in msgspec.msgpack.decode(bytes(header.body))[0]:
                for _ in range(count):
                    item = parse_item(next(items))
                    assert isinstance(item, Denial)
                    found.append((grant_id, item.code))
        return found


def run(folder: Path, scene: Callable[[Bench], Awaitable[None]]) -> None:
    """Two nodes, a scene, and an end in order."""
    port = free_ports(3)[0]
    names = ("registry", "service-desk")

    async def play() -> None:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            services = [
                await stack.enter_async_context(running(load_config(folder / name / "node.toml")))
                for name in names
            ]
            plain = bytes.fromhex(await _sample(services))
            await scene(Bench(services[0], services[1], plain))

    _found(folder, names, f"127.0.0.1:{port}")
    asyncio.run(play())


def test_every_refusal_of_the_table_has_its_code_and_is_recorded(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        expected: list[tuple[bytes, str]] = []
        for row in TABLE:
            if row.code == "outside-hours":
                minute = bench.provider.node.clock.now_ms() // 60_000 % 1_440
                row = Row(row.code, Limits(hours=Hours(*_far_from(minute), "+00:00")))
            grant_id = await bench.granted(row)
            async for _ in bench.consumer.node.events.heights(-1, certified=True):
                if grant(bench.consumer.node.view(), grant_id) == grant(
                    bench.provider.node.view(), grant_id
                ):
                    break
            for _ in range(row.served):
                assert await bench.ask(row, grant_id, plain=True) is None
            assert await bench.ask(row, grant_id) == row.code, row
            by_rows = row.code in DECIDED_BY_ROWS
            assert await bench.foreseen(row, grant_id) == (None if by_rows else row.code), row
            expected.append((grant_id, row.code))
        async for _ in bench.provider.node.events.heights(-1, certified=True):
            if len(bench.denials()) >= len(expected):
                break
        assert sorted(bench.denials()) == sorted(expected)

    run(tmp_path, scene)


def test_a_dry_run_foresees_a_query_that_is_refused(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        for where in ({"unknown": "x"}, {"id_number": 1}, {"name": "\ud800"}):
            row = Row("query-refused", where=where)
            assert await bench.ask(row, bench.plain_id) == row.code
            assert await bench.foreseen(row, bench.plain_id) == row.code

    run(tmp_path, scene)


def _far_from(minute: int) -> tuple[int, int]:
    """An hour of the day that is half a day away."""
    start = (minute + 720) % 1_440
    return start, (start + 60) % 1_440 or 1_440
