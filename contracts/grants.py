"""Grants: who may read which fields of a dataset, for which purpose, on which legal basis.

    requested ── approve ──> approved ── revoke ──> revoked
        │ └───── refuse ───> refused        └─ withdraw ─> withdrawn
        └─────── withdraw ─> withdrawn

A grant's id is the record id of its request. Its state holds what was decided; whether it lets an
exchange through *now* is computed from it and from the block's time (`standing`), so nothing has to
happen for a grant to expire.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.catalog import FIELDS_MAX, FieldName, dataset
from contracts.consortium import out_of_force
from contracts.context import Context
from contracts.refusals import Refusal
from contracts.state import View, grant_key, grants_list, held_list
from ledger.codec import Decoder, Format, encode
from ledger.types import Hash, Identifier, Natural

Purpose = Annotated[str, Meta(min_length=1, max_length=200)]
LegalBasis = Annotated[str, Meta(min_length=1, max_length=300)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
FieldNames = Annotated[tuple[FieldName, ...], Meta(min_length=1, max_length=FIELDS_MAX)]


class GrantRequest(Format, frozen=True):
    """Body of `grant.request`; the author is the consumer.

    fields: sorted, no repeats. valid_from_ms ≤ t < valid_until_ms, Unix time in milliseconds.
    exchanges_max, rows_max: over the grant's whole life; 0 for no limit.
    onward: whether the consumer may share further what it receives.
    """

    provider: Identifier
    dataset: Identifier
    fields: FieldNames
    purpose: Purpose
    legal_basis: LegalBasis
    valid_from_ms: Natural
    valid_until_ms: Natural
    exchanges_max: Natural
    rows_max: Natural
    onward: bool


class GrantApprove(Format, frozen=True):
    """Body of `grant.approve`; the author is the provider."""

    grant_id: Hash


class GrantDecision(Format, frozen=True):
    """Body of `grant.refuse`, `grant.revoke` (the provider's) and `grant.withdraw` (consumer's)."""

    grant_id: Hash
    reason: Reason


Status = Literal["requested", "approved", "refused", "revoked", "withdrawn"]


class Grant(Format, frozen=True):
    """A grant in the state.

    decided_height: where it got its status. exchanges, rows, size_bytes: by receipts; voided and
    acknowledged: exchanges of those; denied: exchanges refused under it.
    """

    grant_id: Hash
    consumer: Identifier
    request: GrantRequest
    status: Status
    reason: str
    requested_height: Natural
    decided_height: Natural
    requested_by: str
    decided_by: str
    exchanges: Natural = 0
    rows: Natural = 0
    size_bytes: Natural = 0
    acknowledged: Natural = 0
    voided: Natural = 0
    denied: Natural = 0


_GRANT: Decoder[Grant] = Decoder(Grant, what="grant", bytes_max=64 * 1024)


def parse_grant(value: bytes) -> Grant:
    """A grant from its state value. Raises Malformed."""
    return _GRANT.decode(value)


def grant(view: View, grant_id: bytes) -> Grant | None:
    """A grant, whatever became of it; None if there is none."""
    value = view.get(grant_key(grant_id))
    return None if value is None else _GRANT.decode(value)


def put_grant(context: Context, value: Grant) -> None:
    """Writes a grant's state."""
    context.state.put(grant_key(value.grant_id), encode(value))


def standing(view: View, value: Grant, *, time_ms: int) -> Refusal | None:
    """Why the grant lets no exchange through at `time_ms`; None if it does, within its limits."""
    name = value.grant_id.hex()[:16]
    match value.status:
        case "requested" | "refused":
            return Refusal("grant-not-active", f"grant {name}… is {value.status}")
        case "revoked":
            return Refusal("grant-revoked", f"grant {name}… at height {value.decided_height}")
        case "withdrawn":
            return Refusal("grant-withdrawn", f"grant {name}… at height {value.decided_height}")
    request = value.request
    if time_ms < request.valid_from_ms:
        return Refusal("grant-not-started", f"grant {name}… starts at {request.valid_from_ms}")
    if time_ms >= request.valid_until_ms:
        return Refusal("grant-expired", f"grant {name}… ended at {request.valid_until_ms}")
    offered = dataset(view, request.provider, request.dataset)
    if offered is None or offered.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{request.provider}/{request.dataset}")
    return out_of_force(view, request.provider) or out_of_force(view, value.consumer)


def exhausted(value: Grant, *, exchanges: int, rows: int) -> Refusal | None:
    """Why so many more exchanges and rows are beyond the grant's limits; None if they are not."""
    request = value.request
    name = value.grant_id.hex()[:16]
    if request.exchanges_max and value.exchanges + exchanges > request.exchanges_max:
        return Refusal(
            "exchanges-exhausted",
            f"grant {name}… allows {request.exchanges_max}, {value.exchanges} took place",
        )
    if request.rows_max and value.rows + rows > request.rows_max:
        return Refusal(
            "rows-exhausted",
            f"grant {name}… allows {request.rows_max} rows, {value.rows} were read",
        )
    return None


def request(context: Context, body: GrantRequest) -> Refusal | None:
    """A consumer asks for a grant."""
    where = f"{body.provider}/{body.dataset}"
    offered = dataset(context.state, body.provider, body.dataset)
    if offered is None:
        return Refusal("unknown-dataset", where)
    if offered.status == "withdrawn":
        return Refusal("dataset-withdrawn", where)
    if body.provider == context.department:
        return Refusal("own-dataset", where)
    if offered.offer.sharing == "closed":
        return Refusal("not-shared", where)
    if list(body.fields) != sorted(set(body.fields)):
        return Refusal("unknown-field", "the fields are not sorted and unique")
    unknown = sorted(set(body.fields) - {name for name, _ in offered.fields})
    if unknown:
        return Refusal("unknown-field", f"{where} has no {', '.join(unknown)}")
    span_ms = body.valid_until_ms - body.valid_from_ms
    longest_ms = context.setting("grant-validity-max-ms")
    if not 0 < span_ms <= longest_ms or body.valid_until_ms <= context.time_ms:
        return Refusal("invalid-validity", f"{span_ms} ms of at most {longest_ms}, or over already")
    asked = Grant(
        grant_id=context.record_id,
        consumer=context.department,
        request=body,
        status="requested",
        reason="",
        requested_height=context.height,
        decided_height=context.height,
        requested_by=context.actor,
        decided_by="",
    )
    put_grant(context, asked)
    context.state.append(grants_list(body.provider, body.dataset), [context.record_id])
    held = held_list(context.department, body.provider, body.dataset)
    context.state.append(held, [context.record_id])
    return None


def approve(context: Context, body: GrantApprove) -> Refusal | None:
    """The provider says yes."""
    return _decide(context, body.grant_id, ("requested",), "approved", "", by_provider=True)


def refuse(context: Context, body: GrantDecision) -> Refusal | None:
    """The provider says no, and why."""
    return _decide(context, body.grant_id, ("requested",), "refused", body.reason, by_provider=True)


def revoke(context: Context, body: GrantDecision) -> Refusal | None:
    """The provider ends a grant: no receipt after this record is accepted."""
    return _decide(context, body.grant_id, ("approved",), "revoked", body.reason, by_provider=True)


def withdraw(context: Context, body: GrantDecision) -> Refusal | None:
    """The consumer needs the grant no more."""
    return _decide(
        context,
        body.grant_id,
        ("requested", "approved"),
        "withdrawn",
        body.reason,
        by_provider=False,
    )


def _decide(
    context: Context,
    grant_id: bytes,
    before: tuple[Status, ...],
    after: Status,
    reason: str,
    *,
    by_provider: bool,
) -> Refusal | None:
    known = grant(context.state, grant_id)
    if known is None:
        return Refusal("unknown-grant", grant_id.hex())
    if by_provider and known.request.provider != context.department:
        return Refusal("not-the-provider", f"{known.request.provider} provides this grant's data")
    if not by_provider and known.consumer != context.department:
        return Refusal("not-the-consumer", f"{known.consumer} asked for this grant")
    if known.status not in before:
        return Refusal("already-decided", f"the grant is {known.status}")
    decided = msgspec.structs.replace(
        known,
        status=after,
        reason=reason,
        decided_height=context.height,
        decided_by=context.actor,
    )
    put_grant(context, decided)
    return None
