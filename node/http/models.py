"""What is sent and answered, as JSON. Ids and digests are lower-case hexadecimal."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class Model(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DatasetField(Model):
    """One field of a dataset."""

    name: FieldName
    type: Literal["text", "integer", "decimal", "date", "boolean", "timestamp"]
    meaning: str = Field(max_length=2000)


class DatasetOffer(Model):
    """A dataset to publish, or to change."""

    name: Name
    title: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=2000)
    fields: list[DatasetField] = Field(min_length=1, max_length=256)
    subject_field: FieldName | None = None
    classification: Literal["public", "internal", "personal", "sensitive"]
    sharing: Literal["open", "conditional", "closed"]
    authoritative: bool = False


class GrantWanted(Model):
    """A grant to request. fields: which fields; limits: 0 for none."""

    provider: Name
    dataset: Name
    fields: list[FieldName] = Field(min_length=1, max_length=256)
    purpose: str = Field(min_length=1, max_length=200)
    legal_basis: str = Field(min_length=1, max_length=300)
    valid_from_ms: int = Field(ge=0, lt=2**63)
    valid_until_ms: int = Field(ge=0, lt=2**63)
    exchanges_max: int = Field(0, ge=0, lt=2**63)
    rows_max: int = Field(0, ge=0, lt=2**63)
    onward: bool = False


class Decision(Model):
    """Why a grant is refused, revoked or withdrawn."""

    reason: Reason


class ExchangeWanted(Model):
    """Data to get under a grant. fields: null for all granted ones. query: see the guide."""

    grant_id: Hex32
    purpose: str = Field(min_length=1, max_length=200)
    case: str = Field("", max_length=200)
    query: dict[str, Any] = Field(default_factory=dict)
    fields: list[FieldName] | None = Field(None, min_length=1, max_length=256)


class Written(BaseModel):
    """A record is on the ledger. certified: whether a majority has vouched for its block."""

    record_id: Hex32
    height: int
    leaf_index: int
    certified: bool


class Verdict(BaseModel):
    """The answer to `dry_run=true`."""

    allowed: bool
    code: str | None = None
    detail: str | None = None
    remedy: str | None = None


class DatasetView(BaseModel):
    """A dataset as the ledger has it."""

    publisher: str
    name: str
    title: str
    fields: list[dict[str, str]]
    subject_field: str | None
    classification: str
    sharing: str
    authoritative: bool
    version: int
    status: str
    document: Hex32
    changed_height: int


class GrantView(BaseModel):
    """A grant as the ledger has it. lets_through: whether an exchange could take place now."""

    grant_id: Hex32
    consumer: str
    provider: str
    dataset: str
    fields: list[str]
    purpose: str
    legal_basis: str
    valid_from_ms: int
    valid_until_ms: int
    exchanges_max: int
    rows_max: int
    onward: bool
    status: str
    reason: str
    lets_through: bool
    why_not: str | None
    requested_height: int
    decided_height: int
    requested_by: str
    decided_by: str
    exchanges: int
    rows: int
    size_bytes: int
    acknowledged: int
    voided: int
    denied: int


class ExchangeResult(BaseModel):
    """Checked data, and the receipt it came under."""

    exchange_id: Hex32
    fields: list[str]
    rows: list[list[str | int | bool | None]]
    receipt_record: Hex32
    height: int
    leaf_index: int


class RecordView(BaseModel):
    """A record on the ledger; raw: its bytes in base64, as `POST /v1/records` takes them."""

    record_id: Hex32
    leaf_index: int
    height: int
    kind: str
    department: str
    actor: str
    key: Hex32
    created_ms: int
    valid_until_ms: int
    body: Any
    attached: dict[str, Any] | None
    raw: str | None = None


class ConsistencyView(BaseModel):
    """A consistency proof between two sizes of the tree; hashes in base64, lowest first."""

    old_size: int
    new_size: int
    hashes: list[str]


class BlockView(BaseModel):
    """A block's header."""

    height: int
    hash: Hex32
    previous_hash: Hex32
    term: int
    time_ms: int
    tree_size: int
    tree_root: Hex32
    state_root: Hex32
    record_count: int


class DatasetPage(BaseModel):
    """A page. next: the cursor of the next one, null at the end."""

    items: list[DatasetView]
    next: str | None


class GrantPage(BaseModel):
    """A page. next: the cursor of the next one, null at the end."""

    items: list[GrantView]
    next: str | None


class RecordPage(BaseModel):
    """A page. next: the cursor of the next one, null at the end."""

    items: list[RecordView]
    next: str | None


class NodeStatus(BaseModel):
    """How this node is doing."""

    department: str
    node_id: Hex32
    ledger_id: Hex32
    fingerprint: str
    standing: str
    role: str
    term: int
    leader: str | None
    height: int
    certified_height: int
    commit_index: int
    last_index: int
    peers: list[dict[str, Any]]
    datasets_with_source: list[str]
    exchanges_in_flight: int
    messages_dropped: int
    alarms: list[str]
    waits_for: str | None
