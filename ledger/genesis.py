"""Genesis and enrolment: how departments start a ledger without handing out a private key.

Each department makes an *enrolment*: its name, its record keys and its nodes, signed by every key
in it, so that each private half is shown to be held. One person assembles the enrolments into a
*genesis*; every founder compares its fingerprint by telephone and signs it with a record key.
A department or node that joins later makes an enrolment too, for that ledger; members propose it
(`contracts.governance`).

    ledger id = SHA-256(genesis bytes)

Both travel as small JSON files that a person can mail and look at; what counts is the bytes inside.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from ledger.codec import Decoder, Format
from ledger.errors import BadSignature, Malformed
from ledger.signatures import verify
from ledger.statements import enrolment_statement, genesis_statement
from ledger.types import Hash, Identifier, Natural, NodeId, PublicKey, Signature

GENESIS_BYTES_MAX = 1024 * 1024
"""Limit of a genesis, in bytes."""

GENESIS_FILE_BYTES_MAX = 4 * GENESIS_BYTES_MAX
"""Limit of a genesis or enrolment file, in bytes of JSON."""

JOINING_BYTES_MAX = 3 * 1024
"""Limit of the enrolment of a department or node that joins later, in bytes: it travels in a
record's body."""

JOINING_KEYS_MAX = 32
"""Limit of the keys in such an enrolment."""

Title = Annotated[str, Meta(min_length=1, max_length=200)]
Address = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.\[\]:-]{1,253}:[0-9]{1,5}\Z")]


class RecordKey(Format, frozen=True):
    """A key with which a department signs records; `holder` says whose hands it is in."""

    key: PublicKey
    holder: Title


class NodeDescription(Format, frozen=True):
    """One node: its five public keys, each for one purpose, and where its peers reach it.

    node_id: the checkpoint key, which *is* the node. rpc_address: host:port.
    """

    node_id: NodeId
    proposal_key: PublicKey
    tls_key: PublicKey
    publication_key: PublicKey
    witness_key: PublicKey
    rpc_address: Address

    def keys(self) -> tuple[bytes, ...]:
        """Every key in the order of the fields."""
        return (
            self.node_id,
            self.proposal_key,
            self.tls_key,
            self.publication_key,
            self.witness_key,
        )


class Department(Format, frozen=True):
    """A member: its short name, its full name, the keys it signs with and the nodes it runs."""

    department: Identifier
    title: Title
    record_keys: Annotated[tuple[RecordKey, ...], Meta(min_length=1, max_length=32)]
    nodes: Annotated[tuple[NodeDescription, ...], Meta(max_length=8)]

    def keys(self) -> tuple[bytes, ...]:
        """Every key of the department: its record keys, then its nodes'."""
        record_keys = tuple(entry.key for entry in self.record_keys)
        return record_keys + tuple(key for node in self.nodes for key in node.keys())


class Enrolment(Format, frozen=True):
    """What a department hands to whoever assembles the genesis, or to a member who proposes it.

    ledger_id: the ledger to join; `NO_LEDGER` for founders.
    """

    version: Literal[1]
    ledger_id: Hash
    department: Department
    created_ms: Natural


class SignedEnrolment(Format, frozen=True):
    """An enrolment's bytes and one signature per key, in the order of `Department.keys()`."""

    enrolment: Annotated[bytes, Meta(max_length=JOINING_BYTES_MAX)]
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=JOINING_KEYS_MAX)]


class Setting(Format, frozen=True):
    """A number the consortium agreed on; the contracts say which names exist and what they do."""

    name: Identifier
    value: Natural


class Genesis(Format, frozen=True):
    """Height 0: who takes part, who votes, and the numbers the rules work with.

    departments: sorted by short name. voters: node ids, sorted. settings: sorted by name.
    """

    version: Literal[1]
    title: Title
    created_ms: Natural
    departments: Annotated[tuple[Department, ...], Meta(min_length=1, max_length=1024)]
    voters: Annotated[tuple[NodeId, ...], Meta(min_length=1, max_length=64)]
    settings: tuple[Setting, ...]


class FounderSignature(Format, frozen=True):
    """A founder's signature over `genesis_statement`, by one of its record keys."""

    department: Identifier
    key: PublicKey
    signature: Signature


_GENESIS: Decoder[Genesis] = Decoder(Genesis, what="genesis", bytes_max=GENESIS_BYTES_MAX)
_ENROLMENT: Decoder[Enrolment] = Decoder(Enrolment, what="enrolment", bytes_max=GENESIS_BYTES_MAX)


class _GenesisJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    concordat: Literal["genesis/1"]
    fingerprint: str
    genesis: str
    signatures: tuple[dict[str, str], ...]


class _EnrolmentJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    concordat: Literal["enrolment/1"]
    fingerprint: str
    enrolment: str
    signatures: tuple[str, ...]


_Content = TypeVar("_Content", _GenesisJson, _EnrolmentJson)


def fingerprint(digest: bytes) -> str:
    """Twelve groups of five digits that two people can compare by telephone (about 199 bits)."""
    number = int.from_bytes(sha256(b"concordat/fingerprint/v1\x00" + digest).digest(), "big")
    groups = []
    for _ in range(12):
        number, group = divmod(number, 100_000)
        groups.append(f"{group:05d}")
    return " ".join(groups)


@dataclass(frozen=True, slots=True)
class GenesisFile:
    """A genesis with its founders' signatures: the only thing an auditor has to trust."""

    genesis: Genesis
    genesis_bytes: bytes
    signatures: tuple[FounderSignature, ...]

    @property
    def ledger_id(self) -> bytes:
        """SHA-256 of the genesis' bytes, 32 bytes."""
        return sha256(self.genesis_bytes).digest()

    @property
    def fingerprint(self) -> str:
        """The ledger id as digits for the telephone."""
        return fingerprint(self.ledger_id)

    def to_json(self) -> bytes:
        """The file's content."""
        content = _GenesisJson(
            concordat="genesis/1",
            fingerprint=self.fingerprint,
            genesis=_to_text(self.genesis_bytes),
            signatures=tuple(
                {
                    "department": entry.department,
                    "key": entry.key.hex(),
                    "signature": _to_text(entry.signature),
                }
                for entry in self.signatures
            ),
        )
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"

    def missing_founders(self) -> tuple[str, ...]:
        """Departments of the genesis that have not signed yet, in order."""
        signed = {entry.department for entry in self.signatures}
        return tuple(
            entry.department for entry in self.genesis.departments if entry.department not in signed
        )

    def check(self) -> None:
        """Every founder has signed, validly, once, with a record key the genesis gives it.

        Raises BadSignature naming the department otherwise.
        """
        missing = self.missing_founders()
        if missing:
            raise BadSignature("genesis", f"not signed by {', '.join(missing)}")
        self.check_signatures()

    def check_signatures(self) -> None:
        """The signatures that are there are valid, each department's once. Raises BadSignature."""
        statement = genesis_statement(self.ledger_id)
        keys: Mapping[str, set[bytes]] = {
            entry.department: {record_key.key for record_key in entry.record_keys}
            for entry in self.genesis.departments
        }
        seen: set[str] = set()
        for entry in self.signatures:
            if entry.department in seen or entry.key not in keys.get(entry.department, set()):
                raise BadSignature(
                    "genesis", f"{entry.department} signed twice or with a key it has not enrolled"
                )
            seen.add(entry.department)
            if not verify(entry.key, statement, entry.signature):
                raise BadSignature("genesis", f"the signature of {entry.department} does not fit")


@dataclass(frozen=True, slots=True)
class EnrolmentFile:
    """An enrolment with one signature per key, in the order of `Department.keys()`."""

    enrolment: Enrolment
    enrolment_bytes: bytes
    signatures: tuple[bytes, ...]

    @property
    def fingerprint(self) -> str:
        """The enrolment as digits for the telephone."""
        return fingerprint(sha256(self.enrolment_bytes).digest())

    def to_json(self) -> bytes:
        """The file's content."""
        content = _EnrolmentJson(
            concordat="enrolment/1",
            fingerprint=self.fingerprint,
            enrolment=_to_text(self.enrolment_bytes),
            signatures=tuple(_to_text(signature) for signature in self.signatures),
        )
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"

    def signed(self) -> SignedEnrolment:
        """The enrolment as a record carries it. Raises Malformed if it is too large for one."""
        if len(self.enrolment_bytes) > JOINING_BYTES_MAX or len(self.signatures) > JOINING_KEYS_MAX:
            raise Malformed(
                "enrolment",
                f"{len(self.enrolment_bytes)} bytes and {len(self.signatures)} keys, at most "
                f"{JOINING_BYTES_MAX} and {JOINING_KEYS_MAX} can join at once",
            )
        return SignedEnrolment(self.enrolment_bytes, self.signatures)

    def check(self) -> None:
        """Every key shows that its private half is held. Raises BadSignature."""
        keys = self.enrolment.department.keys()
        if len(keys) != len(self.signatures):
            raise BadSignature("enrolment", f"{len(keys)} keys but {len(self.signatures)} signed")
        statement = enrolment_statement(self.enrolment.ledger_id, self.enrolment_bytes)
        for key, signature in zip(keys, self.signatures, strict=True):
            if not verify(key, statement, signature):
                raise BadSignature("enrolment", f"key {key.hex()[:16]}… did not sign it")


def parse_genesis(data: bytes) -> Genesis:
    """A genesis from its bytes; order and uniqueness are checked, keys and rules are not.

    Raises Malformed.
    """
    genesis = _GENESIS.decode(data)
    names = [entry.department for entry in genesis.departments]
    settings = [setting.name for setting in genesis.settings]
    for what, values in (("departments", names), ("settings", settings)):
        if values != sorted(set(values)):
            raise Malformed("genesis", f"its {what} are not sorted and unique")
    if list(genesis.voters) != sorted(set(genesis.voters)):
        raise Malformed("genesis", "its voters are not sorted and unique")
    keys = [key for entry in genesis.departments for key in entry.keys()]
    if len(keys) != len(set(keys)):
        raise Malformed("genesis", "one key is enrolled twice")
    nodes = {node.node_id for entry in genesis.departments for node in entry.nodes}
    if not nodes.issuperset(genesis.voters):
        raise Malformed("genesis", "a voter is no department's node")
    return genesis


def parse_genesis_file(data: bytes) -> GenesisFile:
    """A genesis file from its JSON; founders' signatures are not checked here. Raises Malformed."""
    content = _json(data, _GenesisJson, "genesis file")
    genesis_bytes = _from_text(content.genesis, "genesis file")
    signatures = []
    for entry in content.signatures:
        try:
            signatures.append(
                msgspec.convert(
                    [
                        entry["department"],
                        bytes.fromhex(entry["key"]),
                        _from_text(entry["signature"], "genesis file"),
                    ],
                    FounderSignature,
                )
            )
        except (KeyError, ValueError, msgspec.ValidationError) as error:
            raise Malformed(
                "genesis file", f"a founder's signature is unreadable: {error}"
            ) from None
    parsed = GenesisFile(parse_genesis(genesis_bytes), genesis_bytes, tuple(signatures))
    if content.fingerprint != parsed.fingerprint:
        raise Malformed("genesis file", "its fingerprint is not that of its genesis")
    return parsed


def parse_enrolment_file(data: bytes) -> EnrolmentFile:
    """An enrolment file from its JSON; its signatures are not checked here. Raises Malformed."""
    content = _json(data, _EnrolmentJson, "enrolment file")
    enrolment_bytes = _from_text(content.enrolment, "enrolment file")
    signatures = tuple(_from_text(text, "enrolment file") for text in content.signatures)
    parsed = EnrolmentFile(_ENROLMENT.decode(enrolment_bytes), enrolment_bytes, signatures)
    if content.fingerprint != parsed.fingerprint:
        raise Malformed("enrolment file", "its fingerprint is not that of its content")
    return parsed


def open_enrolment(signed: SignedEnrolment) -> EnrolmentFile:
    """An enrolment as a record carries it; signatures are not checked here. Raises Malformed."""
    enrolment = _ENROLMENT.decode(signed.enrolment)
    return EnrolmentFile(enrolment, signed.enrolment, signed.signatures)


def _json(data: bytes, form: type[_Content], what: str) -> _Content:
    if len(data) > GENESIS_FILE_BYTES_MAX:
        raise Malformed(what, f"{len(data)} bytes, at most {GENESIS_FILE_BYTES_MAX} allowed")
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(what, str(error)) from None


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_text(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed(what, "a field is not base64") from None
