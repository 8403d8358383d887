"""How answers are read: one snapshot a request, cursors that hold across pages, and views."""

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query

from contracts.catalog import Dataset
from contracts.grants import Act, Emergency, Grant, Pending, due_ms, exhausted, standing
from contracts.limits import Counts
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.records import parse_leaf
from ledger.types import Height, LeafIndex
from node.http.access import ServiceDep
from node.http.models import (
    ActView,
    DatasetView,
    EmergencyView,
    GrantView,
    PendingView,
    RecordView,
)
from node.http.problems import Problem
from node.ports import StoreReader
from node.runtime import StateView
from node.service import Service

CursorQuery = Annotated[str | None, Query(max_length=600, description="`next` of the page before")]
LimitQuery = Annotated[int, Query(ge=1, le=10_000, description="items in the page")]
ConsistentQuery = Annotated[
    bool, Query(description="see everything that was committed before this request")
]


@contextmanager
def snapshot_of(service: Service) -> Iterator[StateView]:
    """The state as of one moment."""
    snapshot = service.node.store.snapshot()
    try:
        yield StateView(snapshot)
    finally:
        snapshot.close()


async def consistent_read(service: ServiceDep, consistent: ConsistentQuery = False) -> None:
    """Waits for what was committed before, if asked to. Raises Problem."""
    if consistent:
        timeout_s = service.node.config.http.wait_timeout_ms / 1000
        if await service.node.read_barrier(timeout_s=timeout_s) is None:
            raise Problem("no-leader", "nobody could confirm the read", retry_after_ms=1_000)


Consistent = Depends(consistent_read)


def read_cursor(cursor: str | None, *, prefix: bytes) -> bytes | None:
    """The key after which the page starts. Raises Problem."""
    if cursor is None:
        return None
    try:
        key = base64.urlsafe_b64decode(cursor.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Problem("invalid-request", "the cursor is damaged") from None
    if not key.startswith(prefix):
        raise Problem("invalid-request", "the cursor is another list's")
    return key


def make_cursor(key: bytes) -> str:
    """A cursor that starts after `key`."""
    return base64.urlsafe_b64encode(key).decode("ascii")


def page(
    reader: StoreReader,
    *,
    prefix: bytes,
    cursor: str | None,
    limit: int,
    parse: Callable[[bytes, bytes], Any],
) -> tuple[list[Any], str | None]:
    """Items of a page, those for which `parse` gives None left out, and the next cursor."""
    after = read_cursor(cursor, prefix=prefix)
    start = prefix if after is None else after + b"\x00"
    stop = prefix[:-1] + bytes([prefix[-1] + 1])
    items: list[Any] = []
    last = b""
    for key, value in reader.scan(start, stop):
        if len(items) >= limit:
            return items, make_cursor(last)
        item = parse(key, value)
        if item is not None:
            items.append(item)
        last = key
    return items, None


def dataset_view(value: Dataset) -> DatasetView:
    """A dataset for people and apps."""
    return DatasetView(
        publisher=value.publisher,
        name=value.offer.name,
        title=value.title,
        fields=[{"name": name, "type": kind} for name, kind in value.fields],
        subject_field=value.subject_field,
        classification=value.offer.classification,
        sharing=value.offer.sharing,
        authoritative=value.offer.authoritative,
        version=value.version,
        status=value.status,
        document=value.document.hex(),
        changed_height=value.changed_height,
        co_approvers=list(value.offer.co_approvers),
        derived_from=[grant_id.hex() for grant_id in value.offer.derived_from],
        carried=value.offer.carried,
    )


def grant_view(view: StateView, value: Grant, *, time_ms: int) -> GrantView:
    """A grant for people and apps."""
    asked = value.request
    refusal = standing(view, value, time_ms=time_ms) or exhausted(value, Counts(1), time_ms=time_ms)
    pending = None
    if value.pending is not None:
        pending = _pending_view(view, value.pending, provider=asked.provider, time_ms=time_ms)
    return GrantView(
        grant_id=value.grant_id.hex(),
        consumer=value.consumer,
        provider=asked.provider,
        dataset=asked.dataset,
        version=value.version,
        fields=list(asked.fields),
        purpose=asked.purpose,
        description=asked.description,
        legal_basis=asked.legal_basis,
        legal_reference=asked.legal_reference,
        valid_from_ms=asked.valid_from_ms,
        valid_until_ms=asked.valid_until_ms,
        limits=plain(asked.limits),
        onward=asked.onward,
        co_approvers=list(value.co_approvers),
        status=value.status,
        reason=value.reason,
        lets_through=refusal is None,
        why_not=None if refusal is None else refusal.code,
        requested=_act_view(value.requested),
        decided=_act_view(value.decided),
        pending=pending,
        overdue=pending is not None and pending.overdue,
        emergency=None if value.emergency is None else _emergency_view(value.emergency),
        exchanges=value.exchanges,
        rows=value.rows,
        size_bytes=value.size_bytes,
        acknowledged=value.acknowledged,
        voided=value.voided,
        sealed=value.sealed,
        opened=value.opened,
        denied=value.denied,
    )


def _act_view(act: Act) -> ActView:
    return ActView(
        height=act.height, time_ms=act.time_ms, department=act.department, actor=act.actor
    )


def _pending_view(view: StateView, value: Pending, *, provider: str, time_ms: int) -> PendingView:
    due = due_ms(view, value)
    return PendingView(
        version=value.version,
        request=plain(value.request),
        stage=value.stage,
        sharing=value.sharing,
        deciders=list(value.deciders(provider)),
        approved_by=list(value.approved_by),
        asked=_act_view(value.asked),
        due_ms=due,
        overdue=due is not None and time_ms >= due,
    )


def _emergency_view(value: Emergency) -> EmergencyView:
    review = value.review
    return EmergencyView(
        situation=value.situation,
        confirmed=None if value.confirmed is None else _act_view(value.confirmed),
        review_due_ms=value.review_due_ms,
        verdict=None if review is None else review.verdict,
        findings=None if review is None else review.findings,
        reviewed=None if review is None else _act_view(review.act),
    )


def height_of_leaf(reader: StoreReader, leaf_index: int) -> int:
    """The height of the block that holds a leaf: the first whose header's leaf is not before it."""
    low, high = (
        1,
        store_keys.read_number(
            next(iter(reader.scan(store_keys.BLOCK, b"c", reverse=True)))[0][1:]
        ),
    )
    while low < high:
        middle = (low + high) // 2
        place = reader.get(store_keys.block_key(Height(middle)))
        assert place is not None, "every block up to the last has its place"
        if store_keys.read_number(place) >= leaf_index:
            high = middle
        else:
            low = middle + 1
    return low


def record_view(leaf: bytes, *, leaf_index: int, height: int, raw: bytes | None) -> RecordView:
    """A record for people and apps; its body as plain values, bytes in hexadecimal."""
    record = parse_leaf(leaf)
    header = record.header
    attached = None
    if header.attached is not None:
        attached = {
            "form": header.attached.form,
            "digest": header.attached.digest.hex(),
            "count": header.attached.count,
            "size_bytes": header.attached.size_bytes,
        }
    return RecordView(
        record_id=record.record_id.hex(),
        leaf_index=leaf_index,
        height=height,
        kind=header.kind,
        department=header.department,
        actor=header.actor,
        key=header.key.hex(),
        created_ms=header.created_ms,
        valid_until_ms=header.valid_until_ms,
        body=plain(CONTRACTS[header.kind].body.decode(bytes(header.body))),
        attached=attached,
        raw=None if raw is None else base64.b64encode(raw).decode("ascii"),
    )


def stored_leaf(reader: StoreReader, leaf_index: int) -> bytes | None:
    """A leaf's data."""
    return reader.get(store_keys.leaf_key(LeafIndex(leaf_index)))


def plain(value: Any) -> Any:
    """A format's value as JSON takes it: fields by name, bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
