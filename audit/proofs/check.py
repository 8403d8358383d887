"""Checking a proof file: pure, offline, trusting nothing but the genesis.

    1  genesis      every founder signed it; keys and settings are within the rules
    2  voters       each change of voters since is certified (`audit.proofs.trust`)
    3  ledger       the proof speaks of this genesis' ledger
    4  block        its header is the certified tree's last leaf, so its state root counts
    5  certificate  a majority of the voters signed the checkpoint
    6  statement    its records lead to the tree's root, its state values to the state root

Records are also checked against their authors' signatures. That a key was its department's, and
that the contracts accepted a record, is what the voters vouch for: `concordat audit verify` proves
it from the whole ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import msgspec

from audit.proofs.format import (
    AbsenceStatement,
    DatasetsStatement,
    EmergenciesStatement,
    GrantsStatement,
    GrantStatement,
    Proof,
    ProofRefused,
    ReceiptsStatement,
    ReceiptStatement,
    RecordPart,
    RecordStatement,
    StatePart,
    TimelineStatement,
    parse_proof,
)
from audit.proofs.timelines import check_timeline
from audit.proofs.trust import Trust, state_value
from contracts.catalog import dataset
from contracts.exchanges import Receipt, ReceiptLine, Receipts, parse_item
from contracts.grants import Grant, ended, parse_grant
from contracts.state import (
    acts_list,
    dataset_key,
    datasets_list,
    department_key,
    emergencies_list,
    grant_key,
    grants_list,
    held_list,
    receipts_list,
)
from ledger.blocks import BlockHeader
from ledger.certificates import certificate_from_note
from ledger.checkpoints import Checkpoint
from ledger.codec import Decoder
from ledger.errors import BadSignature, LedgerError
from ledger.genesis import GenesisFile
from ledger.list_heads import EMPTY_LIST, ListHead, parse_list_head, rebuilds
from ledger.proofs import check_inclusion
from ledger.records import HEADER_BYTES_MAX, Record, parse_leaf
from ledger.signatures import verify
from ledger.tiles import hashes_of
from ledger.tlog_proofs import parse_tlog_proof
from ledger.tree import leaf_hash
from ledger.types import LeafIndex, TreeSize

RECEIPTS_BODY: Decoder[Receipts] = Decoder(Receipts, what="receipts", bytes_max=HEADER_BYTES_MAX)
"""Reads the body of an `exchange.receipts` record."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof shows, as of `checkpoint`.

    time_ms: of the certified block, Unix time. signers: departments whose nodes signed the
    checkpoint, of `voters` that may. words: the statement in sentences, one line each.
    facts: the same for programs, as JSON values.
    """

    ledger_id: bytes
    fingerprint: str
    checkpoint: Checkpoint
    time_ms: int
    signers: tuple[str, ...]
    voters: int
    kind: str
    words: tuple[str, ...]
    facts: dict[str, Any]


def check_proof(data: bytes, genesis: GenesisFile, voters: bytes | None = None) -> Proved:
    """What the proof file `data` shows. Raises ProofRefused if it shows nothing.

    voters: the file of the ledger's voter chain, needed once the voters have changed.
    """
    proof = parse_proof(data)
    trust = Trust(genesis, voters)
    try:
        return _check(proof, trust)
    except ProofRefused:
        raise
    except LedgerError as error:
        raise ProofRefused(error.what, error.why, remedy=error.remedy) from None


def _check(proof: Proof, trust: Trust) -> Proved:
    genesis = trust.genesis
    if proof.ledger_id != genesis.ledger_id.hex():
        raise ProofRefused(
            "proof file",
            "it is about another ledger than this genesis'",
            remedy="Give the genesis of the ledger that it is about; compare the fingerprint.",
        )
    found = trust.certified(proof.certificate, proof.block)
    certificate = found.certificate
    certified = _Certified(certificate.checkpoint, found.header)
    match proof.statement:
        case RecordStatement() as statement:
            kind, (words, facts) = "record", _record_in(certified.checkpoint, statement.record)
        case ReceiptStatement() as statement:
            kind, (words, facts) = "receipt", _receipt(certified, statement)
        case GrantStatement() as statement:
            kind, (words, facts) = "grant", _grant(certified, statement)
        case AbsenceStatement() as statement:
            kind, (words, facts) = "absence", _absence(certified, statement)
        case ReceiptsStatement() as statement:
            kind, (words, facts) = "receipts", _receipts(certified, statement)
        case GrantsStatement() as statement:
            kind, (words, facts) = "grants", _grants(certified, statement)
        case DatasetsStatement() as statement:
            kind, (words, facts) = "datasets", _datasets(certified, statement)
        case TimelineStatement() as statement:
            kind, (words, facts) = "timeline", _timeline(certified, statement)
        case EmergenciesStatement() as statement:
            kind, (words, facts) = "emergencies", _emergencies(certified, statement)
    return Proved(
        ledger_id=genesis.ledger_id,
        fingerprint=genesis.fingerprint,
        checkpoint=certificate.checkpoint,
        time_ms=certified.header.time_ms,
        signers=tuple(sorted(trust.owner(entry.node_id) for entry in certificate.cosignatures)),
        voters=found.voters,
        kind=kind,
        words=tuple(" ".join(sentence.split()) for sentence in words),
        facts=facts,
    )


def check_tlog_proof(data: bytes, trust: Trust) -> Proved:
    """What a C2SP tlog-proof of a record shows; its `extra` is the record's leaf.

    Raises ProofRefused. It has no block header, so it says nothing of the block's time: time_ms is
    the earliest of the signers' clocks.
    """
    try:
        proof = parse_tlog_proof(data)
        if proof.extra is None:
            raise ProofRefused("tlog-proof", "it does not hold the record's leaf as `extra`")
        certificate = certificate_from_note(proof.note)
        if certificate.to_note() != proof.note:
            raise ProofRefused("tlog-proof", "its note has other signatures than nodes'")
        voters = trust.vouched(certificate)
        part = RecordPart(proof.extra, proof.index, b"".join(proof.path))
        words, facts = _record_in(certificate.checkpoint, part)
    except ProofRefused:
        raise
    except LedgerError as error:
        raise ProofRefused(error.what, error.why, remedy=error.remedy) from None
    return Proved(
        ledger_id=trust.genesis.ledger_id,
        fingerprint=trust.genesis.fingerprint,
        checkpoint=certificate.checkpoint,
        time_ms=1000 * min(entry.timestamp_s for entry in certificate.cosignatures),
        signers=tuple(sorted(trust.owner(entry.node_id) for entry in certificate.cosignatures)),
        voters=voters,
        kind="record",
        words=tuple(" ".join(sentence.split()) for sentence in words),
        facts=facts,
    )


class _Certified:
    """The certified block: what leads to its tree's root or its state root.

    As a view it gives only state values that were checked by `state` before.
    """

    def __init__(self, checkpoint: Checkpoint, header: BlockHeader) -> None:
        self.checkpoint = checkpoint
        self.header = header
        self._values: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """A checked value. Raises KeyError if nothing about `key` was checked."""
        return self._values[key]

    def record(self, part: RecordPart) -> Record:
        """A record of the tree, signed by its author."""
        return _proved_record(self.checkpoint, part)

    def state(self, key: bytes, part: StatePart) -> bytes | None:
        """The value of `key` in the certified state, None if it has none."""
        value = state_value(self.header, key, part)
        self._values[key] = value
        return value

    def grant(self, grant_id: bytes, part: StatePart) -> Grant:
        """A grant that the certified state holds."""
        value = self.state(grant_key(grant_id), part)
        if value is None:
            raise ProofRefused("grant", "the proof shows that there is none with this id")
        return parse_grant(value)

    def head(self, key: bytes, part: StatePart) -> ListHead:
        """The head of a growing list, the empty list's if there never was an item."""
        value = self.state(key, part)
        return EMPTY_LIST if value is None else parse_list_head(value)


Shown = tuple[tuple[str, ...], dict[str, Any]]


def _proved_record(checkpoint: Checkpoint, part: RecordPart) -> Record:
    """A record of the checkpoint's tree, signed by its author."""
    check_inclusion(
        leaf_hash=leaf_hash(part.leaf),
        leaf_index=LeafIndex(part.leaf_index),
        tree_size=TreeSize(checkpoint.tree_size),
        proof=hashes_of(part.path),
        root=checkpoint.root,
    )
    record = parse_leaf(part.leaf)
    if not verify(record.header.key, record.statement(), record.signature):
        raise BadSignature("record", f"{record.header.department} did not sign it")
    if record.header.ledger_id != checkpoint.ledger_id:
        raise ProofRefused("record", "it is another ledger's")
    return record


def _facts_of(part: RecordPart, record: Record) -> dict[str, Any]:
    header = record.header
    return {
        "record_id": record.record_id.hex(),
        "leaf_index": part.leaf_index,
        "record_kind": header.kind,
        "department": header.department,
        "actor": header.actor,
        "created_ms": header.created_ms,
    }


def _record_in(checkpoint: Checkpoint, part: RecordPart) -> Shown:
    record = _proved_record(checkpoint, part)
    header, record_id = record.header, record.record_id.hex()
    facts = _facts_of(part, record)
    return (
        f"Record {record_id} is in the ledger, at leaf {part.leaf_index}.",
        f"Its kind is {header.kind}, by {header.department} (actor {header.actor}), signed with "
        f"the key {header.key.hex()} and dated {moment(header.created_ms)}.",
    ), facts


def _receipt(certified: _Certified, statement: ReceiptStatement) -> Shown:
    record = certified.record(statement.record)
    lines = receipt_lines(record)
    if statement.line >= len(lines):
        raise ProofRefused("receipt", f"its record has no line {statement.line}")
    line = lines[statement.line]
    check_inclusion(
        leaf_hash=leaf_hash(statement.item),
        leaf_index=LeafIndex(statement.item_index),
        tree_size=TreeSize(line.count),
        proof=hashes_of(statement.path),
        root=line.items_root,
    )
    item = parse_item(statement.item)
    if not isinstance(item, Receipt):
        raise ProofRefused("receipt", "its item is none")
    exchange_id = item.exchange_id.hex()
    facts: dict[str, Any] = {
        "exchange_id": exchange_id,
        "grant_id": line.grant_id.hex(),
        "record_id": record.record_id.hex(),
        "provider": record.header.department,
        "rows": item.rows,
        "size_bytes": item.size_bytes,
        "subjects": item.subjects,
        "subjects_root": item.subjects_root.hex(),
        "request": item.request.hex(),
        "response": item.response.hex(),
        "case": item.case.hex(),
    }
    return (
        f"Exchange {exchange_id} has a receipt by {record.header.department}: "
        f"{item.rows} rows, {item.size_bytes} bytes, {item.subjects} data subjects.",
        f"It stands under grant {line.grant_id.hex()}, in record {record.record_id.hex()}.",
        "Whether it was voided or acknowledged later is not part of this proof.",
    ), facts


def receipt_lines(record: Record) -> tuple[ReceiptLine, ...]:
    """The lines of an `exchange.receipts` record. Raises ProofRefused for any other, Malformed."""
    if record.header.kind != "exchange.receipts":
        raise ProofRefused("record", f"it is a {record.header.kind} and holds no receipts")
    return RECEIPTS_BODY.decode(bytes(record.header.body)).lines


def _grant(certified: _Certified, statement: GrantStatement) -> Shown:
    value = certified.grant(bytes.fromhex(statement.grant_id), statement.state)
    words, facts = _described(value)
    return (f"Grant {statement.grant_id} is {value.status}.", *words), facts


def _described(value: Grant) -> Shown:
    request = value.request
    reason = f" for the reason: {value.reason}" if value.reason else ""
    facts: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    names = value.__struct_fields__
    facts = dict(zip(names, facts, strict=True))
    facts["grant_id"] = value.grant_id.hex()
    facts["request"] = dict(zip(request.__struct_fields__, facts["request"], strict=True))
    return (
        f"{value.consumer} asked to read {', '.join(request.fields)} of {request.provider}/"
        f"{request.dataset} from {moment(request.valid_from_ms)} "
        f"until {moment(request.valid_until_ms)}.",
        f"Purpose: {_term(request.purpose, request.description)}. "
        f"Legal basis: {_term(request.legal_basis, request.legal_reference)}.",
        f"It is {value.status} since height {value.decided.height}, by "
        f"{value.decided.department} ({value.decided.actor}){reason}.",
        f"Until then {value.exchanges} exchanges, {value.rows} rows, "
        f"{value.size_bytes} bytes; "
        f"{value.acknowledged} acknowledged, {value.voided} voided, {value.denied} denied.",
    ), facts


def _term(term: str, words: str) -> str:
    return f"{term} ({words})" if words else term


def _absence(certified: _Certified, statement: AbsenceStatement) -> Shown:
    consumer, publisher, name = statement.consumer, statement.publisher, statement.dataset
    if certified.state(department_key(consumer), statement.consumer_state) is None:
        raise ProofRefused("absence", f"{consumer} is no department of this ledger")
    certified.state(department_key(publisher), statement.publisher_state)
    if consumer == publisher:
        raise ProofRefused("absence", f"{consumer} needs no grant to read its own dataset")
    if certified.state(dataset_key(publisher, name), statement.offered) is None:
        raise ProofRefused("absence", f"there is no dataset {publisher}/{name}")
    head = certified.head(held_list(consumer, publisher, name), statement.held)
    ids = [bytes.fromhex(entry.grant_id) for entry in statement.grants]
    if not rebuilds(head, ids):
        raise ProofRefused("absence", "its grants are not the whole list of the consumer's grants")
    reasons: dict[str, str] = {}
    for grant_id, entry in zip(ids, statement.grants, strict=True):
        value = certified.grant(grant_id, entry.state)
        reasons[entry.grant_id] = _obstacle(certified, value)
    offered = dataset(certified, publisher, name)
    assert offered is not None
    facts: dict[str, Any] = {
        "consumer": consumer,
        "dataset": f"{publisher}/{name}",
        "dataset_status": offered.status,
        "grants": reasons,
    }
    return (
        f"No grant lets {consumer} read {publisher}/{name} (which is {offered.status}).",
        f"It asked for {len(ids)} grants on it in all." if ids else "It never asked for one.",
        *(f"Grant {grant_id}: {reason}." for grant_id, reason in reasons.items()),
    ), facts


def _obstacle(certified: _Certified, value: Grant) -> str:
    """Why the grant lets nothing through at the certified block's time."""
    refusal = ended(certified, value, time_ms=certified.header.time_ms)
    if refusal is None:
        raise ProofRefused("absence", f"grant {value.grant_id.hex()} does let the consumer read")
    return refusal.code


def _receipts(certified: _Certified, statement: ReceiptsStatement) -> Shown:
    grant_id = bytes.fromhex(statement.grant_id)
    value = certified.grant(grant_id, statement.state)
    head = certified.head(receipts_list(grant_id), statement.head)
    if head.count != len(statement.records):
        _incomplete(f"the list has {head.count} items, the proof {len(statement.records)} records")
    items: list[bytes] = []
    found: list[tuple[Record, ReceiptLine]] = []
    for part in statement.records:
        record = certified.record(part)
        number, line = _line_of(grant_id, receipt_lines(record))
        items.append(record.record_id + number.to_bytes(2, "big"))
        found.append((record, line))
    if not rebuilds(head, items):
        _incomplete("its records do not make the list that the state commits to")
    exchanges = sum(line.count for _, line in found)
    rows = sum(line.rows for _, line in found)
    size_bytes = sum(line.size_bytes for _, line in found)
    if (exchanges, rows, size_bytes) != (value.exchanges, value.rows, value.size_bytes):
        _incomplete("its receipts do not add up to the grant's counts")
    facts: dict[str, Any] = {
        "grant_id": statement.grant_id,
        "consumer": value.consumer,
        "provider": value.request.provider,
        "dataset": value.request.dataset,
        "exchanges": exchanges,
        "rows": rows,
        "size_bytes": size_bytes,
        "records": [
            {
                "record_id": record.record_id.hex(),
                "leaf_index": part.leaf_index,
                "count": line.count,
                "rows": line.rows,
                "size_bytes": line.size_bytes,
                "items_root": line.items_root.hex(),
            }
            for part, (record, line) in zip(statement.records, found, strict=True)
        ],
    }
    return (
        f"These are all receipts under grant {statement.grant_id}: {exchanges} exchanges in "
        f"{len(found)} records, {rows} rows, {size_bytes} bytes.",
        f"{value.consumer} read {value.request.provider}/{value.request.dataset} under it; "
        f"{value.voided} of the exchanges are voided, {value.acknowledged} acknowledged.",
        *(
            f"Record {record.record_id.hex()}: {line.count} exchanges, {line.rows} rows."
            for record, line in found
        ),
    ), facts


def _grants(certified: _Certified, statement: GrantsStatement) -> Shown:
    publisher, name = statement.publisher, statement.dataset
    if certified.state(dataset_key(publisher, name), statement.offered) is None:
        raise ProofRefused("grants", f"there is no dataset {publisher}/{name}")
    head = certified.head(grants_list(publisher, name), statement.head)
    if not rebuilds(head, [bytes.fromhex(entry.grant_id) for entry in statement.grants]):
        raise ProofRefused("grants", "they are not the whole list of the dataset's grants")
    found = [
        certified.grant(bytes.fromhex(entry.grant_id), entry.state) for entry in statement.grants
    ]
    facts: dict[str, Any] = {
        "dataset": f"{publisher}/{name}",
        "grants": [_described(value)[1] for value in found],
    }
    return (
        f"These are all {len(found)} grants on {publisher}/{name}, whatever became of them.",
        *(
            f"Grant {value.grant_id.hex()} of {value.consumer} is {value.status}: "
            f"{value.exchanges} exchanges, {value.rows} rows."
            for value in found
        ),
    ), facts


def _datasets(certified: _Certified, statement: DatasetsStatement) -> Shown:
    department = statement.department
    if certified.state(department_key(department), statement.member) is None:
        raise ProofRefused("datasets", f"{department} is no department of this ledger")
    names = [entry.dataset for entry in statement.datasets]
    head = certified.head(datasets_list(department), statement.head)
    if not rebuilds(head, [name.encode("ascii") for name in names]):
        raise ProofRefused("datasets", "they are not the whole list of the department's datasets")
    found = []
    for entry in statement.datasets:
        if certified.state(dataset_key(department, entry.dataset), entry.state) is None:
            raise ProofRefused("datasets", f"there is no dataset {department}/{entry.dataset}")
        value = dataset(certified, department, entry.dataset)
        assert value is not None
        found.append(value)
    facts: dict[str, Any] = {
        "department": department,
        "datasets": [
            {
                "dataset": f"{department}/{value.offer.name}",
                "title": value.title,
                "status": value.status,
                "classification": value.offer.classification,
                "sharing": value.offer.sharing,
                "fields": [name for name, _ in value.fields],
                "version": value.version,
            }
            for value in found
        ],
    }
    return (
        f"These are all {len(found)} datasets of {department}.",
        *(
            f"{department}/{value.offer.name} is {value.status}, {value.offer.classification}, "
            f"with {len(value.fields)} fields."
            for value in found
        ),
    ), facts


def _timeline(certified: _Certified, statement: TimelineStatement) -> Shown:
    grant_id = bytes.fromhex(statement.grant_id)
    value = certified.grant(grant_id, statement.state)
    records = [(part, certified.record(part)) for part in statement.records]
    check_timeline(
        value,
        acts=certified.head(acts_list(grant_id), statement.acts),
        receipts=certified.head(receipts_list(grant_id), statement.receipts),
        records=[(part.leaf_index, record) for part, record in records],
    )
    words, grant_facts = _described(value)
    facts = grant_facts | {"records": [_facts_of(part, record) for part, record in records]}
    return (
        f"These are all {len(records)} records about grant {statement.grant_id}, in their order.",
        *words,
        *(
            f"Leaf {part.leaf_index}, dated {moment(record.header.created_ms)}: "
            f"{record.header.kind} by {record.header.department} ({record.header.actor}), "
            f"record {record.record_id.hex()}."
            for part, record in records
        ),
    ), facts


def _emergencies(certified: _Certified, statement: EmergenciesStatement) -> Shown:
    head = certified.head(emergencies_list(), statement.head)
    if not rebuilds(head, [bytes.fromhex(entry.grant_id) for entry in statement.grants]):
        raise ProofRefused("emergencies", "they are not the whole list of emergencies")
    found = [
        certified.grant(bytes.fromhex(entry.grant_id), entry.state) for entry in statement.grants
    ]
    return (
        f"These are all {len(found)} emergencies, whatever became of them.",
        *(
            f"Grant {value.grant_id.hex()} of {value.consumer} on {value.request.provider}/"
            f"{value.request.dataset}, declared {moment(value.requested.time_ms)}, is "
            f"{value.status}: {value.exchanges} exchanges, {value.rows} rows."
            for value in found
        ),
    ), {"grants": [_described(value)[1] for value in found]}


def _line_of(grant_id: bytes, lines: Sequence[ReceiptLine]) -> tuple[int, ReceiptLine]:
    """The grant's line and its number, from 0; contracts allow one. Raises ProofRefused."""
    for number, line in enumerate(lines):
        if line.grant_id == grant_id:
            return number, line
    raise ProofRefused("receipts", f"a record has no line of grant {grant_id.hex()}")


def _incomplete(why: str) -> NoReturn:
    raise ProofRefused("receipts", why)


def moment(time_ms: int) -> str:
    """Unix time in milliseconds as a person reads it, in UTC; beyond year 9999 as the number."""
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
