"""Grants: who may read which fields of a dataset, for which purpose, on which legal basis.

    requested ── approve ──> approved ── suspend ──> suspended ── revoke ──> revoked
        │ └───── refuse ───> refused │ <── resume ──────┘  └─ withdraw ─> withdrawn
        └─────── withdraw ─> withdrawn└─ revoke ─> revoked, withdraw ─> withdrawn

    what waits for a decision:  received ── accept ──> in-review
                                    └── ask ──> information-asked ── answer ──> in-review

A grant's id is the record id of its request. What its consumer asks for later (an amendment, a
renewal) is a new version of the same grant: it waits beside the version in force and replaces it
when it is approved. Who decides: the provider, and each department that the dataset names as
co-approver; the last approval counts, the first refusal too.

The state holds what was decided. Whether a grant lets an exchange through *now* (`standing`), and
whether a decision is overdue (`overdue`), is computed from it and from a time, so nothing has to
happen for a grant to expire. The records that move a grant are judged in `contracts.lifecycle`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.calendars import working_days
from contracts.catalog import (
    CO_APPROVERS_MAX,
    DERIVATIONS_MAX,
    FIELDS_MAX,
    Dataset,
    FieldName,
    Sharing,
    dataset,
)
from contracts.consortium import out_of_force
from contracts.context import Context
from contracts.limits import Counts, Limits
from contracts.refusals import Refusal
from contracts.state import View, grant_key, read, setting_key
from contracts.vocabularies import TermName
from ledger.codec import Decoder, Format
from ledger.types import Hash, Identifier, Natural

Explanation = Annotated[str, Meta(max_length=300)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
FieldNames = Annotated[tuple[FieldName, ...], Meta(min_length=1, max_length=FIELDS_MAX)]
Departments = Annotated[tuple[Identifier, ...], Meta(max_length=CO_APPROVERS_MAX + 1)]


class GrantRequest(Format, frozen=True):
    """Body of `grant.request`; the author is the consumer.

    fields: sorted, no repeats. purpose, legal_basis: terms of the vocabulary; description: the
    purpose in words; legal_reference: the law and its section. valid_from_ms ≤ t < valid_until_ms,
    Unix time in milliseconds. onward: whether the consumer may share further what it receives.
    """

    provider: Identifier
    dataset: Identifier
    fields: FieldNames
    purpose: TermName
    description: Explanation
    legal_basis: TermName
    legal_reference: Explanation
    valid_from_ms: Natural
    valid_until_ms: Natural
    limits: Limits
    onward: bool


class GrantAmend(Format, frozen=True):
    """Body of `grant.amend`; the author is the consumer. request: what is to replace the version in
    force, of the same dataset; a renewal changes validity and limits alone."""

    grant_id: Hash
    request: GrantRequest


class GrantApprove(Format, frozen=True):
    """Body of `grant.accept` (the provider's) and `grant.approve` (also a co-approver's).

    version: which version is meant; another one may wait by the time the record is executed.
    """

    grant_id: Hash
    version: Natural = 1


class GrantReply(Format, frozen=True):
    """Body of what is said about a waiting version: `grant.refuse` (the provider, a co-approver),
    `grant.ask` (the same), `grant.answer` and `grant.retract` (the consumer).

    reason: why, the question, or the answer; every member reads it.
    """

    grant_id: Hash
    reason: Reason
    version: Natural = 1


class GrantDecision(Format, frozen=True):
    """Body of what ends or stops a whole grant: `grant.suspend`, `grant.resume`, `grant.revoke`
    (the provider, a co-approver) and `grant.withdraw` (the consumer)."""

    grant_id: Hash
    reason: Reason


Status = Literal["requested", "approved", "suspended", "refused", "revoked", "withdrawn"]
Stage = Literal["received", "in-review", "information-asked"]


class Act(Format, frozen=True):
    """Who did something, and where. actor: pseudonymous, as the record says."""

    height: Natural
    time_ms: Natural
    department: Identifier
    actor: str


class Pending(Format, frozen=True):
    """A version that waits for its decision.

    sharing: the dataset's class when it was asked for, which sets the time limits. approved_by:
    sorted. clock_from_ms: since when the deciders' clock runs; an answer starts it anew, and while
    the consumer is asked for information it stands still.
    """

    version: Natural
    request: GrantRequest
    sharing: Sharing
    co_approvers: Departments
    stage: Stage
    approved_by: Departments
    asked: Act
    clock_from_ms: Natural

    def deciders(self, provider: str) -> tuple[str, ...]:
        """Every department that has to approve, sorted."""
        return tuple(sorted((provider, *self.co_approvers)))


class Review(Format, frozen=True):
    """What became of an emergency when it was looked at afterwards."""

    verdict: Literal["justified", "unjustified"]
    findings: Reason
    act: Act


class Emergency(Format, frozen=True):
    """What makes a grant an emergency's. confirmed: the second person. review_due_ms: from then on
    it lets nothing through without a review; 0 before it is confirmed."""

    situation: Reason
    confirmed: Act | None
    review_due_ms: Natural
    review: Review | None


class Grant(Format, frozen=True):
    """A grant in the state.

    request: the version in force, `version`; as first asked for if none was ever approved.
    versions: how many were asked for. co_approvers: those of the version in force. reason,
    decided: of the status. total: by all receipts; before: the part of it that earlier versions
    used. window, in_window: the newest window of the rate, and the exchanges in it. voided,
    acknowledged: exchanges of those; denied: exchanges refused under it. sealed: exchanges whose
    content was sealed; opened: how many of their keys were handed over.
    """

    grant_id: Hash
    consumer: Identifier
    request: GrantRequest
    version: Natural
    versions: Natural
    co_approvers: Departments
    status: Status
    reason: str
    requested: Act
    decided: Act
    pending: Pending | None
    emergency: Emergency | None
    total: Counts = Counts()
    before: Counts = Counts()
    window: Natural = 0
    in_window: Natural = 0
    acknowledged: Natural = 0
    voided: Natural = 0
    denied: Natural = 0
    sealed: Natural = 0
    opened: Natural = 0

    @property
    def exchanges(self) -> int:
        """Exchanges so far, over all versions."""
        return self.total.exchanges

    @property
    def rows(self) -> int:
        """Rows so far, over all versions."""
        return self.total.rows

    @property
    def size_bytes(self) -> int:
        """Bytes of content so far, over all versions."""
        return self.total.size_bytes

    def used(self) -> Counts:
        """What the version in force has used of its limits."""
        return Counts(
            self.total.exchanges - self.before.exchanges,
            self.total.rows - self.before.rows,
            self.total.size_bytes - self.before.size_bytes,
        )

    def counting(self, more: Counts, *, time_ms: int, sealed: int = 0) -> "Grant":
        """The grant after receipts for `more`, of which so many exchanges were sealed."""
        rate = self.request.limits.rate
        window = 0 if rate is None else time_ms // rate.window_ms
        in_window = self.in_window if window == self.window else 0
        return msgspec.structs.replace(
            self,
            total=self.total.plus(more),
            window=window,
            in_window=0 if rate is None else in_window + more.exchanges,
            sealed=self.sealed + sealed,
        )


_GRANT: Decoder[Grant] = Decoder(Grant, what="grant", bytes_max=64 * 1024, remembered=64)


def parse_grant(value: bytes) -> Grant:
    """A grant from its state value. Raises Malformed."""
    return _GRANT.decode(value)


def grant(view: View, grant_id: bytes) -> Grant | None:
    """A grant, whatever became of it; None if there is none."""
    return read(view, grant_key(grant_id), _GRANT)


def put_grant(context: Context, value: Grant) -> None:
    """Writes a grant's state."""
    context.state.put_value(grant_key(value.grant_id), value)


def standing(view: View, value: Grant, *, time_ms: int) -> Refusal | None:
    """Why the grant lets no exchange through at `time_ms`; None if it does, within its limits."""
    hours = value.request.limits.hours
    refusal = own_standing(value, time_ms=time_ms)
    if refusal is not None:
        return refusal
    if hours is not None and not hours.contain(time_ms):
        return Refusal(
            "outside-hours",
            f"grant {value.grant_id.hex()[:16]}… from minute {hours.from_minute} "
            f"until {hours.until_minute} of the day",
        )
    return _offered(view, value, time_ms=time_ms, derivations=DERIVATIONS_MAX)


def own_standing(value: Grant, *, time_ms: int) -> Refusal | None:
    """Why the grant lets nothing through by what it says of itself alone, but for its hours and
    limits; None if it may."""
    name = value.grant_id.hex()[:16]
    match value.status:
        case "requested" | "refused":
            return Refusal("grant-not-active", f"grant {name}… is {value.status}")
        case "suspended":
            return Refusal("grant-suspended", f"grant {name}… by {value.decided.department}")
        case "revoked":
            return Refusal("grant-revoked", f"grant {name}… at height {value.decided.height}")
        case "withdrawn":
            return Refusal("grant-withdrawn", f"grant {name}… at height {value.decided.height}")
    request = value.request
    if time_ms < request.valid_from_ms:
        return Refusal("grant-not-started", f"grant {name}… starts at {request.valid_from_ms}")
    if time_ms >= request.valid_until_ms:
        return Refusal("grant-expired", f"grant {name}… ended at {request.valid_until_ms}")
    emergency = value.emergency
    if emergency is not None and emergency.review is None and time_ms >= emergency.review_due_ms:
        return Refusal("review-missing", f"emergency {name}… since {emergency.review_due_ms}")
    return None


def ended(view: View, value: Grant, *, time_ms: int) -> Refusal | None:
    """Why nothing can go through under the grant, whoever waits for another hour; None if it may.

    Looks at the dataset and both departments and at nothing else, so that a proof needs no more.
    """
    name = value.grant_id.hex()[:16]
    return (
        own_standing(value, time_ms=time_ms)
        or value.request.limits.beyond(value.used(), Counts(1), name=name)
        or _parties(view, value, dataset(view, value.request.provider, value.request.dataset))
    )


def _parties(view: View, value: Grant, offered: Dataset | None) -> Refusal | None:
    """Why the dataset or a department lets nothing through."""
    request = value.request
    if offered is None or offered.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{request.provider}/{request.dataset}")
    return out_of_force(view, request.provider) or out_of_force(view, value.consumer)


def _offered(view: View, value: Grant, *, time_ms: int, derivations: int) -> Refusal | None:
    """Why the data may not be read now: the dataset is withdrawn, a party is out of force, or it
    was derived under a grant of which the same is to be said."""
    request = value.request
    offered = dataset(view, request.provider, request.dataset)
    refusal = _parties(view, value, offered)
    if refusal is not None:
        return refusal
    assert offered is not None, "its parties were found in order"
    for grant_id in offered.offer.derived_from:
        where = f"{request.provider}/{request.dataset}"
        origin = grant(view, grant_id)
        if origin is None or derivations == 0:
            return Refusal("origin-ended", f"{where} under grant {grant_id.hex()[:16]}…")
        refusal = own_standing(origin, time_ms=time_ms) or _offered(
            view, origin, time_ms=time_ms, derivations=derivations - 1
        )
        if refusal is not None:
            return Refusal("origin-ended", f"{where} under {refusal.detail}")
        if not origin.request.onward:
            return Refusal("origin-ended", f"{where}: an amendment ended onward sharing")
    return None


def exhausted(value: Grant, more: Counts, *, time_ms: int) -> Refusal | None:
    """Why so much more is beyond the grant's limits at `time_ms`; None if it is not."""
    limits = value.request.limits
    name = value.grant_id.hex()[:16]
    refusal = limits.beyond(value.used(), more, name=name)
    if refusal is not None or limits.rate is None:
        return refusal
    in_window = value.in_window if time_ms // limits.rate.window_ms == value.window else 0
    if in_window + more.exchanges > limits.rate.exchanges:
        return Refusal(
            "rate-exceeded",
            f"grant {name}… allows {limits.rate.exchanges} in {limits.rate.window_ms} ms",
        )
    return None


def due_ms(view: View, pending: Pending) -> int | None:
    """Until when the deciders have to act; None while they wait for the consumer.

    A request that nobody has accepted for review has the shorter of two limits.
    """
    if pending.stage == "information-asked":
        return None
    step = "accept" if pending.stage == "received" else "decide"
    value = view.get(setting_key(f"{step}-days-{pending.sharing}"))
    assert value is not None, "genesis sets each time limit"
    days = int.from_bytes(value, "big")
    return working_days(view).deadline_ms(from_ms=pending.clock_from_ms, days=days)


def overdue(view: View, value: Grant, *, time_ms: int) -> bool:
    """Whether the deciders are late with what waits; computed, never stored."""
    if value.pending is None or value.status not in ("requested", "approved", "suspended"):
        return False
    due = due_ms(view, value.pending)
    return due is not None and time_ms >= due
