"""Routes of emergency grants: declare, confirm, review, list."""

from hashlib import sha256

from fastapi import APIRouter

from contracts import emergencies as contract
from contracts.grants import grant
from contracts.state import emergencies_list
from ledger import store_keys
from node.http.access import Reader, ServiceDep, Steward
from node.http.grants import GrantPath, requested
from node.http.models import EmergencyVerdict, EmergencyWanted, GrantPage, Verdict, Written
from node.http.reading import (
    Consistent,
    CursorQuery,
    LimitQuery,
    grant_view,
    page,
    snapshot_of,
)
from node.http.writing import Options, ended_by, stopping, write

router = APIRouter(prefix="/emergencies", tags=["emergencies"])


@router.post("", status_code=201)
async def declare(
    service: ServiceDep,
    token: Steward,
    wanted: EmergencyWanted,
    options: Options,
) -> Written | Verdict:
    """The consumer declares an emergency; the answer's record id is the grant's id."""
    body = contract.EmergencyStart(requested(wanted), wanted.situation)
    return await write(service, token, options, kind="emergency.start", body=body)


@router.get("", dependencies=[Consistent])
def list_emergencies(
    service: ServiceDep, _: Reader, cursor: CursorQuery = None, limit: LimitQuery = 100
) -> GrantPage:
    """Every emergency grant, in the order of the ledger."""
    now_ms = service.node.clock.now_ms()
    with snapshot_of(service) as view:

        def parse(_: bytes, grant_id: bytes) -> object:
            known = grant(view, grant_id)
            assert known is not None, "a listed grant is in the state"
            return grant_view(view, known, time_ms=now_ms)

        items, following = page(
            view.reader,
            prefix=store_keys.LIST_ITEM + sha256(emergencies_list()).digest(),
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return GrantPage(items=items, next=following)


@router.post("/{grant_id}/confirm")
async def confirm(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    options: Options,
) -> Written | Verdict:
    """The provider, or a co-approver, sees the emergency too: the grant is active."""
    body = contract.EmergencyConfirm(bytes.fromhex(grant_id))
    return await write(service, token, options, kind="emergency.confirm", body=body)


@router.post("/{grant_id}/review")
async def review(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    verdict: EmergencyVerdict,
    options: Options,
) -> Written | Verdict:
    """The provider, or a co-approver, says whether the emergency was justified."""
    body = contract.EmergencyReview(bytes.fromhex(grant_id), verdict.verdict, verdict.findings)
    kind = "emergency.review"
    ended = None if options.dry_run else ended_by(kind, body)
    if ended is None:
        return await write(service, token, options, kind=kind, body=body)
    async with stopping(service, ended):
        return await write(service, token, options, kind=kind, body=body)
