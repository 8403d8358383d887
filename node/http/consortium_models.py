"""What is sent and answered about the consortium, as JSON: actions, proposals, members."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from node.http.models import Hex32, Model, Name, Reason

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class EnrolmentJson(Model):
    """An enrolment file, as `concordat-node init` made it."""

    concordat: str
    fingerprint: str
    enrolment: str
    signatures: list[str] = Field(max_length=64)


class AdmitDepartment(Model):
    """A new department joins with what its enrolment names."""

    action: Literal["admit-department"]
    enrolment: EnrolmentJson


class SuspendDepartment(Model):
    """A department may no longer decide, request, release or receive."""

    action: Literal["suspend-department"]
    department: Name


class ResumeDepartment(Model):
    """A suspended department is active again."""

    action: Literal["resume-department"]
    department: Name


class RetireDepartment(Model):
    """A department leaves for good, and its nodes with it."""

    action: Literal["retire-department"]
    department: Name


class AdmitNode(Model):
    """A member gets another node, as a learner."""

    action: Literal["admit-node"]
    enrolment: EnrolmentJson


class RetireNode(Model):
    """A node leaves for good."""

    action: Literal["retire-node"]
    node_id: Hex32


class ReplaceNode(Model):
    """A node leaves for good and another one of its department comes in its stead."""

    action: Literal["replace-node"]
    node_id: Hex32
    enrolment: EnrolmentJson
    votes: bool = False


class ChangeVoters(Model):
    """Learners become voters, voters become learners."""

    action: Literal["change-voters"]
    joining: list[Hex32] = Field(default_factory=list, max_length=64)
    leaving: list[Hex32] = Field(default_factory=list, max_length=64)


class RevokeKey(Model):
    """A record key of any department counts no more."""

    action: Literal["revoke-key"]
    key: Hex32


class ChangeSetting(Model):
    """A setting of the consortium has another value."""

    action: Literal["change-setting"]
    name: Name
    value: int = Field(ge=0, lt=2**63)


class AdoptDocument(Model):
    """What a department put forward last, of this kind, is in force."""

    action: Literal["adopt-document"]
    kind: Literal["calendar", "vocabulary"]
    publisher: Name
    document: Hex32


ActionWanted = Annotated[
    AdmitDepartment
    | SuspendDepartment
    | ResumeDepartment
    | RetireDepartment
    | AdmitNode
    | RetireNode
    | ReplaceNode
    | ChangeVoters
    | RevokeKey
    | ChangeSetting
    | AdoptDocument,
    Field(discriminator="action"),
]


class ProposalWanted(Model):
    """Something to propose, and why. The proposal is this department's ballot for it, too."""

    action: ActionWanted
    reason: Reason


class BallotWanted(Model):
    """This department's ballot."""

    approves: bool


class KeyWanted(Model):
    """Another record key of this department. signature: that key's own, in hexadecimal."""

    key: Hex32
    holder: str = Field(min_length=1, max_length=200)
    signature: Hex64


class BallotView(BaseModel):
    """A department's newest ballot. counts: whether the department is active now."""

    department: str
    approves: bool
    counts: bool


class ProposalView(BaseModel):
    """A proposal as the ledger has it.

    status: open, expired, decided, rejected or withdrawn. needed: approvals that decide, of so
    many departments that are active now.
    """

    proposal_id: Hex32
    proposer: str
    action: dict[str, Any]
    reason: str
    status: str
    opened_height: int
    decided_height: int
    expires_ms: int
    ballots: list[BallotView]
    approvals: int
    rejections: int
    needed: int
    departments: int


class ProposalPage(BaseModel):
    """A page. next: the cursor of the next one, null at the end."""

    items: list[ProposalView]
    next: str | None


class NodeView(BaseModel):
    """A node. role: voter, joining (votes as soon as the change is over), leaving, learner."""

    node_id: Hex32
    rpc_address: str
    role: str
    since_height: int


class Member(BaseModel):
    """A department of the consortium. status: active, suspended or retired."""

    department: str
    title: str
    status: str
    nodes: list[NodeView]
    record_keys: list[Hex32]


class Consortium(BaseModel):
    """Who takes part.

    voters, incoming: the sets in force, the latter empty unless a change is joint. target_voters:
    those that were decided.
    """

    ledger_id: Hex32
    title: str
    fingerprint: str
    departments: list[Member]
    voters: list[Hex32]
    incoming: list[Hex32]
    target_voters: list[Hex32]
    settings: dict[str, int]
