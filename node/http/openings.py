"""The route by which a provider shows an auditor what its receipts commit to."""

from collections.abc import Iterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from contracts.grants import grant
from node.exchange.openings import openings
from node.http.access import Auditor, ServiceDep
from node.http.models import Hex32
from node.http.problems import Problem
from node.http.reading import snapshot_of
from node.service import Service

router = APIRouter(tags=["audit"])

NDJSON = "application/x-ndjson"
PART_BYTES = 64 * 1024
"""Lines go out together, from so many bytes on."""

log = structlog.get_logger("concordat.http")


@router.get("/openings", response_class=StreamingResponse)
async def shown_openings(
    service: ServiceDep,
    token: Auditor,
    grant_id: Annotated[Hex32 | None, Query(description="one grant's only")] = None,
    queries: Annotated[
        bool, Query(description="also what was asked, with people's identifiers")
    ] = False,
) -> StreamingResponse:
    """The openings of what this node provided: tags of data subjects for each exchange, a line of
    JSON each, for `concordat audit subjects`."""
    wanted = None if grant_id is None else bytes.fromhex(grant_id)
    if wanted is not None and grant(service.node.view(), wanted) is None:
        raise Problem("not-found", f"there is no grant {grant_id}")
    if len(service.open_streams) >= service.node.config.http.streams_max:
        raise Problem("busy", "too many streams are open", retry_after_ms=5_000)
    log.info("openings shown", to=token.name, grant_id=grant_id, queries=queries)
    return StreamingResponse(
        _lines(service, wanted, queries=queries),
        media_type=NDJSON,
        headers={"Cache-Control": "no-store"},
    )


def _lines(service: Service, grant_id: bytes | None, *, queries: bool) -> Iterator[bytes]:
    height = service.node.events.height
    service.open_streams.append(height)
    try:
        with snapshot_of(service) as view:
            part = bytearray()
            for opening in openings(service.vault, view, grant_id=grant_id, queries=queries):
                part += opening.to_line()
                if len(part) >= PART_BYTES:
                    yield bytes(part)
                    part.clear()
            yield bytes(part)
    finally:
        service.open_streams.remove(height)
