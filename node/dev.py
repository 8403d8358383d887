"""`concordat-node dev`: a consortium of two departments on one machine, with a grant to try out.

The city's registry publishes a dataset from a small SQLite file and approves a grant to the city's
service desk; both run in this process. What a developer needs next is printed.
"""

import asyncio
import sqlite3
import tempfile
import time
from contextlib import AsyncExitStack, closing
from hashlib import sha256
from pathlib import Path

import click
import uvicorn

from contracts.catalog import DatasetOffer, Description, Field
from contracts.grants import GrantApprove, GrantRequest
from contracts.limits import Limits
from ledger.codec import Format, encode
from ledger.genesis import FounderSignature, Genesis, GenesisFile, Setting
from ledger.statements import genesis_statement
from node import ports
from node.authoring import Draft
from node.config import load_config
from node.errors import Unavailable
from node.http.app import make_app
from node.identity import load_identity
from node.server import _Server, running
from node.service import Service
from node.setup import init_node
from node.tokens import Tokens

YEAR_MS = 365 * 86_400_000

_PEOPLE = [
    ("SYN-0001", "Ada Example", "1990-01-31", 1),
    ("SYN-0002", "Ben Example", "1985-07-12", 0),
    ("SYN-0003", "Cleo Example", "2001-11-02", 1),
]


async def run_dev(folder: Path | None, *, http_listen: str) -> None:
    """Runs until interrupted; without a folder, everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="concordat-dev-") as temporary:
        base = folder or Path(temporary)
        names = ("registry", "service-desk")
        if not (base / names[0]).exists():
            _found(base, names, http_listen)
        async with AsyncExitStack() as stack:
            services = [
                await stack.enter_async_context(running(load_config(base / name / "node.toml")))
                for name in names
            ]
            grant_id = await _sample(services)
            secret = _token(base / names[1])
            server = _Server(
                uvicorn.Config(
                    make_app(services[1]),
                    host=http_listen.rpartition(":")[0],
                    port=int(http_listen.rpartition(":")[2]),
                    log_config=None,
                    lifespan="off",
                )
            )
            _explain(http_listen, secret, grant_id)
            try:
                await server.serve()
            finally:
                services[1].node.events.stop()


def _found(
    base: Path,
    names: tuple[str, ...],
    http_listen: str,
    *,
    settings: tuple[Setting, ...] = (),
) -> None:
    """Keys, genesis and configuration of both departments, and the registry's source."""
    base.mkdir(parents=True, exist_ok=True)
    port = int(http_listen.rpartition(":")[2])
    enrolments = [
        init_node(
            base / name,
            department=name,
            title=name.replace("-", " ").title(),
            rpc_address=f"127.0.0.1:{port + 1 + number}",
            rpc_listen=f"127.0.0.1:{port + 1 + number}",
            http_listen=http_listen,
        ).enrolment.department
        for number, name in enumerate(names)
    ]
    genesis = Genesis(
        version=1,
        title="A developer's consortium",
        created_ms=time.time_ns() // 1_000_000,
        departments=tuple(enrolments),
        voters=tuple(sorted(entry.nodes[0].node_id for entry in enrolments)),
        settings=settings,
    )
    data = encode(genesis)
    statement = genesis_statement(sha256(data).digest())
    identities = [load_identity(base / name / "keys") for name in names]
    signatures = tuple(
        FounderSignature(name, identity.record_key, identity.sign_record(statement))
        for name, identity in zip(names, identities, strict=True)
    )
    for name in names:
        (base / name / "genesis.json").write_bytes(GenesisFile(genesis, data, signatures).to_json())
    with closing(sqlite3.connect(base / names[0] / "residents.db")) as database, database:
        database.execute("CREATE TABLE residents (id_number, name, born, registered INTEGER)")
        database.executemany("INSERT INTO residents VALUES (?, ?, ?, ?)", _PEOPLE)
    with (base / names[0] / "node.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[sources.residents]\nkind = "sql"\ndataset = "residents"\n'
            'url = "sqlite:///residents.db"\ntable = "residents"\n'
        )


async def _sample(services: list[Service]) -> str:
    """A published dataset and an approved grant; the same ones after a restart."""
    registry, desk = services
    description = Description(
        title="Residents",
        description="Clearly synthetic people.",
        fields=(
            Field("id_number", "text", "number in the registry"),
            Field("name", "text", "full name"),
            Field("born", "date", "date of birth"),
            Field("registered", "boolean", "whether the residence is current"),
        ),
        subject_field="id_number",
    )
    offer = DatasetOffer("residents", "personal", "conditional", True)
    await _put(registry, "dataset.publish", offer, "dataset", document=encode(description))
    now_ms = registry.node.genesis.genesis.created_ms
    wanted = GrantRequest(
        provider=registry.node.department,
        dataset="residents",
        fields=("id_number", "name", "registered"),
        purpose="dpv:ResearchAndDevelopment",
        description="trying out Concordat",
        legal_basis="dpv:Consent",
        legal_reference="none: synthetic data",
        valid_from_ms=now_ms,
        valid_until_ms=now_ms + YEAR_MS,
        limits=Limits(),
        onward=False,
    )
    grant_id = await _put(desk, "grant.request", wanted, "request")
    await _put(registry, "grant.approve", GrantApprove(grant_id), "approval")
    return grant_id.hex()


async def _put(
    service: Service, kind: str, body: Format, key: str, *, document: bytes | None = None
) -> bytes:
    draft = Draft(kind=kind, body=body, actor="developer", document=document)
    record = service.author.build(draft, idempotency=("developer", key))
    outcome = await service.node.submit(record.to_bytes(), wait="certified", timeout_s=30.0)
    if not isinstance(outcome, ports.Accepted):
        raise Unavailable(f"the sample could not be written: {outcome}")
    return record.record_id


def _token(folder: Path) -> str:
    tokens = Tokens(folder / "tokens.json")
    tokens.revoke("developer")
    expires_at_ms = time.time_ns() // 1_000_000 + YEAR_MS
    return tokens.add(name="developer", role="steward", expires_at_ms=expires_at_ms)


def _explain(address: str, secret: str, grant_id: str) -> None:
    click.echo(f"ready http://{address}/v1")
    click.echo(f"token {secret}")
    click.echo(f"grant {grant_id}")
    click.echo("try:")
    click.echo(
        f"  curl -s http://{address}/v1/exchanges -H 'Authorization: Bearer {secret}' \\\n"
        "    -H 'Content-Type: application/json' -d '"
        f'{{"grant_id": "{grant_id}", "purpose": "dpv:ResearchAndDevelopment", "case": "A-1",'
        ' "query": {"where": {"id_number": "SYN-0001"}}}\''
    )


__all__ = ["asyncio", "run_dev"]
