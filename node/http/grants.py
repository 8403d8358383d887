"""Routes of grants: request, decide, look up."""

from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from contracts import grants as contract
from contracts.grants import grant, parse_grant
from contracts.limits import Hours, Limits, Rate
from contracts.state import acts_list, receipts_list
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
    Options,
    stopping,
    write,
)

router = APIRouter(prefix="/grants", tags=["grants"])

GrantPath = Annotated[Hex32, Path()]
VersionQuery = Annotated[
    int | None,
    Query(ge=1, lt=2**63, description="the version meant; by default the one that waits"),
]

_PREFIX = store_keys.STATE_VALUE + b"grant/"


@router.post("", status_code=201)
async def request_grant(
    service: ServiceDep,
    token: Steward,
    wanted: GrantWanted,
    options: Options,
) -> Written | Verdict:
    """Asks a provider for a grant; the answer's record id is the grant's id."""
    body = requested(wanted)
    return await write(service, token, options, kind="grant.request", body=body)


@router.get("", dependencies=[Consistent])
def list_grants(
    service: ServiceDep,
    _: Reader,
    consumer: Annotated[Name | None, Query()] = None,
    provider: Annotated[Name | None, Query()] = None,
    status: Annotated[
        Literal["requested", "approved", "suspended", "refused", "revoked", "withdrawn"] | None,
        Query(),
    ] = None,
    overdue: Annotated[
        bool | None, Query(description="only those whose deciders are late, or are not")
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
            if not fits:
                return None
            shown = grant_view(view, known, time_ms=now_ms)
            return shown if overdue in (None, shown.overdue) else None

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
    return _records(service, grant_id, receipts_list(bytes.fromhex(grant_id)), cursor, limit)


@router.get("/{grant_id}/history", dependencies=[Consistent])
def list_acts(
    service: ServiceDep,
    _: Reader,
    grant_id: GrantPath,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> RecordPage:
    """Everything that was done about a grant and by whom, in the order of the ledger."""
    return _records(service, grant_id, acts_list(bytes.fromhex(grant_id)), cursor, limit)


def _records(
    service: ServiceDep, grant_id: str, list_key: bytes, cursor: str | None, limit: int
) -> RecordPage:
    """Records of one of the grant's lists."""
    with snapshot_of(service) as view:
        if grant(view, bytes.fromhex(grant_id)) is None:
            raise Problem("not-found", f"there is no grant {grant_id}")
        reader = view.reader

        def parse(_: bytes, item: bytes) -> object:
            place = reader.get(store_keys.record_key(item[:32]))
            assert place is not None, "a record of a list is on the ledger"
            leaf_index = store_keys.read_number(place[:8])
            leaf = stored_leaf(reader, leaf_index)
            assert leaf is not None
            height = store_keys.read_number(place[8:])
            return record_view(leaf, leaf_index=leaf_index, height=height, raw=None)

        items, following = page(
            reader,
            prefix=store_keys.LIST_ITEM + sha256(list_key).digest(),
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return RecordPage(items=items, next=following)


@router.post("/{grant_id}/amend")
async def amend_grant(
    service: ServiceDep,
    token: Steward,
    grant_id: GrantPath,
    wanted: GrantWanted,
    options: Options,
) -> Written | Verdict:
    """The consumer asks for another version of the grant: an amendment, or a renewal."""
    body = contract.GrantAmend(bytes.fromhex(grant_id), requested(wanted))
    return await write(service, token, options, kind="grant.amend", body=body)


def _consent(word: str, words: str) -> None:
    """A route by which a waiting version is accepted or approved; it has no body."""

    async def consent(
        service: ServiceDep,
        token: Steward,
        grant_id: GrantPath,
        options: Options,
        version: VersionQuery = None,
    ) -> Written | Verdict:
        named = _waiting(service, grant_id, version)
        body = contract.GrantApprove(bytes.fromhex(grant_id), named)
        return await write(service, token, options, kind=f"grant.{word}", body=body)

    router.post(f"/{{grant_id}}/{word}", name=f"{word}_grant", description=words)(consent)


def _reply(word: str, words: str) -> None:
    """A route by which something is said about a waiting version."""

    async def reply(
        service: ServiceDep,
        token: Steward,
        grant_id: GrantPath,
        decision: Decision,
        options: Options,
        version: VersionQuery = None,
    ) -> Written | Verdict:
        named = _waiting(service, grant_id, version)
        body = contract.GrantReply(bytes.fromhex(grant_id), decision.reason, named)
        return await write(service, token, options, kind=f"grant.{word}", body=body)

    router.post(f"/{{grant_id}}/{word}", name=f"{word}_grant", description=words)(reply)


def _decide(word: str, words: str, *, stops: bool = False) -> None:
    """A route by which a whole grant is stopped or ended. stops: this node sends nothing more
    under it from the moment on which the request comes."""

    async def decide(
        service: ServiceDep,
        token: Steward,
        grant_id: GrantPath,
        decision: Decision,
        options: Options,
    ) -> Written | Verdict:
        body = contract.GrantDecision(bytes.fromhex(grant_id), decision.reason)
        kind = f"grant.{word}"
        if options.dry_run or not stops:
            return await write(service, token, options, kind=kind, body=body)
        async with stopping(service, body.grant_id):
            return await write(service, token, options, kind=kind, body=body)

    router.post(f"/{{grant_id}}/{word}", name=f"{word}_grant", description=words)(decide)


_consent("accept", "The provider takes what waits into review.")
_consent("approve", "The provider, or a co-approver, says yes.")
_reply("ask", "The provider, or a co-approver, needs to know more before it decides.")
_reply("answer", "The consumer says more.")
_reply("refuse", "The provider, or a co-approver, says no, and why.")
_reply("retract", "The consumer takes back what waits; a version in force stays in force.")
_decide("suspend", "The provider, or a co-approver, stops a grant for the time being.", stops=True)
_decide("resume", "Whoever suspended a grant lets it go on.")
_decide("revoke", "The provider, or a co-approver, ends a grant at once.", stops=True)
_decide("withdraw", "The consumer needs the grant no more.")


def requested(wanted: GrantWanted) -> contract.GrantRequest:
    """The contract's form of a request."""
    limits = wanted.limits
    rate = None if limits.rate is None else Rate(limits.rate.exchanges, limits.rate.window_ms)
    hours = None
    if limits.hours is not None:
        given = limits.hours
        hours = Hours(given.from_minute, given.until_minute, given.utc_offset)
    return contract.GrantRequest(
        provider=wanted.provider,
        dataset=wanted.dataset,
        fields=tuple(sorted(wanted.fields)),
        purpose=wanted.purpose,
        description=wanted.description,
        legal_basis=wanted.legal_basis,
        legal_reference=wanted.legal_reference,
        valid_from_ms=wanted.valid_from_ms,
        valid_until_ms=wanted.valid_until_ms,
        limits=Limits(
            exchanges_max=limits.exchanges_max,
            rows_max=limits.rows_max,
            size_bytes_max=limits.size_bytes_max,
            rate=rate,
            hours=hours,
            subjects_max=limits.subjects_max,
            subjects_named=limits.subjects_named,
        ),
        onward=wanted.onward,
    )


def _waiting(service: ServiceDep, grant_id: str, version: int | None) -> int:
    """The version meant: the one named, or the one that waits by this node's ledger."""
    if version is not None:
        return version
    known = grant(service.node.view(), bytes.fromhex(grant_id))
    return 1 if known is None or known.pending is None else known.pending.version
