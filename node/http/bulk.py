"""Bulk routes: receipts and acknowledgements of exchanges that took place elsewhere, as streams.

A body is NDJSON (`application/x-ndjson`, one object a line) or a sequence of MessagePack maps
(`application/msgpack`), of any length; it is read as fast as its records are certified. Commitments
are made by whoever knows the content: the exchange's own software, with blindings of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeAlias, TypeVar

import msgpack
import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta
from pydantic import BaseModel

from contracts.exchanges import Acknowledgement, Receipt
from node.exchange.bulk import Bulk, Entry, Interrupted, Outcome, Refused
from node.exchange.preparing import NO_SUBJECTS
from node.http.access import App, ServiceDep
from node.http.problems import Problem

router = APIRouter(prefix="/bulk", tags=["exchanges"])

ENTRY_BYTES_MAX = 4_096
"""Limit of one line, and of one MessagePack map."""

PART_ENTRIES = 256
"""Entries that are parsed at once, at most, before others have their turn."""

_TOO_LONG = f"a line has more than {ENTRY_BYTES_MAX} bytes"

NDJSON = "application/x-ndjson"
MSGPACK = "application/msgpack"


_NO_SUBJECTS = NO_SUBJECTS.hex()

_Digest: TypeAlias = Annotated[str, Meta(min_length=64, max_length=64)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]


class BulkEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """One exchange. Digests are commitments (`ledger.commitments`)."""

    exchange_id: _Digest
    grant_id: _Digest
    request: _Digest
    response: _Digest


class ReceiptEntry(BulkEntry, forbid_unknown_fields=True, frozen=True, gc=False):
    """The provider's half. subjects_root: of the subject tags, if there are any."""

    case: _Digest
    rows: _Count
    size_bytes: _Count
    subjects: _Count = 0
    subjects_root: _Digest = _NO_SUBJECTS


_Form = TypeVar("_Form", bound=BulkEntry)

_JSON: dict[type[Any], Any] = {
    form: msgspec.json.Decoder(form) for form in (BulkEntry, ReceiptEntry)
}


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

    def made(place: int, entry: ReceiptEntry) -> Entry:
        exchange_id, grant_id, request, response, case = _digests(
            entry.exchange_id, entry.grant_id, entry.request, entry.response, entry.case
        )
        item = Receipt(
            exchange_id=exchange_id,
            request=request,
            response=response,
            case=case,
            rows=entry.rows,
            size_bytes=entry.size_bytes,
            subjects=entry.subjects,
            subjects_root=(
                NO_SUBJECTS
                if entry.subjects_root == _NO_SUBJECTS
                else _digests(entry.subjects_root)[0]
            ),
        )
        return Entry.of(place, grant_id, item)

    async def parse(values: list[_Value]) -> list[Entry | Refused]:
        return [_parsed(value, ReceiptEntry, made) for value in values]

    return await _take(service.bulk_receipts, request, parse, token.name)


@router.post(
    "/acknowledgements", openapi_extra={"requestBody": {"content": {NDJSON: {}, MSGPACK: {}}}}
)
async def bulk_acknowledgements(service: ServiceDep, token: App, request: Request) -> BulkResult:
    """This consumer's halves of exchanges whose receipts are on the ledger."""
    bulk = service.bulk_acknowledgements

    def made(place: int, entry: BulkEntry) -> Entry | Refused:
        exchange_id, grant_id, request, response = _digests(
            entry.exchange_id, entry.grant_id, entry.request, entry.response
        )
        receipt_record = bulk.receipt_record(grant_id, exchange_id)
        if receipt_record is None:
            return Refused(place, "no-receipt", "the provider has not receipted it")
        item = Acknowledgement(exchange_id, receipt_record, request, response)
        return Entry.of(place, grant_id, item)

    def parse_all(values: list[_Value]) -> list[Entry | Refused]:
        return [_parsed(value, BulkEntry, made) for value in values]

    async def parse(values: list[_Value]) -> list[Entry | Refused]:
        return await asyncio.to_thread(parse_all, values)  # it may read a whole grant's list

    return await _take(bulk, request, parse, token.name)


class _Fault(msgspec.Struct, frozen=True):
    """A piece of the stream that is no entry."""

    why: str


class _Value(msgspec.Struct, frozen=True, gc=False):
    """A piece of the stream, and its number. value: a line, what MessagePack holds, or a fault."""

    place: int
    value: Any


_Parse: TypeAlias = Callable[[list[_Value]], Awaitable[list[Entry | Refused]]]


async def _take(bulk: Bulk, request: Request, parse: _Parse, actor: str) -> BulkResult:
    if bulk.busy:
        raise Problem("busy", "another stream is under way", retry_after_ms=5_000)
    form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form not in (NDJSON, MSGPACK):
        raise Problem("invalid-request", f"the body is {NDJSON} or {MSGPACK}")
    values = _json_lines(request.stream()) if form == NDJSON else _messages(request.stream())

    async def entries() -> AsyncIterator[list[Entry | Refused]]:
        place = 0
        async for part in values:
            numbered = [_Value(place + at, value) for at, value in enumerate(part, start=1)]
            place += len(part)
            yield await parse(numbered)

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


def _parsed(
    piece: _Value, form: type[_Form], made: Callable[[int, _Form], Entry | Refused]
) -> Entry | Refused:
    """An entry of a piece, or why it is none."""
    value = piece.value
    if isinstance(value, _Fault):
        return Refused(piece.place, "malformed-entry", value.why)
    try:
        if isinstance(value, bytes):
            return made(piece.place, _JSON[form].decode(value))
        return made(piece.place, msgspec.convert(value, form))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return Refused(piece.place, "malformed-entry", str(error)[:300])


def _digests(*digests: str) -> list[bytes]:
    """Each as 32 bytes. Raises ValueError if one is not in hexadecimal digits, in lower case."""
    joined = "".join(digests)
    value = bytes.fromhex(joined)
    if value.hex() != joined:
        raise ValueError("a digest is 64 hexadecimal digits in lower case")
    return [value[at : at + 32] for at in range(0, len(value), 32)]


async def _json_lines(stream: AsyncIterator[bytes]) -> AsyncIterator[list[Any]]:
    """The lines that came together, but empty ones; one that is too long is a fault."""
    rest = b""
    skipping = False
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        if skipping and lines:
            skipping = False
            del lines[0]
        part = [_line(line) for line in lines if line.strip()]
        if len(rest) > ENTRY_BYTES_MAX:
            if not skipping:
                part.append(_Fault(_TOO_LONG))
            rest, skipping = b"", True
        for start in range(0, len(part), PART_ENTRIES):
            yield part[start : start + PART_ENTRIES]
    if rest.strip() and not skipping:
        yield [_line(rest)]


def _line(line: bytes) -> Any:
    return _Fault(_TOO_LONG) if len(line) > ENTRY_BYTES_MAX else line


async def _messages(stream: AsyncIterator[bytes]) -> AsyncIterator[list[Any]]:
    """MessagePack values. After damage nothing more can be told apart: one fault ends it."""
    unpacker = msgpack.Unpacker(
        max_buffer_size=1024 * 1024,
        max_str_len=ENTRY_BYTES_MAX,
        max_bin_len=ENTRY_BYTES_MAX,
        max_map_len=64,
        max_array_len=64,
    )
    part: list[Any] = []
    try:
        async for chunk in stream:
            for start in range(0, len(chunk), 65_536):
                unpacker.feed(chunk[start : start + 65_536])
                part += unpacker
                yield part
                part = []
    except (ValueError, msgpack.UnpackException) as error:
        yield [*part, _Fault(f"the stream is not MessagePack from here on: {error}")]
