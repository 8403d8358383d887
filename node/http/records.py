"""Routes of the ledger itself: records, blocks, and the raw bytes an auditor works from."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.machine import candidate
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.blocks import block_hash, parse_any_leaf, parse_block_header
from ledger.codec import encode
from ledger.errors import Malformed
from ledger.records import RECORD_BYTES_MAX, RecordLeaf, parse_leaf
from ledger.types import Height, LeafIndex
from node.http.access import App, Auditor, Reader, ServiceDep
from node.http.models import BlockView, Hex32, RecordPage, RecordView, Verdict, Written
from node.http.problems import Problem
from node.http.reading import (
    Consistent,
    CursorQuery,
    LimitQuery,
    height_of_leaf,
    page,
    record_view,
    snapshot_of,
    stored_leaf,
)
from node.http.writing import STOPPING, DryRunQuery, WaitQuery, ended_by, stopping, submit
from node.runtime import Wait
from node.service import Service

router = APIRouter(tags=["ledger"])

BYTES_TYPE = "application/octet-stream"
PAGE_BYTES_MAX = 8 * 1024 * 1024


@router.post(
    "/records",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {BYTES_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def submit_record(
    service: ServiceDep,
    request: Request,
    _: App,
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
) -> Written | Verdict:
    """Takes a ready-made, signed record of this department, as bytes."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > RECORD_BYTES_MAX:
            raise Problem("body-too-large", f"a record has at most {RECORD_BYTES_MAX} bytes")
    return await take_record(service, bytes(raw), wait=wait, dry_run=dry_run)


async def take_record(
    service: Service, raw: bytes, *, wait: Wait, dry_run: bool
) -> Written | Verdict:
    """Brings a department's ready-made record to the ledger. Raises Problem."""
    known = candidate(raw)
    record = known.record
    if record is None:
        raise Problem("refused", known.fault, code="malformed-record")
    if record.header.department != service.node.department:
        raise Problem("wrong-role", f"this node takes records of {service.node.department} only")
    if dry_run or record.header.kind not in STOPPING:
        return await submit(service, record, wait=wait, dry_run=dry_run, raw=raw)
    try:
        body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
    except Malformed as error:
        raise Problem("refused", str(error), code="malformed-body") from None
    grant_id = ended_by(record.header.kind, body)
    if grant_id is None:
        return await submit(service, record, wait=wait, dry_run=False, raw=raw)
    async with stopping(service, grant_id):
        return await submit(service, record, wait=wait, dry_run=False, raw=raw)


@router.get("/records", dependencies=[Consistent])
def list_records(
    service: ServiceDep,
    _: Auditor,
    kind: Annotated[str | None, Query(max_length=64)] = None,
    department: Annotated[str | None, Query(max_length=64)] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> RecordPage:
    """Records in the order of the ledger; those that fit the filters."""
    with snapshot_of(service) as view:
        reader = view.reader

        def parse(key: bytes, leaf: bytes) -> RecordView | None:
            if not isinstance(parse_any_leaf(leaf), RecordLeaf):
                return None
            header = parse_leaf(leaf).header
            if kind not in (None, header.kind) or department not in (None, header.department):
                return None
            index = store_keys.read_number(key[1:])
            height = height_of_leaf(reader, index)
            return record_view(leaf, leaf_index=index, height=height, raw=None)

        items, following = page(
            reader,
            prefix=store_keys.LEAF,
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return RecordPage(items=items, next=following)


@router.get("/records/{record_id}", dependencies=[Consistent])
def show_record(service: ServiceDep, _: Reader, record_id: Annotated[Hex32, Path()]) -> RecordView:
    """One record, with its bytes."""
    store = service.node.store
    place = store.get(store_keys.record_key(bytes.fromhex(record_id)))
    if place is None:
        raise Problem("not-found", f"there is no record {record_id}")
    index = store_keys.read_number(place[:8])
    leaf = stored_leaf(store, index)
    assert leaf is not None, "a record's leaf is stored"
    attached = store.get(store_keys.attached_key(LeafIndex(index)))
    return record_view(
        leaf,
        leaf_index=index,
        height=store_keys.read_number(place[8:]),
        raw=encode((leaf, attached)),
    )


@router.get("/blocks/{height}", dependencies=[Consistent])
def show_block(
    service: ServiceDep, _: Reader, height: Annotated[int, Path(ge=1, lt=2**63)]
) -> BlockView:
    """One block's header."""
    store = service.node.store
    place = store.get(store_keys.block_key(Height(height)))
    if place is None:
        raise Problem("not-found", f"there is no block {height} yet")
    leaf = stored_leaf(store, store_keys.read_number(place))
    assert leaf is not None, "a block's header is stored"
    header = parse_block_header(leaf)
    return BlockView(
        height=header.height,
        hash=block_hash(leaf).hex(),
        previous_hash=header.previous_hash.hex(),
        term=header.term,
        time_ms=header.time_ms,
        tree_size=header.tree_size,
        tree_root=header.tree_root.hex(),
        state_root=header.state_root.hex(),
        record_count=header.record_count,
    )


@router.get("/checkpoint", response_class=Response)
def checkpoint(service: ServiceDep, _: Reader) -> Response:
    """The newest certificate as a signed note (C2SP tlog-checkpoint, tlog-cosignature)."""
    certificate = service.node.certificate
    if certificate is None:
        raise Problem("not-found", "nothing is certified yet")
    return Response(certificate.to_note().to_bytes(), media_type="text/plain; charset=utf-8")


@router.get("/ledger/entries", response_class=Response)
def raw_entries(
    service: ServiceDep,
    _: Auditor,
    start: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    count: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """Keys and values of the ledger from leaf `start` on, for verification: MessagePack pairs.

    Each leaf under its key, what is attached under its own, and once (start = 0) all certificates.
    The header `Concordat-Next` names the next start.
    """
    with snapshot_of(service) as view:
        pairs: list[tuple[bytes, bytes]] = []
        size = 0
        index = start
        stop = store_keys.leaf_key(LeafIndex(start + count))
        for key, leaf in view.reader.scan(store_keys.leaf_key(LeafIndex(start)), stop):
            pairs.append((key, leaf))
            attached_key = store_keys.attached_key(LeafIndex(index))
            attached = view.reader.get(attached_key)
            if attached is not None:
                pairs.append((attached_key, attached))
                size += len(attached)
            index += 1
            size += len(leaf)
            if size > PAGE_BYTES_MAX:
                break
        if start == 0:
            pairs += list(view.reader.scan(store_keys.CERTIFICATE, b"d"))
    headers = {"Concordat-Next": str(index)}
    return Response(encode(pairs), media_type=BYTES_TYPE, headers=headers)
