"""The proof file: JSON that a person can read, with one accepted spelling for each content.

Identifiers are lower-case hexadecimal, all other bytes base64, integers decimal. Bytes are accepted
only if writing what they say gives the same bytes again, so a space, the order of members or a bit
that base64 ignores cannot be changed unnoticed. What the members mean is for `audit.proofs.check`.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from ledger.certificates import SIGNERS_MAX
from ledger.errors import LedgerError
from ledger.state_proofs import DEPTH_MAX
from ledger.types import HASH_BYTES, Hash, Identifier, Natural, Signature

PROOF_BYTES_MAX = 64 * 1024 * 1024
"""Limit of a proof file, in bytes of JSON."""

PATH_HASHES_MAX = 63
"""Limit of the hashes in an inclusion proof: the levels of a tree of 2⁶³ leaves."""

HexId: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""32 bytes that people copy and compare: a ledger, node, record, grant or exchange id."""

Path: TypeAlias = Annotated[bytes, Meta(max_length=PATH_HASHES_MAX * HASH_BYTES)]
"""An inclusion proof's hashes, lowest first, joined."""

Siblings: TypeAlias = Annotated[bytes, Meta(max_length=DEPTH_MAX * HASH_BYTES)]
"""A state proof's hashes, the root's children first, joined."""


class ProofRefused(LedgerError):
    """A file that does not prove what it claims to. remedy: what to do now."""

    def __init__(self, what: str, why: str, *, remedy: str | None = None) -> None:
        super().__init__(what, why)
        self.remedy = remedy or (
            "Do not rely on it; ask for another proof, best from another department's node."
        )


class Json(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every JSON object of the file; members stand in the order of definition."""


class Signer(Json, frozen=True):
    """One signature of the certificate (`ledger.certificates`)."""

    node_id: HexId
    timestamp_s: Natural
    signature: Signature


class CertificatePart(Json, frozen=True):
    """The certificate that the proof ends in; its ledger id is the file's."""

    height: Natural
    tree_size: Natural
    root: Hash
    signers: Annotated[tuple[Signer, ...], Meta(min_length=1, max_length=SIGNERS_MAX)]


class BlockPart(Json, frozen=True):
    """The header of the certified block, and its way to the root: it is the tree's last leaf."""

    header: bytes
    path: Path


class RecordPart(Json, frozen=True):
    """A record's Merkle leaf, its place in the tree, and its way to the root."""

    leaf: bytes
    leaf_index: Natural
    path: Path


class OtherKey(Json, frozen=True):
    """The only key of the subtree where a missing key would be (`ledger.state_proofs`)."""

    key_hash: Hash
    value_hash: Hash


class StatePart(Json, frozen=True):
    """A state value, null if the key has none, and the walk from the state root to its place."""

    value: bytes | None
    siblings: Siblings
    other: OtherKey | None


class HeldGrant(Json, frozen=True):
    """One grant of a list, and its state."""

    grant_id: HexId
    state: StatePart


class NodePart(Json, frozen=True):
    """A node, and its state: which department answers for it."""

    node_id: HexId
    state: StatePart


class VoterChange(Json, frozen=True):
    """A block that changed the voters, and its certificate.

    nodes: voters after it that genesis does not name and no earlier change does, sorted.
    """

    certificate: CertificatePart
    block: BlockPart
    nodes: tuple[NodePart, ...]


class VoterChain(Json, frozen=True):
    """A whole voter chain: every change since genesis, in order (`audit.proofs.trust`)."""

    format: Literal["concordat/voters/1"]
    ledger_id: HexId
    changes: tuple[VoterChange, ...]

    def to_json(self) -> bytes:
        """The file's content, the one accepted spelling."""
        return one_spelling(self)


class RecordStatement(Json, frozen=True, tag_field="kind", tag="record"):
    """The record is in the ledger; its id follows from its leaf."""

    record: RecordPart


class ReceiptStatement(Json, frozen=True, tag_field="kind", tag="receipt"):
    """The exchange has a receipt: an item under a line of a record.

    line: number of the line in the record's body, from 0. item_index, path: the item's place among
    the line's items and its way to the line's items root. The exchange's id is in the item.
    """

    item: bytes
    line: Natural
    item_index: Natural
    path: Path
    record: RecordPart


class GrantStatement(Json, frozen=True, tag_field="kind", tag="grant"):
    """The grant has this state."""

    grant_id: HexId
    state: StatePart


class AbsenceStatement(Json, frozen=True, tag_field="kind", tag="absence"):
    """No grant lets the consumer read the dataset.

    consumer_state, publisher_state: the departments'. offered: the dataset's. held: the head of the
    list of the consumer's grants on it, absent if there never was one. grants: the whole list, in
    its order.
    """

    consumer: Identifier
    publisher: Identifier
    dataset: Identifier
    consumer_state: StatePart
    publisher_state: StatePart
    offered: StatePart
    held: StatePart
    grants: tuple[HeldGrant, ...]


class ReceiptsStatement(Json, frozen=True, tag_field="kind", tag="receipts"):
    """These records hold all receipts under the grant.

    state: the grant's. head: of the list of its receipt lines, absent if there never was one.
    records: the record of each line, in the order of the list.
    """

    grant_id: HexId
    state: StatePart
    head: StatePart
    records: tuple[RecordPart, ...]


class GrantsStatement(Json, frozen=True, tag_field="kind", tag="grants"):
    """These are all grants on the dataset, whatever became of them.

    offered: the dataset's state. head: of the list of grants, absent if there never was one.
    """

    publisher: Identifier
    dataset: Identifier
    offered: StatePart
    head: StatePart
    grants: tuple[HeldGrant, ...]


class ListedDataset(Json, frozen=True):
    """One dataset of a list, and its state."""

    dataset: Identifier
    state: StatePart


class DatasetsStatement(Json, frozen=True, tag_field="kind", tag="datasets"):
    """These are all datasets of the department, also those it has withdrawn.

    member: the department's state. head: of the list of datasets, absent if there never was one.
    """

    department: Identifier
    member: StatePart
    head: StatePart
    datasets: tuple[ListedDataset, ...]


class TimelineStatement(Json, frozen=True, tag_field="kind", tag="timeline"):
    """These are all records about the grant, from its request to its last receipt, void or denial.

    state: the grant's. acts, receipts: heads of its lists, absent where there never was one.
    records: in the order of the ledger, each once (`audit.proofs.timelines`).
    """

    grant_id: HexId
    state: StatePart
    acts: StatePart
    receipts: StatePart
    records: tuple[RecordPart, ...]


class EmergenciesStatement(Json, frozen=True, tag_field="kind", tag="emergencies"):
    """These are all grants that began as an emergency, whatever became of them.

    head: of their list, absent if there never was one.
    """

    head: StatePart
    grants: tuple[HeldGrant, ...]


Statement: TypeAlias = (
    RecordStatement
    | ReceiptStatement
    | GrantStatement
    | AbsenceStatement
    | ReceiptsStatement
    | GrantsStatement
    | DatasetsStatement
    | TimelineStatement
    | EmergenciesStatement
)

KINDS = (
    "record",
    "receipt",
    "grant",
    "absence",
    "receipts",
    "grants",
    "datasets",
    "timeline",
    "emergencies",
)


class Proof(Json, frozen=True):
    """A whole proof file. Who may sign its certificate is not for the file to say."""

    format: Literal["concordat/proof/1"]
    ledger_id: HexId
    certificate: CertificatePart
    block: BlockPart
    statement: Statement

    def to_json(self) -> bytes:
        """The file's content, the one accepted spelling."""
        return one_spelling(self)


def parse_proof(data: bytes) -> Proof:
    """A proof from its file; nothing is checked but the format. Raises ProofRefused."""
    return accept_one_spelling(data, Proof, what="proof file", bytes_max=PROOF_BYTES_MAX)


_File = TypeVar("_File", bound=Json)


def accept_one_spelling(data: bytes, form: type[_File], *, what: str, bytes_max: int) -> _File:
    """A file's content, if its bytes are those that its content is written in.

    Raises ProofRefused if they are too many (bytes_max), no such file, or another spelling of it.
    """
    if len(data) > bytes_max:
        raise ProofRefused(what, f"{len(data)} bytes, at most {bytes_max} are allowed")
    again = "It was damaged on its way or made by other software: ask for the file again."
    try:
        content = msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofRefused(what, str(error), remedy=again) from None
    if one_spelling(content) != data:
        raise ProofRefused(what, "it is not the one accepted spelling of its content", remedy=again)
    return content


def one_spelling(content: Json) -> bytes:
    """A file's bytes."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"
