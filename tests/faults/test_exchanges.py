"""Exchanges between real processes of which one is killed, or cut off from the majority, half-way.

Five nodes on loopback. A node is killed from within (`dying.py`), so that each time it is exactly
half-way; it starts again, and the ledger has to say what became of the exchange, once.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from founding import found_here

from cli.demo.cluster import Cluster, Department, program
from ledger.genesis import Setting

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PROVIDER, CONSUMER = "housing", "tourism"
PURPOSE, LEGAL_BASIS = "dpv:ResearchAndDevelopment", "dpv:LegalObligation"
ROWS, ROW_BYTES = 200, 8_192
FIELDS = [{"name": "number", "type": "text", "meaning": "which"}]
OFFERS = {"flats": "internal", "illnesses": "sensitive"}
WINDOW_MS = 8_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Five nodes; one provides an ordinary and a sensitive dataset of a few MiB."""
    made = Cluster(tmp_path_factory.mktemp("exchanges"))
    try:
        found_here(made, [Setting("release-window-ms", WINDOW_MS)])
        source = made[PROVIDER].folder / "source.db"
        with closing(sqlite3.connect(source)) as database, database:
            database.execute("CREATE TABLE numbers (number)")
            database.executemany(
                "INSERT INTO numbers VALUES (?)",
                [(f"{number}".zfill(ROW_BYTES),) for number in range(ROWS)],
            )
        for name in OFFERS:
            url = "sqlite:///source.db"
            made.configure(
                PROVIDER, {"kind": "sql", "dataset": name, "url": url, "table": "numbers"}
            )
        made.start()
        for name, classification in OFFERS.items():
            offer = {"name": name, "title": name, "fields": FIELDS, "sharing": "conditional"}
            made[PROVIDER].client("steward").post(
                "/v1/datasets", offer | {"classification": classification}
            )
        yield made
    finally:
        made.close()


def granted(cluster: Cluster, dataset: str) -> str:
    """An approved grant, as the consumer's node knows."""
    now_ms = time.time_ns() // 1_000_000
    wanted = {
        "provider": PROVIDER,
        "dataset": dataset,
        "fields": ["number"],
        "purpose": PURPOSE,
        "description": "a test",
        "legal_basis": LEGAL_BASIS,
        "valid_from_ms": now_ms - 60_000,
        "valid_until_ms": now_ms + DAY_MS,
    }
    grant_id = str(cluster[CONSUMER].client("steward").post("/v1/grants", wanted)["record_id"])
    cluster[PROVIDER].client("steward").post(f"/v1/grants/{grant_id}/approve")
    seen(cluster[CONSUMER], grant_id, lets_through=True)
    return grant_id


def seen(department: Department, grant_id: str, **wanted: Any) -> dict[str, Any]:
    """The grant at a node, once these fields of it are so."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        found: dict[str, Any] = department.client("steward").get(f"/v1/grants/{grant_id}")
        if all(found[name] == value for name, value in wanted.items()):
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"{found} is not {wanted}")


def asked(department: Department, grant_id: str, *, timeout_ms: int) -> httpx2.Response:
    """One exchange of everything, as an app asks for it."""
    body = {"grant_id": grant_id, "purpose": PURPOSE, "case": "a case", "query": {"where": {}}}
    return httpx2.post(
        f"{department.url}/v1/exchanges",
        params={"timeout_ms": timeout_ms},
        json=body,
        headers={"Authorization": f"Bearer {department.tokens['app']}"},
        timeout=60,
        trust_env=False,
    )


def read(department: Department, grant_id: str) -> int:
    """Rows of one exchange, all of its pages."""
    answer = asked(department, grant_id, timeout_ms=20_000)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    rows = len(page["rows"])
    while page["next"] is not None:
        path = f"/v1/exchanges/{page['exchange_id']}/rows?start={page['next']}"
        page = department.client("app").get(path)
        rows += len(page["rows"])
    return rows


def audited(cluster: Cluster, *command: str) -> Any:
    """What an auditor's command says of a running node that nobody killed."""
    node = cluster["health"]
    full = ("audit", *command[:-1], node.url, "--token", node.tokens["auditor"])
    done = subprocess.run(
        program("concordat", *full, *json.loads(command[-1])),
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout)


def exchanges(cluster: Cluster, grant_id: str) -> list[dict[str, Any]]:
    """Each exchange under a grant, and how it ended; no exchange has two receipts."""
    more = ["--genesis", str(cluster.genesis), "--grant", grant_id, "--as", "json"]
    rows: list[dict[str, Any]] = audited(cluster, "ask", "exchanges", json.dumps(more))["rows"]
    assert len({row["exchange_id"] for row in rows}) == len(rows)
    return rows


def gaps(cluster: Cluster, grant_id: str) -> list[str]:
    """The codes of the gaps under a grant."""
    found = audited(cluster, "gaps", json.dumps(["--json"]))
    return [gap["code"] for gap in found["gaps"] if gap["grant_id"] == grant_id]


def restart(cluster: Cluster, department: Department, point: str | None = None) -> None:
    """Ends a node, if it runs, and starts it again, to die at a point or not at all."""
    department.stop()
    here = str(Path(__file__).with_name("dying.py"))
    department.launcher = () if point is None else (sys.executable, here, point)
    department.start()
    cluster.wait_ready(department)


def died(department: Department) -> None:
    """Waits for a node that has been told to kill itself."""
    assert department.process is not None
    assert department.process.wait(30) == -signal.SIGKILL
    department.process = None


def test_a_provider_killed_in_the_middle_of_a_stream_voids_it_and_serves_anew(
    cluster: Cluster,
) -> None:
    provider, consumer = cluster[PROVIDER], cluster[CONSUMER]
    grant_id = granted(cluster, "flats")
    restart(cluster, provider, "chunk")
    answer = asked(consumer, grant_id, timeout_ms=4_000)
    assert answer.status_code == 502 and "rows" not in answer.json(), answer.text
    died(provider)
    restart(cluster, provider)
    seen(consumer, grant_id, exchanges=1, voided=1, acknowledged=0)
    assert read(consumer, grant_id) == ROWS
    seen(cluster["health"], grant_id, exchanges=2, voided=1, acknowledged=1)
    first, second = exchanges(cluster, grant_id)
    assert (first["ended"], second["ended"]) == ("voided", "complete")
    assert first["void_reason"] == "the provider's node restarted"
    assert gaps(cluster, grant_id) == []


def test_a_provider_killed_before_the_key_withheld_it_and_the_auditor_sees(
    cluster: Cluster,
) -> None:
    provider, consumer = cluster[PROVIDER], cluster[CONSUMER]
    grant_id = granted(cluster, "illnesses")
    restart(cluster, provider, "key")
    answer = asked(consumer, grant_id, timeout_ms=4_000)
    assert answer.status_code == 502 and answer.json()["code"] == "key-missing", answer.text
    died(provider)
    seen(cluster["health"], grant_id, exchanges=1, acknowledged=1, voided=0)
    [halfway] = exchanges(cluster, grant_id)
    assert (halfway["sealed"], halfway["ended"]) == (True, "no key")
    restart(cluster, provider)
    seen(cluster["health"], grant_id, exchanges=1, acknowledged=1, voided=1)
    assert gaps(cluster, grant_id) == ["key-withheld"]
    assert read(consumer, grant_id) == ROWS
    seen(cluster["health"], grant_id, exchanges=2, acknowledged=2, voided=1)
    first, second = exchanges(cluster, grant_id)
    assert (first["ended"], second["ended"]) == ("voided, key withheld", "complete")


def test_a_consumer_killed_before_it_acknowledges_sealed_content_gets_no_key(
    cluster: Cluster,
) -> None:
    consumer = cluster[CONSUMER]
    grant_id = granted(cluster, "illnesses")
    restart(cluster, consumer, "acknowledge")
    with pytest.raises(httpx2.HTTPError):
        asked(consumer, grant_id, timeout_ms=20_000)
    died(consumer)
    seen(cluster["health"], grant_id, exchanges=1, acknowledged=0, voided=1)
    restart(cluster, consumer)
    assert read(consumer, grant_id) == ROWS
    seen(cluster["health"], grant_id, exchanges=2, acknowledged=1, voided=1)
    first, second = exchanges(cluster, grant_id)
    assert (first["ended"], first["key_ms"], second["ended"]) == ("voided", None, "complete")
    assert gaps(cluster, grant_id) == []


def test_a_provider_without_a_majority_releases_nothing(cluster: Cluster) -> None:
    consumer = cluster[CONSUMER]
    grant_id = granted(cluster, "flats")
    others = [
        each for name, each in cluster.departments.items() if name not in (PROVIDER, CONSUMER)
    ]
    for each in others:
        assert each.process is not None
        os.kill(each.process.pid, signal.SIGSTOP)
    try:
        answer = asked(consumer, grant_id, timeout_ms=WINDOW_MS + 1_000)
    finally:
        for each in others:
            assert each.process is not None
            os.kill(each.process.pid, signal.SIGCONT)
    assert answer.status_code in (502, 503) and "rows" not in answer.json(), answer.text
    assert read(consumer, grant_id) == ROWS
    seen(cluster["health"], grant_id, acknowledged=1)
    ended = [row["ended"] for row in exchanges(cluster, grant_id)]
    assert ended.count("complete") == 1  # the other's receipt may come late, and then is void
    assert set(ended) <= {"complete", "not acknowledged", "voided"}
    assert gaps(cluster, grant_id) == []
