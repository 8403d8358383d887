"""The scenes, in order, each with what must come out; whatever does not is an error."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from cli.demo import sources
from cli.demo.cluster import Cluster, DemoFailed, program
from cli.demo.offers import DATASETS, table
from cli.demo.summary import Summary, say, show
from cli.show import Failure

DAY_MS = 86_400_000
LOAD = 60
CLIENTS = 6

PURPOSES = {
    "allocation of social housing": "dpv:RequestedServiceProvision",
    "free bus pass for people over 65": "dpv:ImproveTransportMobility",
    "booking a trip": "dpv:RequestedServiceProvision",
    "school vaccination check": "dpv:LegalCompliance",
    "curiosity": "dpv:ScientificResearch",
}
"""The vocabulary's term for each purpose that the scenes state in words."""


@dataclass(slots=True)
class Story:
    """What the scenes share."""

    cluster: Cluster
    summary: Summary
    grants: dict[str, str] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)


def run_demo(*, keep: bool) -> int:
    """The whole demonstration; the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="concordat-demo-"))
    cluster = Cluster(folder)
    interrupts = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, signal.default_int_handler) for number in interrupts]
    kept = False
    try:
        story = Story(cluster, Summary())
        for number, scene in enumerate(SCENES, start=1):
            say(f"{number:2}/{len(SCENES)}  {scene.__doc__}")
            scene(story)
        show(story.summary)
        if keep:
            cluster.start()
            _explain(story)
            cluster.detach()
            kept = True
        return 0
    except KeyboardInterrupt:
        say("interrupted; cleaning up")
        return 130
    except (DemoFailed, Failure) as error:
        say(f"FAILED: {error}")
        return 1
    finally:
        for number, handler in zip(interrupts, previous, strict=True):
            signal.signal(number, handler)
        if not kept:
            cluster.close()
            shutil.rmtree(folder, ignore_errors=True)


def found(story: Story) -> None:
    """Five departments enrol, compare the fingerprint and sign the genesis"""
    fingerprint = story.cluster.found()
    story.summary.fingerprint = fingerprint
    say(f"       fingerprint {fingerprint}")


def connect_sources(story: Story) -> None:
    """Each connects a source of its own: SQLite, PostgreSQL or SQLite, CSV, Parquet, HTTP"""
    cluster = story.cluster
    sources.make_residents(cluster["civil-affairs"].folder / "residents.db")
    cluster.configure(
        "civil-affairs",
        {
            "kind": "sql",
            "dataset": "residents",
            "url": "sqlite:///residents.db",
            "table": "residents",
        },
    )
    health = cluster["health"].folder
    cluster.folder.chmod(0o711)
    if sources.postgres_fits(cluster.folder):
        postgres = sources.Postgres(cluster.folder / "postgres", cluster.spare_ports[1])
        cluster.closers.append(postgres.stop)
        cluster.servers.append(postgres.pid)
        url = postgres.url
        say("       health: PostgreSQL, read by a role that sees three columns")
    else:
        sources.make_vaccinations(health / "vaccinations.db")
        url = "sqlite:///vaccinations.db"
        say("       health: SQLite (no PostgreSQL that can reach this folder)")
    cluster.configure(
        "health", {"kind": "sql", "dataset": "vaccinations", "url": url, "table": "vaccinations"}
    )
    sources.make_tenancies(cluster["housing"].folder / "tenancies.csv")
    cluster.configure(
        "housing",
        {
            "kind": "csv",
            "dataset": "tenancies",
            "path": "tenancies.csv",
            "delimiter": ";",
            "encoding": "iso-8859-15",
            "columns": {"id_number": "ID_NO", "flat": "FLAT", "since": "SINCE"},
        },
    )
    count = sources.make_airports(cluster["tourism"].folder / "airports.parquet")
    say(f"       tourism: {count} real airports in Parquet")
    cluster.configure(
        "tourism", {"kind": "parquet", "dataset": "airports", "path": "airports.parquet"}
    )
    port = cluster.spare_ports[0]
    cluster.helpers.append(
        subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "cli.demo.upstream", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    )
    cluster.configure(
        "transport",
        {"kind": "http", "dataset": "departures", "url": f"http://127.0.0.1:{port}/departures"},
    )


def start(story: Story) -> None:
    """Five nodes start, meet over mutual TLS and elect a leader"""
    began = time.monotonic()
    story.cluster.start()
    leader = story.cluster.leader().name
    say(f"       {leader} leads after {time.monotonic() - began:.1f} s")


def publish(story: Story) -> None:
    """Each publishes its dataset in the catalogue"""
    for publisher, offer in DATASETS.items():
        written = story.cluster[publisher].client("steward").post("/v1/datasets", offer)
        story.acknowledged.append(written["record_id"])
        say(f"       {publisher}/{offer['name']}: certified at height {written['height']}")


def approve(story: Story) -> None:
    """Housing asks civil affairs for two fields for a stated purpose, and is approved"""
    _grant(
        story,
        "housing",
        "civil-affairs/residents",
        ["name", "registered"],
        "allocation of social housing",
        "Housing Act §12",
    )


def without_certificate(story: Story) -> None:
    """A bus pass is granted without a certificate: the registry knows the date of birth"""
    purpose = "free bus pass for people over 65"
    grant_id = _grant(
        story,
        "transport",
        "civil-affairs/residents",
        ["born", "id_number", "registered"],
        purpose,
        "Transport Ordinance §4",
    )
    for person in sources.people()[100:106]:
        result = _exchange(story, "transport", grant_id, purpose, {"id_number": person.id_number})
        _expect(result["rows"][0][0] == person.born, "the registry's date of birth")
        entitled = person.born < "1961-11-23" and person.registered
        answer = "granted" if entitled else "not entitled"
        say(f"       {person.id_number}: {answer}, no paper asked for")


def booking(story: Story) -> None:
    """A tour operator's booking, through the city's app, reads from tourism and transport"""
    purpose = "booking a trip"
    basis = "contract with the traveller"
    airports = _grant(
        story, "civil-affairs", "tourism/airports", ["city", "iata", "name"], purpose, basis
    )
    buses = _grant(
        story,
        "civil-affairs",
        "transport/departures",
        ["departs", "line", "seats_free", "stop"],
        purpose,
        basis,
    )
    airport = _exchange(story, "civil-affairs", airports, purpose, {"iata": "TXN"})["rows"][0]
    departures = _exchange(story, "civil-affairs", buses, purpose, {"stop": "Cloud Valley"})
    _expect(airport[1] == "TXN" and len(departures["rows"]) == 14, "airport and timetable")
    _expect("driver" not in departures["fields"], "no field beyond the grant")
    say(f"       fly to {airport[2]}, then one of {len(departures['rows'])} shuttles")


def outside_fields(story: Story) -> None:
    """Housing asks for a field its grant does not name, and is refused"""
    grant_id = story.grants["housing"]
    purpose = "allocation of social housing"
    code = _denied(story, "housing", grant_id, purpose, fields=["address"])
    _expect(code == "not-granted-field", f"not-granted-field, not {code}")
    code = _denied(story, "housing", grant_id, "curiosity")
    _expect(code == "purpose-mismatch", f"purpose-mismatch, not {code}")
    say("       refused: not-granted-field, and purpose-mismatch; both are on the ledger")


def many(story: Story) -> None:
    """Housing's clerks work: many exchanges at once share batches"""
    grant_id = story.grants["housing"]
    people = sources.people()[: LOAD * 3]

    def one(person: sources.Person) -> None:
        result = _exchange(
            story,
            "housing",
            grant_id,
            "allocation of social housing",
            {"id_number": person.id_number},
        )
        _expect(result["rows"] == [[person.name, person.registered]], "the right row")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, people))
    say(f"       {len(people)} exchanges, each with a certified receipt")


def revoke(story: Story) -> None:
    """A grant is revoked while exchanges run under it, and the next one is refused"""
    purpose = "school vaccination check"
    grant_id = _grant(
        story,
        "civil-affairs",
        "health/vaccinations",
        ["given_on", "vaccine"],
        purpose,
        "Health Act §20",
    )
    people = sources.people()
    served: list[float] = []
    refused: list[str] = []
    done = threading.Event()

    def clerk(offset: int) -> None:
        place = offset
        while not done.is_set():
            place += CLIENTS
            query = {"id_number": people[place % len(people)].id_number}
            try:
                _exchange(story, "civil-affairs", grant_id, purpose, query)
                served.append(time.monotonic())
            except Failure as failure:
                refused.append(failure.message.split(":")[0])
                return

    with ThreadPoolExecutor(CLIENTS) as pool:
        for offset in range(CLIENTS):
            pool.submit(clerk, offset)
        _wait_for(lambda: len(served) >= 20, "twenty exchanges under the grant")
        health = story.cluster["health"].client("steward")
        health.post(f"/v1/grants/{grant_id}/revoke", {"reason": "the check is over"})
        revoked_at = time.monotonic()
        _wait_for(lambda: len(refused) == CLIENTS, "every clerk to be refused")
        done.set()
    late = sum(at > revoked_at + 1.0 for at in served)
    _expect(late == 0, "nothing served after the revocation")
    _expect(set(refused) == {"grant-revoked"}, f"grant-revoked, not {set(refused)}")
    for code in refused:
        story.summary.denied("civil-affairs", purpose, code)
    say(f"       {len(served)} served before; every later one refused: grant-revoked")


def kill_leader(story: Story) -> None:
    """The leader is killed with SIGKILL in the middle of writes; nothing acknowledged is lost"""
    cluster = story.cluster
    victim = cluster.leader()
    writers = [each for each in cluster.departments.values() if each is not victim]
    outcomes: list[tuple[float, str]] = []
    done = threading.Event()

    def write(number: int) -> None:
        department = writers[number % len(writers)]
        count = 0
        while not done.is_set():
            count += 1
            offer = table(f"log-{number}-{count}")
            key = f"load-{number}-{count}"
            while True:
                try:
                    written = department.client("steward").post(
                        "/v1/datasets", offer, headers={"Idempotency-Key": key}
                    )
                except Failure:
                    if done.is_set():
                        return
                    continue
                outcomes.append((time.monotonic(), written["record_id"]))
                break

    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(CLIENTS):
            pool.submit(write, number)
        _wait_for(lambda: len(outcomes) >= LOAD, "writes to flow")
        killed_at = time.monotonic()
        victim.kill()
        _wait_for(
            lambda: sum(at > killed_at + 0.2 for at, _ in outcomes) >= LOAD, "writes to flow again"
        )
        done.set()
    times = sorted(at for at, _ in outcomes)
    gap = max(later - sooner for sooner, later in pairwise(times) if later > killed_at)
    story.summary.killed = victim.name
    story.summary.leader_gap_s = gap
    victim.start()
    cluster.wait_ready(victim)
    story.acknowledged += [record_id for _, record_id in outcomes]
    _all_there(story)
    say(f"       {victim.name} killed; writes paused {gap:.2f} s; {len(outcomes)} acknowledged,")
    say("       each is on all five nodes, exactly once")


def stop_and_audit(story: Story) -> None:
    """The auditor copies all five ledgers and proves them, trusting nobody"""
    cluster = story.cluster
    _wait_for(lambda: _is_quiet(cluster), "all nodes to come to rest")
    head = cluster["housing"].client("operator").get("/v1/status")
    story.summary.height = head["certified_height"]
    _count_exchanges(story)
    for department in cluster.departments.values():
        department.stop()
    reports = []
    for name, department in cluster.departments.items():
        copy = cluster.folder / "copies" / name
        shutil.copytree(department.folder / "data", copy)
        code, report = _verify(story, copy)
        _expect(code == 0 and report["holds"], f"the ledger of {name} to verify: {report}")
        reports.append(report)
    reports.sort(key=lambda report: report["height"])
    for report in reports:
        code, again = _verify(story, Path(report["target"]), memory="agreement")
        _expect(code == 0, f"each ledger to continue the shorter ones: {again['findings']}")
    story.summary.audited = reports[-1]
    last = reports[-1]
    say(f"       five copies verify and agree: height {last['height']},")
    say(f"       {last['records']} records, signed by {', '.join(last['signed_by'])}")


def tamper(story: Story) -> None:
    """One byte of one copy is changed, and the auditor finds the place"""
    copy = story.cluster.folder / "copies" / "tourism"
    tampered = story.cluster.folder / "tampered"
    shutil.copytree(copy, tampered)
    path = max(
        (each for each in tampered.iterdir() if each.suffix in (".log", ".ldb")),
        key=lambda each: each.stat().st_size,
    )
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    content[place] ^= 0x01
    path.write_bytes(content)
    code, report = _verify(story, tampered)
    _expect(code != 0 and bool(report["findings"]), "the auditor to find the changed byte")
    finding = report["findings"][0]
    story.summary.tampered = f"{finding['code']} at {finding['place']}"
    say(f"       changed byte {place} of {path.name}; found: {story.summary.tampered}")


SCENES = (
    found,
    connect_sources,
    start,
    publish,
    approve,
    without_certificate,
    booking,
    outside_fields,
    many,
    revoke,
    kill_leader,
    stop_and_audit,
    tamper,
)


def _grant(
    story: Story, consumer: str, dataset: str, fields: list[str], purpose: str, basis: str
) -> str:
    """Request and approval; the grant's id."""
    provider, _, name = dataset.partition("/")
    now_ms = time.time_ns() // 1_000_000
    asked = (
        story.cluster[consumer]
        .client("steward")
        .post(
            "/v1/grants",
            {
                "provider": provider,
                "dataset": name,
                "fields": fields,
                "purpose": PURPOSES[purpose],
                "description": purpose,
                "legal_basis": "dpv:OfficialAuthorityOfController",
                "legal_reference": basis,
                "valid_from_ms": now_ms - 60_000,
                "valid_until_ms": now_ms + 30 * DAY_MS,
            },
        )
    )
    grant_id: str = asked["record_id"]
    approved = story.cluster[provider].client("steward").post(f"/v1/grants/{grant_id}/approve")
    story.acknowledged += [grant_id, approved["record_id"]]
    story.grants.setdefault(consumer, grant_id)
    story.summary.purposes[grant_id] = purpose
    say(f"       {consumer} may read {dataset} ({', '.join(fields)}) for: {purpose}")
    _wait_for(
        lambda: (
            story.cluster[consumer].client("steward").get(f"/v1/grants/{grant_id}")["lets_through"]
        ),
        "the consumer's node to know of the approval",
    )
    return grant_id


def _exchange(
    story: Story, consumer: str, grant_id: str, purpose: str, where: dict[str, str]
) -> dict[str, Any]:
    began = time.monotonic()
    result: dict[str, Any] = (
        story.cluster[consumer]
        .client("app")
        .post(
            "/v1/exchanges",
            {
                "grant_id": grant_id,
                "purpose": PURPOSES[purpose],
                "case": "demo case",
                "query": {"where": where},
            },
        )
    )
    story.summary.exchange_s.append(time.monotonic() - began)
    return result


def _denied(
    story: Story, consumer: str, grant_id: str, purpose: str, fields: list[str] | None = None
) -> str:
    """The code with which an exchange is refused."""
    body: dict[str, Any] = {
        "grant_id": grant_id,
        "purpose": PURPOSES[purpose],
        "case": "demo case",
        "query": {},
        "fields": fields,
    }
    try:
        story.cluster[consumer].client("app").post("/v1/exchanges", body)
    except Failure as failure:
        code = failure.message.split(":")[0]
        story.summary.denied(consumer, purpose, code)
        return code
    raise DemoFailed("an exchange that must be refused was served")


def _verify(story: Story, copy: Path, *, memory: str | None = None) -> tuple[int, dict[str, Any]]:
    """The auditor's exit code and report. memory: what this auditor remembers; None: nothing."""
    remembered = (
        ("--forget",) if memory is None else ("--memory", str(story.cluster.folder / memory))
    )
    done = subprocess.run(  # noqa: S603 - our own command
        program(
            "concordat",
            *("audit", "verify", str(copy), "--genesis", str(story.cluster.genesis), "--json"),
            *remembered,
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise DemoFailed(f"the auditor says: {done.stderr.strip()}") from None
    return done.returncode, report


def _all_there(story: Story) -> None:
    """Every acknowledged record is on every node."""
    _wait_for(lambda: _same_certified(story.cluster), "all nodes to certify the same height")
    for department in story.cluster.departments.values():
        client = department.client("auditor")
        for record_id in story.acknowledged:
            client.get(f"/v1/records/{record_id}")


def _same_certified(cluster: Cluster) -> bool:
    heads = [each.client("operator").get("/v1/status") for each in cluster.departments.values()]
    heights = {head["certified_height"] for head in heads} | {head["height"] for head in heads}
    return len(heights) == 1


def _is_quiet(cluster: Cluster) -> bool:
    """Whether all nodes are at one certified height, and still are a moment later."""
    for _ in range(4):
        if not _same_certified(cluster):
            return False
        threading.Event().wait(0.15)
    return True


def _count_exchanges(story: Story) -> None:
    for grant in story.cluster["housing"].client("steward").pages("/v1/grants"):
        dataset = f"{grant['provider']}/{grant['dataset']}"
        story.summary.served(grant["consumer"], dataset, grant["description"], grant["exchanges"])


def _wait_for(condition: Any, what: str, *, timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {timeout_s:.0f} s for {what}")
        threading.Event().wait(0.02)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailed(f"expected {what}")


def _explain(story: Story) -> None:
    cluster = story.cluster
    housing = cluster["housing"]
    say("\nthe cluster keeps running:")
    for name, department in cluster.departments.items():
        say(f"  {name:14} {department.url}/v1")
        for role, token in department.tokens.items():
            say(f"    {role:9} {token}")
    say(f"  folder         {cluster.folder}")
    say(f"  grant          {story.grants['housing']} (housing reads civil-affairs/residents)")
    body = {
        "grant_id": story.grants["housing"],
        "purpose": PURPOSES["allocation of social housing"],
        "case": "A-17",
        "query": {"where": {"id_number": "SYN-000100"}},
    }
    say("\ntry:")
    say(
        f"  curl -s {housing.url}/v1/exchanges -H 'Authorization: Bearer "
        f"{housing.tokens['app']}' -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )
    say(
        f"  {program('concordat')[0]} audit verify {housing.url} --genesis {cluster.genesis} "
        f"--token {housing.tokens['auditor']}"
    )
    say(f"\nstop it with: kill {' '.join(map(str, cluster.pids()))}; rm -r {cluster.folder}")
