"""A cluster founded in this process: the same files as `Cluster.found` makes, without its commands.

Founding by the command line starts some thirty processes one after the other; what they do is
tested by the demonstration and by `tests/integration/test_governing.py`. Whoever only needs a
cluster founds it here, in a moment.
"""

import time
from collections.abc import Sequence
from hashlib import sha256

from cli.demo.cluster import Cluster
from ledger.codec import encode
from ledger.genesis import FounderSignature, Genesis, GenesisFile, Setting
from ledger.statements import genesis_statement
from node.identity import load_identity
from node.setup import init_node
from node.tokens import Tokens

DAY_MS = 86_400_000
ROLES = ("app", "steward", "auditor", "operator")


def found_here(cluster: Cluster, settings: Sequence[Setting] = ()) -> None:
    """Keys, configuration, genesis and tokens of every department; every node votes."""
    enrolled = []
    for name, department in cluster.departments.items():
        made = init_node(
            department.folder,
            department=name,
            title=cluster.titles[name],
            rpc_address=f"{department.host}:{department.rpc_port}",
            rpc_listen=f"{department.host}:{department.rpc_port}",
            http_listen=f"{department.host}:{department.http_port}",
        )
        enrolled.append(made.enrolment.department)
    now_ms = time.time_ns() // 1_000_000
    enrolled.sort(key=lambda entry: entry.department)
    genesis = Genesis(
        version=1,
        title="A city's departments",
        created_ms=now_ms,
        departments=tuple(enrolled),
        voters=tuple(sorted(entry.nodes[0].node_id for entry in enrolled)),
        settings=tuple(sorted(settings, key=lambda entry: entry.name)),
    )
    data = encode(genesis)
    statement = genesis_statement(sha256(data).digest())
    signatures = []
    for entry in enrolled:
        identity = load_identity(cluster[entry.department].folder / "keys")
        key, signature = identity.record_key, identity.sign_record(statement)
        signatures.append(FounderSignature(entry.department, key, signature))
    file = GenesisFile(genesis, data, tuple(signatures)).to_json()
    cluster.genesis.write_bytes(file)
    for department in cluster.departments.values():
        (department.folder / "genesis.json").write_bytes(file)
        tokens = Tokens(department.folder / "tokens.json")
        for role in ROLES:
            department.tokens[role] = tokens.add(
                name=f"demo-{role}", role=role, expires_at_ms=now_ms + DAY_MS
            )
