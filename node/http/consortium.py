"""Routes of the consortium: who takes part, what is proposed, and this department's ballots."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query

from contracts import governance, keys, membership
from contracts.consortium import (
    SETTINGS,
    departments_in_force,
    node,
    parse_member,
    setting,
    target_voters,
)
from contracts.governance import parse_proposal, proposal, tally
from contracts.membership import ACTIONS, Action
from ledger import store_keys
from ledger.errors import LedgerError
from ledger.genesis import RecordKey, SignedEnrolment, open_enrolment, parse_enrolment_file
from node.http import consortium_models as models
from node.http.access import Delegate, Reader, ServiceDep
from node.http.models import Decision, Hex32, Verdict, Written
from node.http.problems import Problem
from node.http.reading import Consistent, CursorQuery, LimitQuery, page, snapshot_of
from node.http.writing import Options, write
from node.runtime import StateView

router = APIRouter(tags=["consortium"])

ProposalPath = Annotated[Hex32, Path()]
KeyPath = Annotated[Hex32, Path()]

_PROPOSALS = store_keys.STATE_VALUE + b"proposal/"
_DEPARTMENTS = store_keys.STATE_VALUE + b"department/"


@router.get("/consortium", dependencies=[Consistent])
def consortium(service: ServiceDep, _: Reader) -> models.Consortium:
    """Who takes part, who votes, and the numbers agreed on."""
    known = service.node
    with snapshot_of(service) as view:
        voters = known.tip().voters
        target = target_voters(view)

        def role(node_id: bytes) -> str:
            votes = node_id in voters.voters
            if votes and node_id in target:
                return "voter"
            if votes:
                return "leaving"
            return "joining" if node_id in target or node_id in voters.incoming else "learner"

        def member(key: bytes, value: bytes) -> models.Member:
            parsed = parse_member(value)
            return models.Member(
                department=key.removeprefix(_DEPARTMENTS).decode("ascii"),
                title=parsed.title,
                status=parsed.status,
                nodes=[_node_view(view, node_id, role(node_id)) for node_id in parsed.nodes],
                record_keys=[each.hex() for each in parsed.record_keys],
            )

        departments = [
            member(key, value)
            for key, value in view.reader.scan(_DEPARTMENTS, _DEPARTMENTS[:-1] + b"0")
        ]
        return models.Consortium(
            ledger_id=known.ledger_id.hex(),
            title=known.genesis.genesis.title,
            fingerprint=known.genesis.fingerprint,
            departments=departments,
            voters=[each.hex() for each in voters.voters],
            incoming=[each.hex() for each in voters.incoming],
            target_voters=[each.hex() for each in target],
            settings={name: setting(view, name) for name in SETTINGS},
        )


@router.get("/proposals", dependencies=[Consistent])
def list_proposals(
    service: ServiceDep,
    _: Reader,
    status: Annotated[
        Literal["open", "expired", "decided", "rejected", "withdrawn"] | None, Query()
    ] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> models.ProposalPage:
    """Proposals, by id; those that fit."""
    now_ms = service.node.clock.now_ms()
    with snapshot_of(service) as view:

        def parse(_: bytes, value: bytes) -> models.ProposalView | None:
            shown = _proposal_view(view, parse_proposal(value), time_ms=now_ms)
            return shown if status in (None, shown.status) else None

        items, following = page(
            view.reader,
            prefix=_PROPOSALS,
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return models.ProposalPage(items=items, next=following)


@router.get("/proposals/{proposal_id}", dependencies=[Consistent])
def show_proposal(service: ServiceDep, _: Reader, proposal_id: ProposalPath) -> models.ProposalView:
    """One proposal, its ballots, and how many are missing."""
    with snapshot_of(service) as view:
        known = proposal(view, bytes.fromhex(proposal_id))
        if known is None:
            raise Problem("not-found", f"there is no proposal {proposal_id}")
        return _proposal_view(view, known, time_ms=service.node.clock.now_ms())


@router.post("/proposals", status_code=201)
async def propose(
    service: ServiceDep,
    token: Delegate,
    wanted: models.ProposalWanted,
    options: Options,
) -> Written | Verdict:
    """Proposes something and approves it; the answer's record id is the proposal's id."""
    body = governance.Propose(action_of(wanted.action), wanted.reason)
    return await write(service, token, options, kind="consortium.propose", body=body)


@router.post("/proposals/{proposal_id}/ballot")
async def cast_ballot(
    service: ServiceDep,
    token: Delegate,
    proposal_id: ProposalPath,
    wanted: models.BallotWanted,
    options: Options,
) -> Written | Verdict:
    """Casts this department's ballot, or changes it; the one that decides also executes."""
    body = governance.Ballot(bytes.fromhex(proposal_id), wanted.approves)
    return await write(service, token, options, kind="consortium.ballot", body=body)


@router.post("/proposals/{proposal_id}/withdraw")
async def withdraw_proposal(
    service: ServiceDep,
    token: Delegate,
    proposal_id: ProposalPath,
    options: Options,
) -> Written | Verdict:
    """Takes this department's proposal back; no body."""
    body = governance.Withdraw(bytes.fromhex(proposal_id))
    return await write(service, token, options, kind="consortium.withdraw", body=body)


@router.post("/keys", status_code=201)
async def add_key(
    service: ServiceDep,
    token: Delegate,
    wanted: models.KeyWanted,
    options: Options,
) -> Written | Verdict:
    """Adds a record key of this department; the present ones go on counting."""
    key = RecordKey(bytes.fromhex(wanted.key), wanted.holder)
    body = keys.KeyAdd(key, bytes.fromhex(wanted.signature))
    return await write(service, token, options, kind="key.add", body=body)


@router.post("/keys/{key}/revoke")
async def revoke_key(
    service: ServiceDep,
    token: Delegate,
    key: KeyPath,
    decision: Decision,
    options: Options,
) -> Written | Verdict:
    """Revokes a record key of this department, but not its last one."""
    body = keys.KeyRevoke(bytes.fromhex(key), decision.reason)
    return await write(service, token, options, kind="key.revoke", body=body)


def action_of(wanted: models.ActionWanted) -> Action:
    """The action of a body. Raises Problem."""
    match wanted:
        case models.AdmitDepartment():
            return membership.AdmitDepartment(_enrolment(wanted.enrolment))
        case models.SuspendDepartment():
            return membership.SuspendDepartment(wanted.department)
        case models.ResumeDepartment():
            return membership.ResumeDepartment(wanted.department)
        case models.RetireDepartment():
            return membership.RetireDepartment(wanted.department)
        case models.AdmitNode():
            return membership.AdmitNode(_enrolment(wanted.enrolment))
        case models.RetireNode():
            return membership.RetireNode(bytes.fromhex(wanted.node_id))
        case models.ReplaceNode():
            return membership.ReplaceNode(
                bytes.fromhex(wanted.node_id), _enrolment(wanted.enrolment), wanted.votes
            )
        case models.ChangeVoters():
            return membership.ChangeVoters(_sorted(wanted.joining), _sorted(wanted.leaving))
        case models.RevokeKey():
            return membership.RevokeKey(bytes.fromhex(wanted.key))
        case models.ChangeSetting():
            return membership.ChangeSetting(wanted.name, wanted.value)
        case models.AdoptDocument():
            document = bytes.fromhex(wanted.document)
            return membership.AdoptDocument(wanted.kind, wanted.publisher, document)


def _sorted(node_ids: list[Hex32]) -> tuple[bytes, ...]:
    return tuple(sorted({bytes.fromhex(each) for each in node_ids}))


def _enrolment(wanted: models.EnrolmentJson) -> SignedEnrolment:
    try:
        return parse_enrolment_file(wanted.model_dump_json().encode()).signed()
    except LedgerError as error:
        raise Problem("invalid-request", str(error)) from None


def _node_view(view: StateView, node_id: bytes, role: str) -> models.NodeView:
    known = node(view, node_id)
    assert known is not None, "a member's nodes are in the state"
    return models.NodeView(
        node_id=node_id.hex(),
        rpc_address=known.description.rpc_address,
        role=role,
        since_height=known.since_height,
    )


def _proposal_view(
    view: StateView, value: governance.Proposal, *, time_ms: int
) -> models.ProposalView:
    counted = tally(view, value)
    expired = value.status == "open" and time_ms >= value.expires_ms
    in_force = departments_in_force(view)
    return models.ProposalView(
        proposal_id=value.proposal_id.hex(),
        proposer=value.proposer,
        action=described(value.action),
        reason=value.reason,
        status="expired" if expired else value.status,
        opened_height=value.opened_height,
        decided_height=value.decided_height,
        expires_ms=value.expires_ms,
        ballots=[
            models.BallotView(
                department=cast.department,
                approves=cast.approves,
                counts=cast.department in in_force,
            )
            for cast in value.ballots
        ],
        approvals=counted.approvals,
        rejections=counted.rejections,
        needed=counted.needed,
        departments=counted.departments,
    )


def described(action: Action) -> dict[str, Any]:
    """An action in plain words and values; of an enrolment what people compare."""
    shown: dict[str, Any] = {"action": ACTIONS[type(action)].name}
    for name in action.__struct_fields__:
        shown[name] = _plain(getattr(action, name))
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, SignedEnrolment):
        file = open_enrolment(value)
        department = file.enrolment.department
        return {
            "department": department.department,
            "title": department.title,
            "fingerprint": file.fingerprint,
            "nodes": [
                {"node_id": each.node_id.hex(), "rpc_address": each.rpc_address}
                for each in department.nodes
            ],
            "record_keys": [each.key.hex() for each in department.record_keys],
        }
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return msgspec.to_builtins(value)
