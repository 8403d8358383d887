"""Two ledgers that witness each other, over HTTP; who checks knows hashlib and `cryptography`."""

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from test_retries import DOCUMENT, DRAFT, STEWARD, found

from ledger.checkpoints import origin
from ledger.genesis import parse_genesis_file
from ledger.notes import COSIGNATURE_TYPE
from ledger.witnesses import ML_DSA_44_TYPE, parse_verifier_key
from node.__main__ import main as tool
from node.config import load_config
from node.http.app import make_app
from node.http.writing import WriteOptions, write
from node.identity import load_identity
from node.server import _Server, running
from node.service import Service
from node.witness import log_key, witness_keys


def configure(folder: Path, other: Path, name: str) -> None:
    """The ledger in `folder` witnesses that in `other`, and is witnessed by it."""
    genesis = parse_genesis_file((other / "genesis.json").read_bytes())
    identity = load_identity(other / "keys")
    of = origin(genesis.ledger_id)
    url = f"http://{load_config(other / 'node.toml').http.listen}"
    keys = " ".join(witness_keys(identity, f"{other.name}.example", ml_dsa_44=True))
    with (folder / "node.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[witness]\nname = "{name}"\npost_quantum = true\ninterval_ms = 1_000\n'
            f'\n[witnessed]\n"{of}" = "{log_key(identity, of)}"\n'
            f'\n[witnesses]\n"{url}" = "{keys}"\n'
        )


@asynccontextmanager
async def served(configuration: Path) -> AsyncIterator[Service]:
    config = load_config(configuration)
    host, _, port = config.http.listen.rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        async with running(config) as service:
            options = {"log_config": None, "lifespan": "off", "timeout_graceful_shutdown": 1}
            server = _Server(uvicorn.Config(make_app(service), **options))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield service
            finally:
                server.should_exit = True
                await serving


def size_of(note: bytes) -> int:
    return int(note.split(b"\n")[1])


async def until_witnessed(service: Service, *, beyond: int = 0) -> bytes:
    """The checkpoint as anybody gets it, once a witness has cosigned a tree larger than that."""
    for _ in range(200):
        certificate = service.node.certificate
        note = None if certificate is None else service.witnessed.shown(certificate)
        witnesses = [] if note is None else [line.key_name for line in note.signatures]
        cosigned = any(name.endswith(".example") for name in witnesses)
        if note is None or not cosigned or size_of(note.text) <= beyond:
            await asyncio.sleep(0.1)
            continue
        secret = service.tokens.add(name="a", role="auditor", expires_at_ms=2**62)
        async with httpx2.AsyncClient(trust_env=False) as http:
            url = f"http://{service.node.config.http.listen}/checkpoint"
            answer = await http.get(url, headers={"Authorization": f"Bearer {secret}"})
        service.tokens.revoke("a")
        return answer.content
    raise AssertionError("nobody witnesses")


def check(note: bytes, name: str, keys: list[str]) -> None:
    """The note carries a cosignature by each of the witness's keys."""
    text, _, tail = note.decode().rpartition("\n\n")
    body = text.encode() + b"\n"
    lines = [line.split(" ")[1:] for line in tail.strip().split("\n")]
    log_origin, size, root = text.split("\n")[:3]
    for key in keys:
        raw = base64.b64decode(key.split("+", 2)[2])
        kind, public = raw[0], raw[1:]
        tag = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        (signature,) = [
            base64.b64decode(encoded)[4:]
            for who, encoded in lines
            if who == name and base64.b64decode(encoded)[:4] == tag
        ]
        if kind == 4:
            time_s = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {time_s}\n".encode() + body
            Ed25519PublicKey.from_public_bytes(public).verify(signature[8:], message)
            continue
        message = b"subtree/v1\n\x00" + bytes([len(name)]) + name.encode() + signature[:8]
        message += bytes([len(log_origin)]) + log_origin.encode() + bytes(8)
        message += int(size).to_bytes(8, "big") + base64.b64decode(root)
        MLDSA44PublicKey.from_public_bytes(public).verify(signature[8:], message)


async def mutual(folder: Path) -> None:
    (one,) = found(folder / "one", "housing")
    (two,) = found(folder / "two", "museum")
    configure(one.parent, two.parent, "housing.example")
    configure(two.parent, one.parent, "museum.example")
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(served(each)) for each in (one, two)]
        notes = [await until_witnessed(service) for service in services]
        options = WriteOptions(wait="certified", dry_run=False, key="a")
        await write(
            services[0], STEWARD, options, kind=DRAFT.kind, body=DRAFT.body, document=DOCUMENT
        )
        grown = await until_witnessed(services[0], beyond=size_of(notes[0]))
        keys = [
            witness_keys(service.node.identity, name, ml_dsa_44=True)
            for service, name in zip(services, ("housing.example", "museum.example"), strict=True)
        ]
        check(grown, "museum.example", keys[1])
        check(notes[1], "housing.example", keys[0])
        await refuse(services[1], grown)


async def refuse(witness: Service, note: bytes) -> None:
    """Wrong requests have the specification's statuses; who asks needs no token."""
    url = f"http://{witness.node.config.http.listen}/add-checkpoint"
    size = note.split(b"\n")[1]
    async with httpx2.AsyncClient(trust_env=False) as http:

        async def status(body: bytes) -> httpx2.Response:
            return await http.post(url, content=body)

        conflict = await status(b"old 0\n\n" + note)
        assert (conflict.status_code, conflict.content) == (409, size + b"\n")
        assert conflict.headers["content-type"] == "text/x.tlog.size"
        assert (await status(b"old " + size + b"\n\n" + note)).status_code == 200
        assert (await status(b"old x\n\n" + note)).status_code == 400
        assert (await status(note)).status_code == 400
        other = note.replace(b"concordat/", b"concordia/")
        assert (await status(b"old 0\n\n" + other)).status_code == 404
        other = note.replace(b"\nheight ", b"\nHeight ")
        assert (await status(b"old " + size + b"\n\n" + other)).status_code == 403
        proof = base64.b64encode(bytes(32))
        wrong = b"old " + size + b"\n" + proof + b"\n\n" + note
        assert (await status(wrong)).status_code == 422
        assert (await status(bytes(70_000))).status_code == 413


def test_two_ledgers_witness_each_other(tmp_path: Path) -> None:
    asyncio.run(mutual(tmp_path))


@pytest.mark.parametrize("section", ["witnessed", "witnesses"])
def test_keys_that_do_not_fit_end_the_start(tmp_path: Path, section: str) -> None:
    (one,) = found(tmp_path, "housing")
    identity = load_identity(one.parent / "keys")
    (key,) = witness_keys(identity, "w.example", ml_dsa_44=False)
    assert str(parse_verifier_key(key)) == key
    wrong = {
        "witnessed": [("log.example", key), ("other", log_key(identity, "log.example"))],
        "witnesses": [("w.example", key), ("https://w.example", log_key(identity, "log.example"))],
    }
    plain = one.read_text(encoding="utf-8")
    for name, text in [*wrong[section], ("https://w.example", key[:-1]), ("https://w.example", "")]:
        one.write_text(f'{plain}\n[{section}]\n"{name}" = "{text}"\n', encoding="utf-8")
        with pytest.raises(Exception, match=section):
            load_config(one)


def test_the_operators_tool_shows_the_keys_that_others_configure(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "housing")
    with one.open("a", encoding="utf-8") as file:
        file.write('\n[witness]\nname = "housing.example"\npost_quantum = true\n')
    done = CliRunner().invoke(tool, ["key", "--config", str(one)])
    assert done.exit_code == 0, done.output
    shown = [line.split()[-1] for line in done.output.splitlines() if "+" in line]
    log, *witness = [parse_verifier_key(text) for text in shown]
    identity = load_identity(one.parent / "keys")
    ledger_id = parse_genesis_file((one.parent / "genesis.json").read_bytes()).ledger_id
    assert (log.name, log.public_key) == (origin(ledger_id), identity.publication_key)
    assert [key.signature_type for key in witness] == [COSIGNATURE_TYPE, ML_DSA_44_TYPE]
    assert {key.name for key in witness} == {"housing.example"}
