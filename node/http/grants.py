"""Routes of grants: request, decide, look up."""

from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from contracts import grants as contract
from contracts.grants import grant, parse_grant
from contracts.state import receipts_list
from ledger import store_keys
from node.http.access import Reader, ServiceDep, Steward
from node.http.models import (
    Decision,
    GrantPage,
    GrantView,
    GrantWanted,
    Hex32,
    Name,
    RecordPage,
    Verdict,
    Written,
)
from node.http.problems import Problem
from node.http.reading import (
    Consistent,
    CursorQuery,
    LimitQuery,
    grant_view,
    page,
    record_view,
    snapshot_of,
    stored_leaf,
)
from node.http.writing import (
    DryRunQuery,
    KeyHeader,
    WaitQuery,
    WriteOptions,
    stopping,
    write,
)

router = APIRouter(prefix="/grants", tags=["grants"])

GrantPath = Annotated[Hex32, Path()]

_PREFIX = store_keys.STATE_VALUE + b"grant/"


@router.post("", status_code=201)
async def request_grant(
    service: ServiceDep,
    token: Steward,
    wanted: GrantWanted,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> Written | Verdict:
    """Asks a provider for a grant; the answer's record id is the grant's id."""
    body = contract.GrantRequest(
        provider=wanted.provider,
        dataset=wanted.dataset,
        fields=tuple(sorted(wanted.fields)),
        purpose=wanted.purpose,
        legal_basis=wanted.legal_basis,
        valid_from_ms=wanted.valid_from_ms,
        valid_until_ms=wanted.valid_until_ms,
        exchanges_max=wanted.exchanges_max,
        rows_max=wanted.rows_max,
        onward=wanted.onward,
    )
    options = WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)
    return await write(service, token, options, kind="grant.request", body=body)


@router.get("", dependencies=[Consistent])
def list_grants(
    service: ServiceDep,
    _: Reader,
    consumer: Annotated[Name | None, Query()] = None,
    provider: Annotated[Name | None, Query()] = None,
    status: Annotated[
        Literal["requested", "approved", "refused", "revoked", "withdrawn"] | None, Query()
    ] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> GrantPage:
    """Grants, by id; those that fit the filters."""
    now_ms = service.node.clock.now_ms()
    with snapshot_of(service) as view:

        def parse(_: bytes, value: bytes) -> GrantView | None:
            known = parse_grant(value)
            fits = (
                consumer in (None, known.consumer)
                and provider in (None, known.request.provider)
                and status in (None, known.status)
            )
            return grant_view(view, known, time_ms=now_ms) if fits else None

        items, following = page(
            view.reader,
            prefix=_PREFIX,
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return GrantPage(items=items, next=following)


@router.get("/{grant_id}", dependencies=[Consistent])
def show_grant(service: ServiceDep, _: Reader, grant_id: GrantPath) -> GrantView:
    """One grant, and whether it lets an exchange through now."""
    view = service.node.view()
    known = grant(view, bytes.fromhex(grant_id))
    if known is None:
        raise Problem("not-found", f"there is no grant {grant_id}")
    return grant_view(view, known, time_ms=service.node.clock.now_ms())


@router.get("/{grant_id}/receipts", dependencies=[Consistent])
def list_receipts(
    service: ServiceDep,
    _: Reader,
    grant_id: GrantPath,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> RecordPage:
    """The receipt records under a grant, in the order of the ledger."""
    with snapshot_of(service) as view:
        if grant(view, bytes.fromhex(grant_id)) is None:
            raise Problem("not-found", f"there is no grant {grant_id}")
        digest = sha256(receipts_list(bytes.fromhex(grant_id))).digest()
        reader = view.reader

        def parse(_: bytes, item: bytes) -> object:
            place = reader.get(store_keys.record_key(item[:32]))
            assert place is not None, "a receipt of a list is on the ledger"
            leaf_index = store_keys.read_number(place[:8])
            leaf = stored_leaf(reader, leaf_index)
            assert leaf is not None
            height = store_keys.read_number(place[8:])
            return record_view(leaf, leaf_index=leaf_index, height=height, raw=None)

        items, following = page(
            reader,
            prefix=store_keys.LIST_ITEM + digest,
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return RecordPage(items=items, next=following)


@router.post("/{grant_id}/approve")
async def approve_grant(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> Written | Verdict:
    """The provider says yes."""
    options = WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)
    body = contract.GrantApprove(bytes.fromhex(grant_id))
    return await write(service, token, options, kind="grant.approve", body=body)


@router.post("/{grant_id}/refuse")
async def refuse_grant(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    decision: Decision,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> Written | Verdict:
    """The provider says no, and why."""
    options = WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)
    body = contract.GrantDecision(bytes.fromhex(grant_id), decision.reason)
    return await write(service, token, options, kind="grant.refuse", body=body)


@router.post("/{grant_id}/revoke")
async def revoke_grant(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    decision: Decision,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> Written | Verdict:
    """The provider ends a grant. This node sends nothing more under it from this moment on."""
    options = WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)
    body = contract.GrantDecision(bytes.fromhex(grant_id), decision.reason)
    if dry_run:
        return await write(service, token, options, kind="grant.revoke", body=body)
    async with stopping(service, body.grant_id):
        return await write(service, token, options, kind="grant.revoke", body=body)


@router.post("/{grant_id}/withdraw")
async def withdraw_grant(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    decision: Decision,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> Written | Verdict:
    """The consumer needs the grant no more."""
    options = WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)
    body = contract.GrantDecision(bytes.fromhex(grant_id), decision.reason)
    return await write(service, token, options, kind="grant.withdraw", body=body)
