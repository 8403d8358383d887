"""Bulk routes: receipts and acknowledgements of exchanges that took place elsewhere, as streams.

A body is NDJSON (`application/x-ndjson`, one object a line) or a sequence of MessagePack maps
(`application/msgpack`), of any length; it is read as fast as its records are certified. Commitments
are made by whoever knows the content: the exchange's own software, with blindings of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.exchanges import Acknowledgement, Receipt
from node.exchange.bulk import Bulk, Entry, Interrupted, Outcome, Refused
from node.exchange.preparing import NO_SUBJECTS
from node.http.access import App, ServiceDep
from node.http.models import Hex32
from node.http.problems import Problem

router = APIRouter(prefix="/bulk", tags=["exchanges"])

ENTRY_BYTES_MAX = 4_096
"""Limit of one line, and of one MessagePack map."""

NDJSON = "application/x-ndjson"
MSGPACK = "application/msgpack"


class BulkEntry(BaseModel):
    """One exchange. Digests are commitments (`ledger.commitments`)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    exchange_id: Hex32
    grant_id: Hex32
    request: Hex32
    response: Hex32


class ReceiptEntry(BulkEntry):
    """The provider's half. subjects_root: of the subject tags, if there are any."""

    case: Hex32
    rows: int = Field(ge=0, lt=2**53)
    size_bytes: int = Field(ge=0, lt=2**53)
    subjects: int = Field(0, ge=0, lt=2**53)
    subjects_root: Hex32 = NO_SUBJECTS.hex()


class RefusedEntry(BaseModel):
    """An entry that is not on the ledger; place: its number in the stream, from 1."""

    place: int
    code: str
    detail: str


class BulkResult(BaseModel):
    """What became of a stream; received = accepted + known + refused."""

    received: int
    accepted: int
    known: int
    refused: int
    refusals: list[RefusedEntry]


@router.post("/receipts", openapi_extra={"requestBody": {"content": {NDJSON: {}, MSGPACK: {}}}})
async def bulk_receipts(service: ServiceDep, token: App, request: Request) -> BulkResult:
    """Receipts of this provider's own exchange. Send the stream again if it was interrupted."""

    def parse(place: int, value: object) -> Entry | Refused:
        entry = ReceiptEntry.model_validate(value)
        item = Receipt(
            exchange_id=bytes.fromhex(entry.exchange_id),
            request=bytes.fromhex(entry.request),
            response=bytes.fromhex(entry.response),
            case=bytes.fromhex(entry.case),
            rows=entry.rows,
            size_bytes=entry.size_bytes,
            subjects=entry.subjects,
            subjects_root=bytes.fromhex(entry.subjects_root),
        )
        return Entry(place, bytes.fromhex(entry.grant_id), item)

    return await _take(service.bulk_receipts, request, parse, token.name)


@router.post(
    "/acknowledgements", openapi_extra={"requestBody": {"content": {NDJSON: {}, MSGPACK: {}}}}
)
async def bulk_acknowledgements(service: ServiceDep, token: App, request: Request) -> BulkResult:
    """This consumer's halves of exchanges whose receipts are on the ledger."""
    bulk = service.bulk_acknowledgements

    def parse(place: int, value: object) -> Entry | Refused:
        entry = BulkEntry.model_validate(value)
        exchange_id, grant_id = bytes.fromhex(entry.exchange_id), bytes.fromhex(entry.grant_id)
        receipt_record = bulk.receipt_record(grant_id, exchange_id)
        if receipt_record is None:
            return Refused(place, "no-receipt", "the provider has not receipted it")
        item = Acknowledgement(
            exchange_id,
            receipt_record,
            bytes.fromhex(entry.request),
            bytes.fromhex(entry.response),
        )
        return Entry(place, grant_id, item)

    return await _take(bulk, request, parse, token.name)


async def _take(
    bulk: Bulk,
    request: Request,
    parse: Callable[[int, object], Entry | Refused],
    actor: str,
) -> BulkResult:
    if bulk.busy:
        raise Problem("busy", "another stream is under way", retry_after_ms=5_000)
    form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form not in (NDJSON, MSGPACK):
        raise Problem("invalid-request", f"the body is {NDJSON} or {MSGPACK}")
    values = _json_lines(request.stream()) if form == NDJSON else _messages(request.stream())

    async def entries() -> AsyncIterator[Entry | Refused]:
        place = 0
        async for value in values:
            place += 1
            if isinstance(value, _Fault):
                yield Refused(place, "malformed-entry", value.why)
                continue
            try:
                yield await asyncio.to_thread(parse, place, value)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                yield Refused(place, "malformed-entry", f"{where}: {first['msg']}"[:300])

    try:
        outcome: Outcome = await bulk.take(entries(), actor=actor)
    except Interrupted as error:
        raise Problem("unknown-outcome", str(error), retry_after_ms=1_000) from None
    return BulkResult(
        received=outcome.received,
        accepted=outcome.accepted,
        known=outcome.known,
        refused=outcome.refused,
        refusals=[
            RefusedEntry(place=each.place, code=each.code, detail=each.detail)
            for each in outcome.shown
        ],
    )


class _Fault:
    """A piece of the stream that is no entry."""

    def __init__(self, why: str) -> None:
        self.why = why


async def _json_lines(stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """The value of each line that is not empty; a line that is too long or no JSON is a fault."""
    rest = b""
    skipping = False
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if skipping:
                skipping = False
            elif line.strip():
                yield _json(line)
        if len(rest) > ENTRY_BYTES_MAX:
            if not skipping:
                yield _Fault(f"a line has more than {ENTRY_BYTES_MAX} bytes")
            rest, skipping = b"", True
    if rest.strip() and not skipping:
        yield _json(rest)


def _json(line: bytes) -> Any:
    if len(line) > ENTRY_BYTES_MAX:
        return _Fault(f"a line has more than {ENTRY_BYTES_MAX} bytes")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Fault(f"the line is not JSON: {error}")


async def _messages(stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """Each MessagePack value. After damage nothing more can be told apart: one fault ends it."""
    unpacker = msgpack.Unpacker(
        max_buffer_size=1024 * 1024,
        max_str_len=ENTRY_BYTES_MAX,
        max_bin_len=ENTRY_BYTES_MAX,
        max_map_len=64,
        max_array_len=64,
    )
    try:
        async for chunk in stream:
            for start in range(0, len(chunk), 65_536):
                unpacker.feed(chunk[start : start + 65_536])
                for value in unpacker:
                    yield value
    except (ValueError, msgpack.UnpackException) as error:
        yield _Fault(f"the stream is not MessagePack from here on: {error}")
