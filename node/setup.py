"""First steps of a node: its folder, its keys, its enrolment, its configuration file."""

import time
from hashlib import sha256
from pathlib import Path

from ledger.codec import encode
from ledger.genesis import Department, Enrolment, EnrolmentFile, GenesisFile, RecordKey
from ledger.statements import NO_LEDGER, enrolment_statement
from node.errors import ConfigInvalid
from node.identity import Identity, create_identity

CONFIG = """\
# The configuration of one Concordat node. docker/node.example.toml names every setting.

[node]
department = "{department}"
genesis = "genesis.json"

[rpc]
listen = "{rpc_listen}"

[http]
listen = "{http_listen}"

# [sources.residents]
# kind = "sql"
# dataset = "residents"
# url = "sqlite:///residents.db"
# table = "residents"
"""


def init_node(
    folder: Path,
    *,
    department: str,
    title: str,
    rpc_address: str,
    rpc_listen: str,
    http_listen: str,
    join: GenesisFile | None = None,
) -> EnrolmentFile:
    """Makes keys, a configuration and the enrolment file in `folder`.

    join: the ledger that exists already; its genesis is written beside the configuration.
    Raises IdentityInvalid or ConfigInvalid if there are any already; nothing is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    if path.exists():
        raise ConfigInvalid(f"{path} is there already", remedy="Choose another folder.")
    identity = create_identity(folder / "keys")
    path.write_text(
        CONFIG.format(department=department, rpc_listen=rpc_listen, http_listen=http_listen),
        encoding="utf-8",
    )
    enrolment = enrol(
        identity,
        ledger_id=NO_LEDGER if join is None else join.ledger_id,
        department=department,
        title=title,
        rpc_address=rpc_address,
    )
    (folder / "enrolment.json").write_bytes(enrolment.to_json())
    if join is not None:
        (folder / "genesis.json").write_bytes(join.to_json())
    return enrolment


def enrol(
    identity: Identity, *, ledger_id: bytes, department: str, title: str, rpc_address: str
) -> EnrolmentFile:
    """The department's enrolment, signed by every key in it.

    ledger_id: the ledger to join, `NO_LEDGER` for founders.
    """
    enrolment = Enrolment(
        version=1,
        ledger_id=ledger_id,
        department=Department(
            department=department,
            title=title,
            record_keys=(RecordKey(identity.record_key, "the node"),),
            nodes=(identity.description(rpc_address=rpc_address),),
        ),
        created_ms=time.time_ns() // 1_000_000,
    )
    data = encode(enrolment)
    file = EnrolmentFile(enrolment, data, identity.sign_all(enrolment_statement(ledger_id, data)))
    file.check()
    return file


def key_fingerprints(identity: Identity) -> dict[str, str]:
    """Public keys by what they are for, in hexadecimal."""
    described = identity.description(rpc_address="unused:1")
    return {
        "node id (checkpoint)": described.node_id.hex(),
        "record": identity.record_key.hex(),
        "proposal": described.proposal_key.hex(),
        "tls": described.tls_key.hex(),
        "publication": described.publication_key.hex(),
        "witness": described.witness_key.hex(),
        "short": sha256(described.node_id).hexdigest()[:16],
    }
