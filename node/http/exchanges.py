"""The route by which apps get other departments' data."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from contracts.catalog import dataset
from contracts.exchanges import ExchangeRequest, admissible
from contracts.grants import grant
from contracts.queries import QueryRefused
from contracts.refusals import REFUSALS
from node.exchange.consumer import ExchangeRefused, Received, Wanted, query_bytes
from node.exchange.preparing import query_of, unnamed
from node.exchange.spool import Discarded
from node.http.access import App, ServiceDep, check_scope
from node.http.models import ExchangeResult, ExchangeWanted, Hex32, Verdict
from node.http.problems import Problem
from node.http.writing import DryRunQuery

router = APIRouter(prefix="/exchanges", tags=["exchanges"])

PAGE_CHUNKS = 16
"""Chunks of a result in one answer: some 4 MiB."""

TimeoutQuery = Annotated[
    int | None, Query(ge=100, le=600_000, description="longest wait, milliseconds")
]


@router.post("")
async def exchange(
    service: ServiceDep,
    token: App,
    wanted: ExchangeWanted,
    dry_run: DryRunQuery = False,
    timeout_ms: TimeoutQuery = None,
) -> ExchangeResult | Verdict:
    """Gets data under a grant: only with a certified receipt, checked by this node."""
    known = grant(service.node.view(), bytes.fromhex(wanted.grant_id))
    if known is None:
        raise Problem("not-found", f"there is no grant {wanted.grant_id}")
    check_scope(token, f"{known.request.provider}/{known.request.dataset}")
    if dry_run:
        return _verdict(service, wanted, token.name)
    try:
        received = await service.consumer.exchange(
            Wanted(
                grant_id=known.grant_id,
                purpose=wanted.purpose,
                case=wanted.case,
                query=wanted.query,
                fields=None if wanted.fields is None else tuple(wanted.fields),
                actor=token.name,
            ),
            timeout_s=(timeout_ms or service.node.config.http.wait_timeout_ms) / 1000,
        )
    except ExchangeRefused as error:
        raise _problem(error) from None
    return await _first_page(service, received, token.name)


@router.get("/{exchange_id}/rows")
async def more_rows(
    service: ServiceDep,
    token: App,
    exchange_id: Annotated[Hex32, Path()],
    start: Annotated[int, Query(ge=0, lt=2**31, description="`next` of the page before")],
) -> ExchangeResult:
    """Reads on in a large result, under the receipt it came under."""
    received = service.consumer.kept(bytes.fromhex(exchange_id), token.name)
    if received is None or start >= received.chunks:
        raise Problem("not-found", f"no rows of {exchange_id} are kept for this app")
    try:
        page = await _page(received, start)
    except Discarded:
        raise Problem("not-found", f"rows of {exchange_id} are kept no longer") from None
    if page.next is None:
        service.consumer.drop(received.exchange_id)
    return page


async def _first_page(service: ServiceDep, received: Received, app: str) -> ExchangeResult:
    """The first chunks; what has more is kept, and only that: no crowd of small ones drives
    another's rows out."""
    page = None
    try:
        page = await _page(received, 0)
    finally:
        if page is None or page.next is None:
            received.close()
    if page.next is not None:
        service.consumer.keep(received, app)
    return page


async def _page(received: Received, start: int) -> ExchangeResult:
    """The next chunks of a result. Raises Discarded."""
    stop = min(start + PAGE_CHUNKS, received.chunks)
    numbers = range(start, stop)
    if received.result.is_small:
        answers = [received.answer(number) for number in numbers]
    else:
        answers = [await asyncio.to_thread(received.answer, number) for number in numbers]
    return ExchangeResult(
        exchange_id=received.exchange_id.hex(),
        fields=list(answers[0].fields),
        rows=[list(row) for answer in answers for row in answer.rows],
        receipt_record=received.receipt_record.hex(),
        height=received.height,
        leaf_index=received.leaf_index,
        next=stop if stop < received.chunks else None,
        next_offset=received.next_offset,
    )


def _problem(error: ExchangeRefused) -> Problem:
    if error.code == "busy":
        return Problem("busy", error.detail, retry_after_ms=1_000)
    if error.code in REFUSALS or error.code == "query-refused":
        return Problem("denied", error.detail, code=error.code)
    return Problem("exchange-failed", error.detail, code=error.code)


def _verdict(service: ServiceDep, wanted: ExchangeWanted, actor: str) -> Verdict:
    """What the provider would say, by this node's copy of the ledger and the query's words."""
    view = service.node.view()
    known = grant(view, bytes.fromhex(wanted.grant_id))
    assert known is not None
    now_ms = service.node.clock.now_ms()
    asked = ExchangeRequest(
        version=1,
        ledger_id=service.node.ledger_id,
        grant_id=known.grant_id,
        exchange_id=bytes(32),
        consumer=service.node.department,
        actor=actor,
        grant_version=known.version,
        purpose=wanted.purpose,
        fields=tuple(wanted.fields or known.request.fields),
        query=query_bytes(wanted.query),
        request_blinding=bytes(32),
        case=bytes(32),
        created_ms=now_ms,
    )
    refusal = admissible(view, known, asked, provider=known.request.provider, time_ms=now_ms)
    offered = dataset(view, known.request.provider, known.request.dataset)
    if refusal is None and offered is not None:
        try:
            refusal = unnamed(query_of(asked, known, offered), known, offered)
        except QueryRefused as error:
            return Verdict(
                allowed=False, code="query-refused", detail=str(error), remedy=error.remedy
            )
    if refusal is None:
        return Verdict(allowed=True)
    remedy = REFUSALS[refusal.code].remedy
    return Verdict(allowed=False, code=refusal.code, detail=refusal.detail, remedy=remedy)
