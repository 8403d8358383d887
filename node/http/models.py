"""What is sent and answered, as JSON. Ids and digests are lower-case hexadecimal."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
TermName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,14}:[A-Za-z][A-Za-z0-9-]{0,47}$")]
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
    co_approvers: list[Name] = Field(default_factory=list, max_length=8)
    derived_from: list[Hex32] = Field(default_factory=list, max_length=2)
    carried: Literal["nodes", "elsewhere"] = "nodes"


class CalendarWanted(Model):
    """A calendar to put forward. weekend: ISO weekdays; days as YYYY-MM-DD; all sorted."""

    title: str = Field(min_length=1, max_length=200)
    utc_offset: str = Field(pattern=r"^[+-](?:0[0-9]|1[0-4]):[0-5][0-9]$")
    weekend: list[int] = Field(max_length=6)
    holidays: list[str] = Field(max_length=2_000)
    working_days: list[str] = Field(default_factory=list, max_length=2_000)


class TermWanted(Model):
    """A term of a vocabulary. broader: the term of the same list that it narrows."""

    name: TermName
    broader: TermName | None = None
    meaning: str = Field("", max_length=500)


class VocabularyWanted(Model):
    """A vocabulary to put forward; terms are sorted by name."""

    title: str = Field(min_length=1, max_length=200)
    purposes: list[TermWanted] = Field(min_length=1, max_length=256)
    legal_bases: list[TermWanted] = Field(min_length=1, max_length=64)


class Rate(Model):
    """At most so many exchanges in each window."""

    exchanges: int = Field(ge=1, le=10_000_000)
    window_ms: int = Field(ge=1_000, le=31 * 86_400_000)


class Hours(Model):
    """The part of the local day in which exchanges may take place; may pass midnight."""

    from_minute: int = Field(ge=0, lt=1_440)
    until_minute: int = Field(ge=1, le=1_440)
    utc_offset: str = Field(pattern=r"^[+-](?:0[0-9]|1[0-4]):[0-5][0-9]$")


class Limits(Model):
    """Limits of a grant while one version of it is in force; 0 or null for none."""

    exchanges_max: int = Field(0, ge=0, lt=2**63)
    rows_max: int = Field(0, ge=0, lt=2**63)
    size_bytes_max: int = Field(0, ge=0, lt=2**63)
    rate: Rate | None = None
    hours: Hours | None = None
    subjects_max: int = Field(0, ge=0, lt=2**63)
    subjects_named: bool = False


class GrantWanted(Model):
    """A grant to request, or another version of one. purpose, legal_basis: terms of the vocabulary;
    description, legal_reference: in words."""

    provider: Name
    dataset: Name
    fields: list[FieldName] = Field(min_length=1, max_length=256)
    purpose: TermName
    description: str = Field("", max_length=300)
    legal_basis: TermName
    legal_reference: str = Field("", max_length=300)
    valid_from_ms: int = Field(ge=0, lt=2**63)
    valid_until_ms: int = Field(ge=0, lt=2**63)
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    onward: bool = False


class EmergencyWanted(GrantWanted):
    """An emergency grant to declare. situation: what has happened."""

    situation: Reason


class EmergencyVerdict(Model):
    """What a review of an emergency found."""

    verdict: Literal["justified", "unjustified"]
    findings: Reason


class Decision(Model):
    """Why something is refused, suspended, ended; or a question, or its answer."""

    reason: Reason


class ExchangeWanted(Model):
    """Data to get under a grant. fields: null for all granted ones. query: see the guide."""

    grant_id: Hex32
    purpose: TermName
    case: str = Field(min_length=1, max_length=200)
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
    co_approvers: list[str]
    derived_from: list[Hex32]
    carried: str


class ActView(BaseModel):
    """Who did something, and where."""

    height: int
    time_ms: int
    department: str
    actor: str


class PendingView(BaseModel):
    """A version of a grant that waits. due_ms: until when the deciders have to act, null while
    they wait for the consumer."""

    version: int
    request: dict[str, Any]
    stage: str
    sharing: str
    deciders: list[str]
    approved_by: list[str]
    asked: ActView
    due_ms: int | None
    overdue: bool


class EmergencyView(BaseModel):
    """What makes a grant an emergency's."""

    situation: str
    confirmed: ActView | None
    review_due_ms: int
    verdict: str | None
    findings: str | None
    reviewed: ActView | None


class GrantView(BaseModel):
    """A grant as the ledger has it; the version in force, and the one that waits.

    lets_through: whether an exchange could take place now. overdue: whether its deciders are late.
    """

    grant_id: Hex32
    consumer: str
    provider: str
    dataset: str
    version: int
    fields: list[str]
    purpose: str
    description: str
    legal_basis: str
    legal_reference: str
    valid_from_ms: int
    valid_until_ms: int
    limits: dict[str, Any]
    onward: bool
    co_approvers: list[str]
    status: str
    reason: str
    lets_through: bool
    why_not: str | None
    requested: ActView
    decided: ActView
    pending: PendingView | None
    overdue: bool
    emergency: EmergencyView | None
    exchanges: int
    rows: int
    size_bytes: int
    acknowledged: int
    voided: int
    sealed: int
    opened: int
    denied: int


class ExchangeResult(BaseModel):
    """Checked data, and the receipt it came under. next: of a large result, where to read on under
    the same receipt. next_offset: where the next window begins, an exchange of its own."""

    exchange_id: Hex32
    fields: list[str]
    rows: list[list[str | int | bool | None]]
    receipt_record: Hex32
    height: int
    leaf_index: int
    next: int | None = None
    next_offset: int | None = None


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


class AuditQuestion(BaseModel):
    """A question that auditors ask; takes: the names of its parameters."""

    question: str
    meaning: str
    takes: list[str]


class AuditAnswer(BaseModel):
    """An answer as of the block at `height`, whose tree has `tree_size` leaves under `root`.

    certified_height: up to where this node knows a certificate. complete: what its being complete
    rests on. next: `offset` of the next rows, null at the end; rows of one height belong together.
    proof: with `?proof=true`, the files that prove the whole answer, by name.
    """

    question: str
    ledger_id: Hex32
    height: int
    tree_size: int
    root: Hex32
    time_ms: int
    certified_height: int
    complete: str
    rows: list[dict[str, str | int | bool | None]]
    next: int | None
    proof: dict[str, str] | None


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
