"""What tests need again and again: deterministic keys, a small consortium, signed records."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

from ledger.attachments import attach_document, attach_items
from ledger.codec import encode
from ledger.genesis import (
    Department,
    Enrolment,
    EnrolmentFile,
    FounderSignature,
    Genesis,
    GenesisFile,
    NodeDescription,
    RecordKey,
    Setting,
)
from ledger.records import Record, RecordHeader, assemble_record
from ledger.signatures import Signer
from ledger.statements import (
    NO_LEDGER,
    enrolment_statement,
    genesis_statement,
    record_statement,
)

DEPARTMENTS = {
    "civil-affairs": "Bureau of Civil Affairs",
    "health": "Health Commission",
    "housing": "Housing Bureau",
    "tourism": "Culture and Tourism Bureau",
    "transport": "Transport Bureau",
}

START_MS = 1_790_000_000_000
"""When the test consortium was founded: a moment in 2026."""

_PURPOSES = ("checkpoint", "proposal", "tls", "publication", "witness")


def signer(name: str) -> Signer:
    """The same key for the same name, always."""
    return Signer(sha256(b"concordat test key " + name.encode()).digest())


def node_description(department: str, number: int = 0) -> NodeDescription:
    """A node of a department, with keys named `<department>/<number>/<purpose>`."""
    keys = [signer(f"{department}/{number}/{purpose}").public_key for purpose in _PURPOSES]
    return NodeDescription(*keys, rpc_address=f"127.0.0.1:{7000 + number}")


def enrolment_of(
    department: Department, ledger_id: bytes, signers: Sequence[Signer]
) -> EnrolmentFile:
    """An enrolment signed by these, in the order of the department's keys."""
    enrolment = Enrolment(
        version=1, ledger_id=ledger_id, department=department, created_ms=START_MS
    )
    enrolment_bytes = encode(enrolment)
    statement = enrolment_statement(ledger_id, enrolment_bytes)
    return EnrolmentFile(
        enrolment, enrolment_bytes, tuple(entry.sign(statement) for entry in signers)
    )


def joining_enrolment(ledger_id: bytes, name: str, number: int = 0) -> EnrolmentFile:
    """Node `number` of a department for a ledger that exists, with a record key of its own.

    Number 0 of a new department has the keys that `Consortium` would give a founder.
    """
    own_key = signer(f"{name}/records" if number == 0 else f"{name}/{number}/records")
    department = Department(
        department=name,
        title=DEPARTMENTS.get(name, name),
        record_keys=(RecordKey(own_key.public_key, f"node {number}"),),
        nodes=(node_description(name, number),),
    )
    signers = [own_key, *(signer(f"{name}/{number}/{purpose}") for purpose in _PURPOSES)]
    return enrolment_of(department, ledger_id, signers)


@dataclass(frozen=True)
class Consortium:
    """A consortium with one node for each department; the first `voter_count` nodes vote."""

    departments: tuple[str, ...] = tuple(sorted(DEPARTMENTS))
    voter_count: int = 5
    settings: tuple[tuple[str, int], ...] = ()

    @cached_property
    def genesis_file(self) -> GenesisFile:
        """The genesis, signed by every founder."""
        described = tuple(self.department(name) for name in self.departments)
        genesis = Genesis(
            version=1,
            title="A city's test consortium",
            created_ms=START_MS,
            departments=described,
            voters=tuple(sorted(self.node_ids[: self.voter_count])),
            settings=tuple(Setting(name, value) for name, value in sorted(self.settings)),
        )
        genesis_bytes = encode(genesis)
        statement = genesis_statement(sha256(genesis_bytes).digest())
        signatures = tuple(
            FounderSignature(
                name,
                self.record_signer(name).public_key,
                self.record_signer(name).sign(statement),
            )
            for name in self.departments
        )
        return GenesisFile(genesis, genesis_bytes, signatures)

    @property
    def ledger_id(self) -> bytes:
        """The consortium's ledger."""
        return self.genesis_file.ledger_id

    @cached_property
    def node_ids(self) -> tuple[bytes, ...]:
        """The node of each department, in the order of the departments."""
        return tuple(self.checkpoint_signer(name).public_key for name in self.departments)

    def record_signer(self, department: str) -> Signer:
        """The department's record key."""
        return signer(f"{department}/records")

    def checkpoint_signer(self, department: str) -> Signer:
        """The checkpoint key of the department's node."""
        return signer(f"{department}/0/checkpoint")

    def proposal_signer(self, department: str) -> Signer:
        """The proposal key of the department's node."""
        return signer(f"{department}/0/proposal")

    def department(self, name: str) -> Department:
        """The department as genesis describes it."""
        return Department(
            department=name,
            title=DEPARTMENTS.get(name, name),
            record_keys=(RecordKey(self.record_signer(name).public_key, "the node"),),
            nodes=(node_description(name),),
        )

    def enrolment_file(self, name: str) -> EnrolmentFile:
        """The department's enrolment, signed by each of its keys."""
        signers = [self.record_signer(name)]
        signers += [signer(f"{name}/0/{purpose}") for purpose in _PURPOSES]
        return enrolment_of(self.department(name), NO_LEDGER, signers)

    def record(
        self,
        department: str,
        kind: str,
        body: Any,
        *,
        created_ms: int = START_MS + 1_000,
        valid_ms: int = 3_600_000,
        items: tuple[bytes, ...] = (),
        document: bytes | None = None,
        nonce: bytes | None = None,
        actor: str = "tester",
        by: Signer | None = None,
    ) -> Record:
        """A record signed by the department's record key, or by another one."""
        attached = data = None
        if items:
            attached, data = attach_items(items)
        elif document is not None:
            attached, data = attach_document(document)
        author = by or self.record_signer(department)
        body_bytes = encode(body)
        if nonce is None:
            seed = body_bytes + created_ms.to_bytes(8, "big") + kind.encode()
            nonce = sha256(seed + department.encode()).digest()[:16]
        header = RecordHeader(
            version=1,
            ledger_id=self.ledger_id,
            kind=kind,
            department=department,
            actor=actor,
            key=author.public_key,
            created_ms=created_ms,
            valid_until_ms=created_ms + valid_ms,
            nonce=nonce,
            body=msgspec.Raw(body_bytes),
            attached=attached,
        )
        signature = author.sign(record_statement(self.ledger_id, encode(header)))
        return assemble_record(header, signature, attached=data)
