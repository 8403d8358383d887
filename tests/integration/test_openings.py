"""Whom a limited grant was about, counted again from what a real provider's node shows."""

from pathlib import Path

import httpx2
import msgspec
from test_refused_exchanges import ONE, TWO, Bench, Row, run

from audit.openings import Opening, parse_openings
from audit.subjects import Recount, recount
from contracts.grants import GrantAmend, GrantApprove, grant
from contracts.limits import Limits
from node.http.app import make_app
from node.tokens import Role

THREE = {"id_number": {"in": ["SYN-0001", "SYN-0002", "SYN-0003"]}}


async def served(bench: Bench, grant_id: bytes, where: object) -> str | None:
    """What becomes of an exchange for those people."""
    assert isinstance(where, dict)
    return await bench.ask(Row("", where=where), grant_id)


async def shown(bench: Bench, path: str, *, role: Role = "auditor") -> httpx2.Response:
    """What the provider's node answers an auditor."""
    service = bench.provider
    bench.put += 1
    until_ms = service.node.clock.now_ms() + 60_000
    secret = service.tokens.add(name=f"{role}-{bench.put}", role=role, expires_at_ms=until_ms)
    transport = httpx2.ASGITransport(app=make_app(service))
    async with httpx2.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.get(path, headers={"Authorization": f"Bearer {secret}"})


async def counted(bench: Bench, grant_id: bytes) -> tuple[Recount, list[Opening]]:
    """The provider's ledger against its openings with queries."""
    answer = await shown(bench, f"/v1/openings?grant_id={grant_id.hex()}&queries=true")
    assert answer.status_code == 200
    openings = list(parse_openings(answer.content.splitlines()))
    return recount(bench.provider.node.store, openings), openings


async def recorded(bench: Bench, grant_id: bytes) -> None:
    """Once every exchange is acknowledged and the denial is there: a node that stops waits for what
    it still has to record, and the other may be gone."""
    async for _ in bench.provider.node.events.heights(-1, certified=True):
        known = grant(bench.provider.node.view(), grant_id)
        assert known is not None
        if known.acknowledged == known.exchanges and bench.denials():
            return


def test_what_a_provider_shows_fits_its_receipts_and_betrays_a_lost_count(tmp_path: Path) -> None:
    """A provider whose count of subjects is lost lets one too many through: its own tags tell."""

    async def scene(bench: Bench) -> None:
        grant_id = await bench.granted(Row("", limits=Limits(subjects_max=2, subjects_named=True)))
        for where in (ONE, TWO, ONE):
            assert await served(bench, grant_id, where) is None
        assert await served(bench, grant_id, THREE) == "subjects-exhausted"
        found, openings = await counted(bench, grant_id)
        (group,) = found.grants
        assert (found.faults, len(openings)) == ([], 3)
        assert (group.opened, group.queries, group.subjects, group.subjects_max) == (3, 3, 2, 2)
        plain = await shown(bench, "/v1/openings")
        assert b"SYN-" not in plain.content and plain.content.count(b"\n") == 3
        count = b"n" + bench.provider.vault._identity.derive("subjects", grant_id)
        bench.provider.vault._db.delete(count)
        assert await served(bench, grant_id, THREE) is None
        found, _ = await counted(bench, grant_id)
        assert [fault.code for fault in found.faults] == ["subjects-over-limit"]
        assert found.faults[0].detail == "3 by this exchange, 2 allowed by version 1"
        await recorded(bench, grant_id)

    run(tmp_path, scene)


def test_a_lower_limit_than_was_used_lets_nobody_through(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        grant_id = await bench.granted(Row("", limits=Limits(subjects_max=2)))
        assert await served(bench, grant_id, TWO) is None
        known = grant(bench.provider.node.view(), grant_id)
        assert known is not None
        lower = msgspec.structs.replace(known.request, limits=Limits(subjects_max=1))
        await bench.write(bench.consumer, "grant.amend", GrantAmend(grant_id, lower))
        await bench.write(bench.provider, "grant.approve", GrantApprove(grant_id, 2))
        async for _ in bench.consumer.node.events.heights(-1, certified=True):
            known = grant(bench.consumer.node.view(), grant_id)
            if known is not None and known.version == 2 and known.acknowledged:
                break
        assert await served(bench, grant_id, ONE) == "subjects-exhausted"
        assert (await counted(bench, grant_id))[0].faults == []
        await recorded(bench, grant_id)

    run(tmp_path, scene)


def test_only_auditors_are_shown_anything_and_mistakes_are_named(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        assert (await shown(bench, "/v1/openings", role="app")).status_code == 403
        assert (await shown(bench, f"/v1/openings?grant_id={'0' * 64}")).status_code == 404
        assert (await shown(bench, "/v1/openings?grant_id=x")).status_code == 422
        bench.provider.open_streams.extend([0] * bench.provider.node.config.http.streams_max)
        assert (await shown(bench, "/v1/openings")).status_code == 503
        bench.provider.open_streams.clear()

    run(tmp_path, scene)
