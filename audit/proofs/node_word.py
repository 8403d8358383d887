"""One node's word on a record: a COSE receipt (RFC 9942), judged with the record itself. Pure.

A receipt holds neither the record nor a certificate. Whoever checks it brings the record, and
learns that a node of the ledger, named by its publication key, has signed a root that the record's
leaf leads to. Whether that root is the ledger's is for a certificate to say.
"""

from dataclasses import dataclass
from typing import Any

from audit.cose import check_receipt
from audit.proofs.format import (
    ProofRefused,
    ReceiptStatement,
    RecordStatement,
    parse_proof,
)
from audit.proofs.trust import Trust
from ledger.errors import BadSignature, LedgerError, Malformed
from ledger.records import parse_leaf, parse_record
from ledger.signatures import verify
from ledger.tlog_proofs import FIRST_LINE, parse_tlog_proof

RECEIPT_START = b"\xd2\x84"
"""How every COSE receipt begins: CBOR's tag 18 and an array of four."""


@dataclass(frozen=True, slots=True)
class NodeWord:
    """What a node of a department says. words, facts: as for a proof (`audit.proofs.check`)."""

    ledger_id: bytes
    fingerprint: str
    department: str
    words: tuple[str, ...]
    facts: dict[str, Any]


def check_node_word(receipt: bytes, record: bytes, trust: Trust) -> NodeWord:
    """What a receipt says of a record; record: a file that `leaf_in` reads. Raises ProofRefused."""
    try:
        leaf = leaf_in(record)
        made = parse_leaf(leaf)
        header = made.header
        if header.ledger_id != trust.genesis.ledger_id:
            raise ProofRefused("record", "it is another ledger's")
        if not verify(header.key, made.statement(), made.signature):
            raise BadSignature("record", f"{header.department} did not sign it")
        vouched = check_receipt(receipt, leaf)
    except ProofRefused:
        raise
    except LedgerError as error:
        raise ProofRefused(error.what, error.why, remedy=error.remedy) from None
    department = trust.publisher(vouched.key)
    if department is None:
        raise ProofRefused(
            "COSE receipt",
            f"no node that is known here has the publication key {vouched.key.hex()}",
            remedy="If the node joined after genesis, give the newest voter chain with --voters.",
        )
    record_id = made.record_id.hex()
    facts: dict[str, Any] = {
        "record_id": record_id,
        "leaf_index": vouched.leaf_index,
        "tree_size": vouched.tree_size,
        "root": vouched.root.hex(),
        "publication_key": vouched.key.hex(),
        "record_kind": header.kind,
        "department": header.department,
        "actor": header.actor,
        "created_ms": header.created_ms,
    }
    return NodeWord(
        ledger_id=trust.genesis.ledger_id,
        fingerprint=trust.genesis.fingerprint,
        department=department,
        words=(
            f"A node of {department} says that record {record_id} is in its tree, at leaf "
            f"{vouched.leaf_index}, under the root {vouched.root.hex()}.",
            f"Its kind is {header.kind}, by {header.department} (actor {header.actor}).",
            "This is one node's word and no certificate; the size of the tree is not signed.",
        ),
        facts=facts,
    )


def leaf_in(data: bytes) -> bytes:
    """A record's leaf from its bytes, whole or leaf alone, or from a proof file of it.

    Raises Malformed or ProofRefused.
    """
    if data.startswith(FIRST_LINE.encode()):
        extra = parse_tlog_proof(data).extra
        if extra is None:
            raise Malformed("tlog-proof", "it does not hold the record's leaf as `extra`")
        return extra
    if data.startswith(b"{"):
        statement = parse_proof(data).statement
        if not isinstance(statement, RecordStatement | ReceiptStatement):
            raise Malformed("proof file", "it is of no single record")
        return statement.record.leaf
    try:
        return parse_leaf(data).leaf_bytes
    except Malformed:
        return parse_record(data).leaf_bytes
