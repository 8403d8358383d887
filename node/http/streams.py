"""Server-Sent Events of records: every record once, in order, from any height on."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from ledger import store_keys
from ledger.types import Height
from node.http.access import Reader, ServiceDep
from node.http.problems import Problem
from node.http.reading import record_view, stored_leaf

router = APIRouter(tags=["events"])


@router.get("/events", response_class=StreamingResponse)
async def events(
    service: ServiceDep,
    _: Reader,
    after_height: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    kind: Annotated[str | None, Query(max_length=64)] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingResponse:
    """Certified records as they come. An event's id is "height/place": a client that lost its
    connection resumes with `Last-Event-ID`, without gap or repeat."""
    height, place = after_height, -1
    if last_event_id is not None:
        try:
            first, second = last_event_id.split("/")
            height, place = int(first) - 1, int(second)
        except ValueError:
            raise Problem("invalid-request", "Last-Event-ID is not height/place") from None
    open_streams: list[int] = service.open_streams
    if len(open_streams) >= service.node.config.http.streams_max:
        raise Problem("busy", "too many event streams are open", retry_after_ms=5_000)
    return StreamingResponse(
        _stream(service, max(height, 0), place, kind),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _stream(
    service: ServiceDep, after_height: int, after_place: int, kind: str | None
) -> AsyncIterator[str]:
    service.open_streams.append(after_height)
    try:
        done = after_height
        skip = after_place
        async for certified in service.node.events.heights(after_height, certified=True):
            while done < certified:
                done += 1
                for place, text in _block_events(service, done, kind):
                    if place > skip:
                        yield text
                skip = -1
    finally:
        service.open_streams.remove(after_height)


def _block_events(service: ServiceDep, height: int, kind: str | None) -> list[tuple[int, str]]:
    """The events of a block's records; place: of each within the block."""
    store = service.node.store
    header_at = store.get(store_keys.block_key(Height(height)))
    assert header_at is not None, "a certified block is stored"
    stop = store_keys.read_number(header_at)
    before = store.get(store_keys.block_key(Height(height - 1))) if height > 1 else None
    start = 0 if before is None else store_keys.read_number(before) + 1
    found = []
    for place, index in enumerate(range(start, stop)):
        leaf = stored_leaf(store, index)
        assert leaf is not None, "a block's leaves are stored"
        view = record_view(leaf, leaf_index=index, height=height, raw=None)
        if kind in (None, view.kind):
            data = json.dumps(view.model_dump(), ensure_ascii=False)
            found.append((place, f"id: {height}/{place}\nevent: record\ndata: {data}\n\n"))
    return found
