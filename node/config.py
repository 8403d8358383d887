"""The node's configuration: one TOML file, every key with its unit, default and check.

Paths are relative to the file. An unknown key is an error that names the nearest right one, so a
misspelt limit never silently stays at its default.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from consensus.messages import PROTOCOL_VERSION
from ledger.errors import Malformed
from ledger.notes import COSIGNATURE_TYPE, ED25519_TYPE
from ledger.witnesses import ML_DSA_44_TYPE, VerifierKey, parse_verifier_key
from node.errors import ConfigInvalid

Kind = str | int | bool

LOG_KEY_TYPES = (ED25519_TYPE,)
WITNESS_KEY_TYPES = (COSIGNATURE_TYPE, ML_DSA_44_TYPE)
"""Kinds of keys by which logs and witnesses are known."""


def _setting(default: Any, meaning: str, *, least: int | None = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "least": least})


@dataclass(frozen=True, slots=True)
class NodeSection:
    """Who this node is and where its things lie."""

    department: str = _setting("", "the department's short name, as in genesis; required")
    genesis: str = _setting("genesis.json", "the genesis file")
    keys: str = _setting("keys", "the folder of private keys; never part of a backup")
    data: str = _setting("data", "the folder of the ledger's store")
    tokens: str = _setting("tokens.json", "the file of hashed bearer tokens")
    spool: str = _setting("spool", "the folder of the encrypted vault and results under way")


@dataclass(frozen=True, slots=True)
class RpcSection:
    """How peers reach this node."""

    listen: str = _setting("0.0.0.0:7400", "address and port for peers, TLS 1.3")
    tick_ms: int = _setting(50, "length of a consensus tick, milliseconds", least=5)
    election_ticks: int = _setting(10, "ticks without a leader before a campaign", least=4)
    protocol_version: int = _setting(
        PROTOCOL_VERSION,
        "newest version spoken with peers; lower while a cluster is upgraded",
        least=1,
    )
    queue_messages_max: int = _setting(4_096, "messages that wait for one peer", least=16)
    queue_bytes_max: int = _setting(67_108_864, "bytes that wait for one peer", least=33_554_432)
    clock_tolerance_ms: int = _setting(
        2_000,
        "how far a peer's clock may be off before that is an alarm, milliseconds",
        least=1_000,
    )


@dataclass(frozen=True, slots=True)
class HttpSection:
    """How apps reach this node."""

    listen: str = _setting("127.0.0.1:8400", "address and port for apps")
    tls_certificate: str = _setting("", "PEM file; empty for plain HTTP behind a proxy")
    tls_key: str = _setting("", "PEM file of the certificate's key")
    body_bytes_max: int = _setting(4_194_304, "largest request body, bytes", least=4_096)
    wait_timeout_ms: int = _setting(10_000, "longest wait for certification", least=100)
    page_max: int = _setting(500, "most items in one page of a list", least=1)
    streams_max: int = _setting(100, "event streams open at once", least=1)


@dataclass(frozen=True, slots=True)
class LimitsSection:
    """How much may be under way at once; beyond it requests are refused with Retry-After."""

    block_records_max: int = _setting(500, "records in one proposed block", least=1)
    log_entries_kept: int = _setting(1_000, "certified entries kept in the Raft log", least=10)
    waiting_records_max: int = _setting(20_000, "own records not yet in a block", least=10)
    waiting_bytes_max: int = _setting(67_108_864, "their bytes", least=8_388_608)
    queue_records_max: int = _setting(40_000, "records a leader queues", least=10)
    queue_bytes_max: int = _setting(134_217_728, "their bytes", least=8_388_608)
    exchanges_in_flight_max: int = _setting(1_000, "exchanges served or asked at once", least=1)
    result_rows_max: int = _setting(10_000, "rows in one exchange", least=1)
    result_bytes_max: int = _setting(16_777_216, "bytes in one exchange", least=1_024)
    spool_bytes_max: int = _setting(4_294_967_296, "results under way, each side", least=1_048_576)
    source_timeout_ms: int = _setting(5_000, "longest wait for a source", least=100)


@dataclass(frozen=True, slots=True)
class WitnessSection:
    """How this node witnesses other ledgers, and asks witnesses for its own (C2SP tlog-witness)."""

    name: str = _setting(
        "", "key name of this node as a witness, a URL without scheme; empty: none"
    )
    post_quantum: bool = _setting(False, "cosign with ML-DSA-44 beside Ed25519")
    interval_ms: int = _setting(60_000, "time between two rounds of asking witnesses", least=1_000)
    timeout_ms: int = _setting(10_000, "longest wait for one witness", least=100)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. sources: as `node.exchange.sources` reads it. base: its folder.

    witnessed: verifier keys of other logs by origin; witnesses: those of witnesses by their URL.
    """

    node: NodeSection
    rpc: RpcSection
    http: HttpSection
    limits: LimitsSection
    witness: WitnessSection
    peers: Mapping[str, str]
    witnessed: Mapping[str, tuple[VerifierKey, ...]]
    witnesses: Mapping[str, tuple[VerifierKey, ...]]
    sources: Mapping[str, Any]
    base: Path

    def path(self, value: str) -> Path:
        """A path of the configuration, made absolute."""
        return (self.base / value).resolve()


SECTIONS: dict[str, type] = {
    "node": NodeSection,
    "rpc": RpcSection,
    "http": HttpSection,
    "limits": LimitsSection,
    "witness": WitnessSection,
}


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file. Raises ConfigInvalid with file and key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} is not TOML: {error}") from None
    known = [*SECTIONS, "peers", "sources", "witnessed", "witnesses"]
    for name in content:
        if name not in known:
            raise ConfigInvalid(f"{path}: unknown section [{name}]{_nearest(name, known)}")
    sections = {
        name: _section(path, name, form, content.get(name, {})) for name, form in SECTIONS.items()
    }
    config = Config(
        **sections,
        peers=_peers(path, content.get("peers", {})),
        witnessed=_keys(path, "witnessed", content.get("witnessed", {}), LOG_KEY_TYPES),
        witnesses=_keys(path, "witnesses", content.get("witnesses", {}), WITNESS_KEY_TYPES),
        sources=_table(path, "sources", content.get("sources", {})),
        base=path.resolve().parent,
    )
    if not config.node.department:
        raise ConfigInvalid(f"{path}: node.department is missing")
    for name, address in (("rpc.listen", config.rpc.listen), ("http.listen", config.http.listen)):
        check_address(f"{path}: {name}", address)
    if bool(config.http.tls_certificate) != bool(config.http.tls_key):
        raise ConfigInvalid(f"{path}: http.tls_certificate and http.tls_key belong together")
    return config


def check_address(what: str, address: str) -> tuple[str, int]:
    """Host and port of "host:port". Raises ConfigInvalid."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 65536:
        raise ConfigInvalid(f"{what} = {address!r} is not host:port")
    return host.strip("[]"), int(port)


def _table(path: Path, name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigInvalid(f"{path}: [{name}] is not a table")
    return value


def _section(path: Path, name: str, form: type, value: object) -> Any:
    table = _table(path, name, value)
    known = {entry.name: entry for entry in fields(form)}
    for key, given in table.items():
        if key not in known:
            raise ConfigInvalid(f"{path}: unknown key {name}.{key}{_nearest(key, list(known))}")
        default = known[key].default
        assert default is not MISSING
        if type(given) is not type(default):
            kind = {str: "a text", bool: "true or false", int: "an integer"}[type(default)]
            raise ConfigInvalid(f"{path}: {name}.{key} = {given!r} is not {kind}")
        least = known[key].metadata["least"]
        if least is not None and given < least:
            raise ConfigInvalid(f"{path}: {name}.{key} = {given} is less than {least}")
    return form(**table)


def _peers(path: Path, value: object) -> dict[str, str]:
    """Addresses that replace those of genesis, by node id."""
    peers = _table(path, "peers", value)
    for node_id, address in peers.items():
        if len(node_id) != 64 or not isinstance(address, str):
            raise ConfigInvalid(f"{path}: peers.{node_id} is not a node id with host:port")
        check_address(f"{path}: peers.{node_id[:16]}…", address)
    return peers


def _keys(
    path: Path, section: str, value: object, types: tuple[int, ...]
) -> dict[str, tuple[VerifierKey, ...]]:
    """Verifier keys, one or several with spaces between, by origin or URL."""
    found: dict[str, tuple[VerifierKey, ...]] = {}
    for name, text in _table(path, section, value).items():
        try:
            keys = tuple(parse_verifier_key(each) for each in str(text).split())
        except Malformed as error:
            raise ConfigInvalid(f"{path}: {section}: {error}") from None
        if not keys or any(key.signature_type not in types for key in keys):
            raise ConfigInvalid(
                f"{path}: {section}: {name} has no verifier key of a kind that fits"
            )
        if section == "witnessed" and any(key.name != name for key in keys):
            raise ConfigInvalid(f"{path}: {section}: a key of {name} has another name")
        if section == "witnesses" and not name.startswith(("https://", "http://")):
            raise ConfigInvalid(f"{path}: {section}: {name} is no URL")
        found[name.rstrip("/")] = keys
    return found


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are: {', '.join(known)}"
