"""Vectors that every implementation must accept: encoded formats and what signs them."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from builders import joining_enrolment, signer
from vectors.bodies import contract_vectors
from vectors.evidence import evidence_vectors
from vectors.governance import KEY_ADD, NEW_KEY, governance_vectors
from vectors.plain import Vector, packed, to_json, vector
from vectors.proved import hash_vectors, state_vectors, tile_vectors, tree_vectors
from vectors.sample import (
    CERTIFICATE,
    CITY,
    DOCUMENT,
    ENTER_JOINT,
    ENTRIES,
    HEADERS,
    ITEMS,
    JOINT_CERTIFICATE,
    LEAVE_JOINT,
    NEW_VOTERS,
    OLD_VOTERS,
    PLAIN_RECORD,
    RECORD_WITH_DOCUMENT,
    RECORD_WITH_ITEMS,
    VILLAGE,
)

from ledger import commitments, sealing, statements, store_keys
from ledger.attachments import items_root
from ledger.blocks import block_hash
from ledger.checkpoints import cosignature_message, cosigner_name, origin
from ledger.codec import encode
from ledger.entries import Entry
from ledger.notes import COSIGNATURE_TYPE, key_id, verifier_key
from ledger.records import Record, RecordLeaf
from ledger.tree import leaf_hash
from ledger.types import Height, LeafIndex


def codec_vectors() -> Iterator[Vector]:
    """Every length of integer, text, bytes and array, each in an entry or an attachment."""
    for number in (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1):
        yield packed(
            f"codec/integer-{number}",
            "entry",
            f"The integer {number} in its shortest form, as an entry's time.",
            Entry(number, None, ()),
        )
    for length in (0, 255, 256):
        yield packed(
            f"codec/bytes-{length}",
            "attachment",
            f"Bytes of length {length} behind their shortest length.",
            (bytes(length),),
        )
    for length in (15, 16):
        yield packed(
            f"codec/array-{length}",
            "attachment",
            f"An array of {length} behind its shortest length.",
            (b"",) * length,
        )
    for length in (31, 32):
        yield packed(
            f"codec/text-{length}",
            "record header",
            f"A text of {length} bytes behind its shortest length, as the actor.",
            CITY.record("health", "a.b", None, actor="x" * length).header,
        )
    for what, actor in (
        ("nfc", "\u00e9"),
        ("han", "\u5e02\u6c11"),
        ("tab-and-line-feed", "a\tb\n"),
        ("last-of-unicode-14", "\U0001fae7"),
    ):
        yield packed(
            f"codec/text-{what}",
            "record header",
            f"Accepted text, as the actor: {what.replace('-', ' ')}.",
            CITY.record("health", "a.b", None, actor=actor).header,
        )


def record_vectors() -> Iterator[Vector]:
    """Headers, leaves, envelopes and what is attached."""
    for name, what, record in (
        ("plain", "nothing attached", PLAIN_RECORD),
        ("items", "three items attached", RECORD_WITH_ITEMS),
        ("document", "a document attached", RECORD_WITH_DOCUMENT),
    ):
        yield from _record_vectors(name, what, record)
    yield vector(
        "record/withheld",
        "record",
        "The record of record/items with its attachment withheld: nil in its place.",
        encode((RECORD_WITH_ITEMS.leaf_bytes, None)),
        value=to_json((RECORD_WITH_ITEMS.leaf_bytes, None)),
        record_id=RECORD_WITH_ITEMS.record_id,
    )
    yield packed(
        "attachment/three-items",
        "attachment",
        "The three items of record/items, and the RFC 6962 root that its header names.",
        ITEMS,
        items_root=items_root(ITEMS),
    )
    yield vector(
        "document/terms",
        "document",
        "The document of record/document: its bytes are free, its digest is in the header.",
        DOCUMENT,
        digest=sha256(DOCUMENT).digest(),
    )


def _record_vectors(name: str, what: str, record: Record) -> Iterator[Vector]:
    yield packed(
        f"record-header/{name}",
        "record header",
        f"A record's header, {what}. Its body is no kind's: bodies are judged by contracts.",
        record.header,
        record_id=record.record_id,
    )
    yield packed(
        f"record-leaf/{name}",
        "record leaf",
        f"The Merkle leaf of that record, {what}: tag 1, header, signature.",
        RecordLeaf(record.header_bytes, record.signature),
        leaf_hash=leaf_hash(record.leaf_bytes),
        public_key=record.header.key,
        preimage=record.statement(),
    )
    yield vector(
        f"record/{name}",
        "record",
        f"The whole record as it travels, {what}.",
        record.to_bytes(),
        value=to_json((record.leaf_bytes, record.attached)),
        record_id=record.record_id,
    )


def block_vectors() -> Iterator[Vector]:
    """Entries and the blocks that they make: two records, entering joint, leaving it."""
    yield packed("step/enter-joint", "step", "The step into a joint configuration.", ENTER_JOINT)
    yield packed("step/leave-joint", "step", "The step out of it: no incoming set.", LEAVE_JOINT)
    names = ("records", "enter-joint", "leave-joint")
    for name, entry, header in zip(names, ENTRIES, HEADERS, strict=True):
        yield packed(
            f"entry/{name}",
            "entry",
            f"The Raft entry at index {header.height}, term {header.term}.",
            entry,
            entry_hash=header.entry_hash,
        )
        yield packed(
            f"voter-sets/{name}",
            "voter sets",
            f"The voters in force after block {header.height}.",
            header.voters,
        )
        yield packed(
            f"block-header/{name}",
            "block header",
            f"The header and last leaf of block {header.height}: tag 2.",
            header,
            block_hash=block_hash(header.to_bytes()),
            leaf_hash=leaf_hash(header.to_bytes()),
        )


def genesis_vectors() -> Iterator[Vector]:
    """Genesis, enrolment and the files that carry them."""
    for name, consortium in (("city", CITY), ("village", VILLAGE)):
        count = len(consortium.departments)
        made = consortium.genesis_file
        yield packed(
            f"genesis/{name}",
            "genesis",
            f"A genesis of {count} departments, {consortium.voter_count} voters.",
            made.genesis,
            ledger_id=made.ledger_id,
            fingerprint=made.fingerprint,
        )
        yield vector(
            f"genesis-file/{name}",
            "genesis file",
            f"The JSON file of genesis/{name}, signed by every founder.",
            made.to_json(),
            ledger_id=made.ledger_id,
        )
    file = CITY.enrolment_file("health")
    yield packed(
        "enrolment/health",
        "enrolment",
        "A department's enrolment: one record key, one node.",
        file.enrolment,
        fingerprint=file.fingerprint,
    )
    joining = joining_enrolment(CITY.ledger_id, "fisheries")
    yield packed(
        "enrolment/joining",
        "enrolment",
        "The enrolment of a department that joins the ledger of genesis/city.",
        joining.enrolment,
        fingerprint=joining.fingerprint,
    )
    yield vector(
        "enrolment-file/health",
        "enrolment file",
        "The JSON file of enrolment/health, signed by each of its six keys in their order.",
        file.to_json(),
        public_keys=[key.hex() for key in file.enrolment.department.keys()],
    )


def certificate_vectors() -> Iterator[Vector]:
    """Checkpoints, cosignatures, certificates and their notes."""
    for name, made, sets in (
        ("majority", CERTIFICATE, [OLD_VOTERS]),
        ("joint", JOINT_CERTIFICATE, [OLD_VOTERS, NEW_VOTERS]),
    ):
        first = made.cosignatures[0]
        signed_by = cosigner_name(made.ledger_id, first.node_id)
        yield vector(
            f"checkpoint/{name}",
            "checkpoint",
            f"The checkpoint at the end of block {made.height}, as text.",
            made.checkpoint.body(),
            ledger_id=made.ledger_id,
            origin=origin(made.ledger_id),
            height=made.height,
            tree_size=made.tree_size,
            root=made.root,
        )
        yield vector(
            f"cosignature/{name}",
            "cosignature",
            f"One node's cosignature on checkpoint/{name}: timestamp, then signature.",
            first.timestamp_s.to_bytes(8, "big") + first.signature,
            public_key=bytes(first.node_id),
            timestamp_s=first.timestamp_s,
            preimage=cosignature_message(made.checkpoint, first.timestamp_s),
            key_name=signed_by,
            key_id=key_id(signed_by, COSIGNATURE_TYPE, first.node_id),
            verifier_key=verifier_key(signed_by, COSIGNATURE_TYPE, first.node_id),
        )
        yield packed(
            f"certificate/{name}",
            "certificate",
            f"A certificate of checkpoint/{name}; each of voter_sets has a majority in it.",
            made,
            voter_sets=[[node_id.hex() for node_id in voters] for voters in sets],
        )
        yield vector(
            f"note/{name}",
            "note",
            f"certificate/{name} as a signed note.",
            made.to_note().to_bytes(),
        )


def statement_vectors() -> Iterator[Vector]:
    """The preimage of every signature but cosignatures, and a signature over each."""
    ledger_id, request = CITY.ledger_id, b"a request"
    previous = HEADERS[0].entry_hash
    data = encode(ENTRIES[1])
    enrolment = CITY.enrolment_file("health").enrolment_bytes
    record_signer = CITY.record_signer("health")
    proposal = statements.proposal_statement(
        ledger_id, term=4, index=2, previous_hash=previous, data=data
    )
    header = RECORD_WITH_DOCUMENT.header_bytes
    cases: list[tuple[str, Any, bytes, dict[str, Any]]] = [
        (
            "record",
            record_signer,
            statements.record_statement(ledger_id, header),
            {"payload": header},
        ),
        (
            "proposal",
            CITY.proposal_signer("health"),
            proposal,
            {
                "term": 4,
                "index": 2,
                "previous_hash": previous,
                "entry": data,
                "entry_hash": sha256(proposal).digest(),
            },
        ),
        (
            "transfer",
            CITY.proposal_signer("health"),
            statements.transfer_statement(ledger_id, term=4, target=CITY.node_ids[0]),
            {"term": 4, "target": CITY.node_ids[0]},
        ),
        (
            "exchange-request",
            record_signer,
            statements.exchange_request_statement(ledger_id, request),
            {"payload": request},
        ),
        ("genesis", record_signer, statements.genesis_statement(ledger_id), {"payload": b""}),
        (
            "enrolment",
            signer("health/0/tls"),
            statements.enrolment_statement(statements.NO_LEDGER, enrolment),
            {"payload": enrolment},
        ),
        (
            "record-key",
            NEW_KEY,
            statements.record_key_statement(ledger_id, department="health", key=NEW_KEY.public_key),
            {"payload": KEY_ADD.key.key + b"health"},
        ),
    ]
    for purpose, signs, preimage, fields in cases:
        yield vector(
            f"statement/{purpose}",
            "statement",
            "A preimage, and the signature over it by public_key.",
            preimage,
            purpose=purpose,
            ledger_id=statements.NO_LEDGER if purpose == "enrolment" else ledger_id,
            **fields,
            public_key=signs.public_key,
            signature=signs.sign(preimage),
        )


def commitment_vectors() -> Iterator[Vector]:
    """Commitments to content for each role, and a subject's tag."""
    blinding = sha256(b"blinding").digest()
    roles: tuple[commitments.Role, ...] = ("request", "response", "case")
    for role in roles:
        yield vector(
            f"commitment/{role}",
            "commitment",
            "A commitment to content under a blinding.",
            commitments.commitment(
                CITY.ledger_id, role=role, blinding=blinding, content=b"the content"
            ),
            role=role,
            ledger_id=CITY.ledger_id,
            blinding=blinding,
            content=b"the content",
        )
    identifier = "110101199003070000"
    yield vector(
        "subject-tag/person",
        "subject tag",
        "A person's tag under the salt of one subject and grant.",
        commitments.subject_tag(blinding, identifier),
        salt=blinding,
        identifier=identifier,
    )


WRAPPED = bytes.fromhex(
    "748e23ccfdf3cfd2bd15f39c1ec6066ae090716e93db84d2092b69091d3f5a57933236aa7f878868"
    "72e4748dd9e7ca2123813c7e092c509ff5cd93e8d8b49522a2d1b9a33f5a943efa5e5554bbd1cd70"
)
"""The content key of `sealing_vectors`, wrapped once: HPKE draws a key of its own each time."""


def sealing_vectors() -> Iterator[Vector]:
    """Two chunks sealed under one content key, and that key wrapped."""
    named = {"ledger_id": CITY.ledger_id, "exchange_id": sha256(b"exchange").digest()}
    content_key = sha256(b"content key").digest()
    seal = sealing.seal_of(content_key, **named)
    for number, chunk, last in ((0, b"the first chunk", False), (1, b"the last", True)):
        yield vector(
            f"sealed-chunk/{number}",
            "sealed chunk",
            "A chunk as it is spooled and, of sealed exchanges, sent.",
            seal.seal(chunk, number=number, last=last),
            **named,
            content_key=content_key,
            key=seal.key,
            commitment=seal.commitment,
            number=number,
            last=last,
            chunk=chunk,
        )
    yield vector(
        "wrapped-key/consumer",
        "wrapped key",
        "The content key for whoever has the private key (HPKE, RFC 9180).",
        WRAPPED,
        **named,
        private_key=sha256(b"consumer").digest(),
        content_key=content_key,
    )


def store_vectors() -> Iterator[Vector]:
    """One key of each kind, in the order of their prefixes."""
    digest, page = bytes(range(32)), b"\x02\xab"
    leaf, height = LeafIndex(258), Height(7)
    for kind, key in (
        ("attached", store_keys.attached_key(leaf)),
        ("block", store_keys.block_key(height)),
        ("certificate", store_keys.certificate_key(height)),
        ("document", store_keys.document_key(digest)),
        ("entry", store_keys.entry_key(7)),
        ("list-item", store_keys.list_item_key(digest, number=3)),
        ("leaf", store_keys.leaf_key(leaf)),
        ("mark", store_keys.FORMAT_MARK),
        ("nonce", store_keys.nonce_key(digest, bytes(16))),
        ("own-signature", store_keys.own_signature_key(height)),
        ("state-page", store_keys.state_page_key(page)),
        ("record", store_keys.record_key(digest)),
        ("tile", store_keys.tile_key(level=1, index=258)),
        ("state-value", store_keys.state_key(b"setting/grace-ms")),
        ("promise", store_keys.promise_key(digest)),
        ("evidence", store_keys.evidence_key(1)),
    ):
        yield vector(f"store-key/{kind}", "store key", "A key of the node's store.", key)


def accepted_vectors() -> Iterator[Vector]:
    """Every accepted vector in the order of `docs/FORMATS.md`."""
    yield from codec_vectors()
    yield from hash_vectors()
    yield from record_vectors()
    yield from block_vectors()
    yield from genesis_vectors()
    yield from certificate_vectors()
    yield from tree_vectors()
    yield from tile_vectors()
    yield from state_vectors()
    yield from statement_vectors()
    yield from commitment_vectors()
    yield from sealing_vectors()
    yield from store_vectors()
    yield from governance_vectors()
    yield from evidence_vectors()
    yield from contract_vectors()
