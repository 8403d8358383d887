"""What a client hears whose first try is on its way, or whose node stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from cli.demo.cluster import free_ports
from contracts.catalog import DatasetOffer, Description, Field
from ledger.codec import encode
from ledger.genesis import FounderSignature, Genesis, GenesisFile
from ledger.statements import genesis_statement
from node import ports
from node.authoring import Author, Draft
from node.config import load_config
from node.http.models import Written
from node.http.writing import WriteOptions, write
from node.identity import load_identity
from node.runtime import Unknown
from node.server import running
from node.service import Service
from node.setup import init_node
from node.tokens import Token

STEWARD = Token("desk", "steward", "", 2**62)
OFFER = DatasetOffer("homes", "internal", "open", False)
DOCUMENT = encode(Description("Homes", "", (Field("id", "text", "number"),), None))
DRAFT = Draft("dataset.publish", OFFER, STEWARD.name, document=DOCUMENT)


def found(folder: Path, *departments: str) -> list[Path]:
    """A consortium with a node for each department; their configurations."""
    enrolled = []
    for department in departments:
        rpc, http = (f"127.0.0.1:{port}" for port in free_ports(2))
        made = init_node(
            folder / department,
            department=department,
            title=department.title(),
            rpc_address=rpc,
            rpc_listen=rpc,
            http_listen=http,
        )
        enrolled.append(made.enrolment.department)
    voters = tuple(sorted(entry.nodes[0].node_id for entry in enrolled))
    genesis = Genesis(1, "A small consortium", 1, tuple(enrolled), voters, ())
    data = encode(genesis)
    statement = genesis_statement(sha256(data).digest())
    signatures = []
    for department in departments:
        identity = load_identity(folder / department / "keys")
        signature = identity.sign_record(statement)
        signatures.append(FounderSignature(department, identity.record_key, signature))
    file = GenesisFile(genesis, data, tuple(signatures)).to_json()
    for department in departments:
        (folder / department / "genesis.json").write_bytes(file)
    return [folder / department / "node.toml" for department in departments]


@asynccontextmanager
async def a_node(folder: Path) -> AsyncIterator[Service]:
    (configuration,) = found(folder, "housing")
    async with running(load_config(configuration)) as service:
        while await service.node.read_barrier(timeout_s=20) is None:
            await asyncio.sleep(0)
        yield service


def author_before_a_restart(service: Service) -> Author:
    node = service.node
    return Author(
        ledger_id=node.ledger_id,
        department=node.department,
        identity=node.identity,
        clock=node.clock,
        store=node.store,
    )


async def retry(service: Service, key: str) -> Written:
    options = WriteOptions(wait="certified", dry_run=False, key=key)
    written = await write(
        service, STEWARD, options, kind=DRAFT.kind, body=DRAFT.body, document=DRAFT.document
    )
    assert isinstance(written, Written)
    return written


async def _retry_while_the_first_try_is_on_its_way(folder: Path) -> None:
    async with a_node(folder) as service:
        first = author_before_a_restart(service).build(DRAFT, idempotency=(STEWARD.name, "k"))
        outcome, written = await asyncio.gather(
            service.node.submit(first.to_bytes(), wait="certified", timeout_s=20),
            retry(service, "k"),
        )
        assert isinstance(outcome, ports.Accepted)
        assert written.record_id == first.record_id.hex() and written.certified
        assert await retry(service, "k") == written


def test_a_retry_meets_a_first_try_of_before_a_restart_that_is_on_its_way(tmp_path: Path) -> None:
    asyncio.run(_retry_while_the_first_try_is_on_its_way(tmp_path))


async def _stop_without_a_majority(folder: Path) -> None:
    configuration, _ = found(folder, "housing", "tourism")
    async with running(load_config(configuration)) as service:
        record = service.author.build(DRAFT)
        waiting = asyncio.gather(
            service.node.submit(record.to_bytes(), wait="certified", timeout_s=60),
            service.node.read_barrier(timeout_s=60),
        )
        await asyncio.sleep(0)
        service.node.events.stop()
        late = service.node.submit(record.to_bytes(), wait="certified", timeout_s=60)
        async with asyncio.timeout(20):
            assert await waiting == [Unknown(record.record_id), None]
            assert await late == Unknown(record.record_id)


def test_who_waits_at_a_node_that_stops_hears_that_the_outcome_is_unknown(tmp_path: Path) -> None:
    asyncio.run(_stop_without_a_majority(tmp_path))
