"""Large results and many exchanges: resumed, paged, in windows, in constant memory."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from test_gateway import PURPOSE, Pair, run

from contracts.grants import grant
from node.exchange.answers import RESUME
from node.exchange.consumer import Received
from node.http.app import make_app
from node.peers.rpc import Part

ROWS = 9_500
LONG_MS = 600_000
"""A release window that a slow machine does not outlast."""

ONE = {"id_number": "SYN-0001"}


def fill(folder: Path, *, rows: int, name_bytes: int = 200) -> None:
    """So many people in the registry's database, all with the same digit of birth."""
    with closing(sqlite3.connect(folder / "registry" / "residents.db")) as db, db:
        db.executemany(
            "INSERT INTO residents VALUES (?, ?, '2000-01-01', 1)",
            ((f"ROW-{number:06d}", f"{number}".zfill(name_bytes)) for number in range(rows)),
        )


def limit(folder: Path, **limits: int) -> None:
    """Limits of both nodes, in their configuration."""
    for name in ("registry", "service-desk"):
        with (folder / name / "node.toml").open("a", encoding="utf-8") as file:
            file.write("\n[limits]\n" + "".join(f"{k} = {v}\n" for k, v in limits.items()))


def names_of(received: Received) -> list[Any]:
    """The first column of every row; the result is closed."""
    with closing(received):
        return [row[0] for number in range(received.chunks) for row in received.answer(number).rows]


async def counted(pair: Pair, exchanges: int) -> None:
    """The grant's counters, once each exchange is acknowledged: none voided, no other receipt."""
    async for _ in pair.provider.node.events.heights(-1, certified=True):
        known = grant(pair.provider.node.view(), pair.grant_id)
        assert known is not None
        if known.acknowledged == exchanges:
            assert (known.exchanges, known.voided) == (exchanges, 0)
            return


def test_a_release_goes_on_after_a_broken_line_under_the_same_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        network = pair.consumer.node.network
        assert network is not None
        honest = network.call
        calls: list[tuple[str, bytes]] = []

        async def breaking(
            peer: bytes, method: str, body: bytes, *, timeout_s: float
        ) -> AsyncIterator[bytes]:
            calls.append((method, body))
            came = 0
            async for chunk in honest(peer, method, body, timeout_s=timeout_s):
                yield chunk
                came += 1
                if came == 3 and len(calls) <= 2:
                    client = await network.reach(peer, timeout_s=timeout_s)
                    client._writer.transport.abort()

        monkeypatch.setattr(network, "call", breaking)
        received = await pair.exchange({"id_number": {"<": "S"}})
        assert received.chunks >= 5
        assert names_of(received) == [f"ROW-{number:06d}" for number in range(ROWS)]
        assert [method for method, _ in calls] == ["exchange", "resume", "resume"]
        first, second = (RESUME.decode(body).number for _, body in calls[1:])
        assert 2 <= first < second < received.chunks
        await counted(pair, 1)

    run(tmp_path, scene, prepare=lambda folder: fill(folder, rows=ROWS), window_ms=LONG_MS)


def test_what_is_beyond_one_exchange_comes_in_windows_each_with_its_receipt(tmp_path: Path) -> None:
    async def scene(pair: Pair) -> None:
        assert await pair.refused({"id_number": {"<": "S"}}) == "query-refused"
        offset: int | None = 0
        found: list[Any] = []
        windows = 0
        while offset is not None:
            received = await pair.exchange({"id_number": {"<": "S"}}, offset=offset)
            offset = received.next_offset
            found += names_of(received)
            windows += 1
        assert found == [f"ROW-{number:06d}" for number in range(25)]
        assert windows == 3
        await counted(pair, 3)

    def prepare(folder: Path) -> None:
        fill(folder, rows=25)
        limit(folder, result_rows_max=10)

    run(tmp_path, scene, prepare=prepare, window_ms=LONG_MS)


def test_a_provider_that_stops_in_the_middle_voids_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(pair: Pair) -> None:
        provider = pair.provider.provider
        honest = provider._release

        async def stopping(opened: Any, *, start: int) -> AsyncIterator[Part]:
            sent = 0
            async for part in honest(opened, start=start):
                yield part
                sent += 1
                if sent == 3:
                    stop = asyncio.ensure_future(provider.stop())
                    await asyncio.sleep(0)
                    stops.append(stop)

        stops: list[Any] = []
        monkeypatch.setattr(provider, "_release", stopping)
        assert await pair.refused({"id_number": {"<": "S"}}) == "out-of-service"
        void = await pair.until_void()
        assert 256 * 1024 < void.delivered_bytes < 1024 * 1024
        assert void.reason == "out-of-service"
        await asyncio.gather(*stops)

    run(tmp_path, scene, prepare=lambda folder: fill(folder, rows=ROWS), window_ms=LONG_MS)


def test_many_exchanges_are_in_flight_and_one_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 200
    monkeypatch.setattr("node.exchange.consumer.KEPT_MAX", 1)  # what is small is never kept

    async def scene(pair: Pair) -> None:
        service = pair.consumer
        expires_at_ms = service.node.clock.now_ms() + LONG_MS
        secret = service.tokens.add(name="many", role="app", expires_at_ms=expires_at_ms)
        wanted = {"grant_id": pair.grant_id.hex(), "purpose": PURPOSE, "case": "case"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=make_app(service)),
            base_url="http://node",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
        ) as client:
            path, body = "/v1/exchanges?timeout_ms=50000", wanted | {"query": {"where": ONE}}
            answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(many + 1)))
        [refused] = [each for each in answers if each.status_code != 200]
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        served = [each.json() for each in answers if each is not refused]
        assert len({each["exchange_id"] for each in served}) == many
        assert all(each["rows"][0][0] == "SYN-0001" for each in served)
        await counted(pair, many)

    run(
        tmp_path,
        scene,
        prepare=lambda folder: limit(folder, exchanges_in_flight_max=many),
        window_ms=LONG_MS,
    )


MEMORY = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "tests/integration")
from test_gateway import Pair, run
from test_large import LONG_MS, fill, limit, names_of

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

async def scene(pair):
    for _ in range(2):
        names_of(await pair.exchange({"id_number": "SYN-0001"}))
    before, most = resident(), [0]
    async def watch():
        while True:
            most[0] = max(most[0], resident())
            await asyncio.sleep(0.02)
    watching = asyncio.ensure_future(watch())
    received = await pair.exchange({"id_number": {"<": "S"}}, timeout_s=60.0)
    rows = 0
    for number in range(received.chunks):
        rows += len(received.answer(number).rows)
    size = received.result.size_bytes
    received.close()
    watching.cancel()
    print("RESULT", rows, size, most[0] - before)

def prepare(folder):
    fill(folder, rows=ROWS, name_bytes=NAME)
    limit(folder, result_rows_max=1_000_000, result_bytes_max=1 << 30, source_timeout_ms=60_000)

run(Path(sys.argv[1]), scene, prepare=prepare, window_ms=LONG_MS)
"""


def test_a_large_result_takes_no_more_memory_than_a_few_chunks(tmp_path: Path) -> None:
    rows, name_bytes = (int(os.environ.get("LARGE_MIB", "48")) * 64, 16_384)
    script = MEMORY.replace("ROWS", str(rows)).replace("NAME", str(name_bytes))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ, PYTHONPATH="tests"),
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert len(lines) == 1, done.stderr
    _, found, size, grown = lines[0].split()
    assert int(found) == rows and int(size) > rows * name_bytes
    assert int(grown) < 36 * 1024 * 1024, f"{grown} bytes more in use"
