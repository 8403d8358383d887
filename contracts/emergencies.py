"""Emergency grants: fast, and therefore narrow, short, and looked at afterwards.

    emergency.start ── emergency.confirm ──> approved ── emergency.review ──> justified
     (consumer)         (another department's            │                └─> unjustified: revoked
                         official: provider or           └─ no review in time: nothing goes
                         co-approver)                       through, until it is reviewed

Two people of two departments start one; co-approvals and time limits of ordinary requests do not
apply. What may be asked for is bounded by consortium settings, and queries must name their
subjects. A department with an unreviewed emergency whose time is over cannot start another.
Emergencies are on a list of their own, so nobody can overlook one.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.context import Context
from contracts.grants import Emergency, GrantRequest, Reason, Review, grant
from contracts.lifecycle import act_of, enter, may_stop, move, new_grant
from contracts.refusals import Refusal
from contracts.state import View, emergencies_key, emergencies_list
from ledger.codec import Decoder, Format, encode
from ledger.types import Hash, Natural

UNREVIEWED_MAX = 16
"""Limit of a department's emergencies that wait for their confirmation or review."""


class EmergencyStart(Format, frozen=True):
    """Body of `emergency.start`; the author is the consumer. situation: what has happened."""

    request: GrantRequest
    situation: Reason


class EmergencyConfirm(Format, frozen=True):
    """Body of `emergency.confirm`; the author is the provider or a co-approver of the dataset."""

    grant_id: Hash


class EmergencyReview(Format, frozen=True):
    """Body of `emergency.review`; the author is the provider or a co-approver of the dataset."""

    grant_id: Hash
    verdict: Literal["justified", "unjustified"]
    findings: Reason


class Unreviewed(Format, frozen=True):
    """A department's confirmed emergencies without a review: grant id and when each is due."""

    grants: Annotated[tuple[tuple[Hash, Natural], ...], Meta(max_length=UNREVIEWED_MAX)]


_UNREVIEWED: Decoder[Unreviewed] = Decoder(Unreviewed, what="unreviewed", bytes_max=4096)


def unreviewed(view: View, consumer: str) -> Unreviewed:
    """The department's emergencies that wait for their review."""
    value = view.get(emergencies_key(consumer))
    return Unreviewed(()) if value is None else _UNREVIEWED.decode(value)


def start(context: Context, body: EmergencyStart) -> Refusal | None:
    """A consumer declares an emergency; nothing goes through before somebody else confirms it."""
    waiting = unreviewed(context.state, context.department).grants
    late = [grant_id for grant_id, due_ms in waiting if context.time_ms >= due_ms]
    if late:
        return Refusal("review-missing", f"emergency {late[0].hex()[:16]}…")
    fault = _too_wide(context, body.request)
    if fault is not None:
        return Refusal("emergency-too-wide", fault)
    emergency = Emergency(body.situation, None, 0, None)
    asked = new_grant(context, body.request, emergency=emergency)
    if isinstance(asked, Refusal):
        return asked
    enter(context, asked)
    context.state.append(emergencies_list(), [asked.grant_id])
    return None


def confirm(context: Context, body: EmergencyConfirm) -> Refusal | None:
    """A second official, of another department, sees the emergency too: the grant is active."""
    known = grant(context.state, body.grant_id)
    if known is None:
        return Refusal("unknown-grant", body.grant_id.hex())
    if known.emergency is None:
        return Refusal("no-emergency", "the grant is an ordinary one")
    refusal = may_stop(known, context.department)
    if refusal is not None:
        return refusal
    if known.status != "requested":
        return Refusal("already-decided", f"the grant is {known.status}")
    if context.time_ms >= known.requested.time_ms + context.setting("emergency-confirm-ms"):
        return Refusal("emergency-lapsed", f"it was declared at {known.requested.time_ms}")
    waiting = unreviewed(context.state, known.consumer).grants
    if len(waiting) >= UNREVIEWED_MAX:
        return Refusal("review-missing", f"{known.consumer} has {len(waiting)} without a review")
    act = act_of(context)
    due_ms = context.time_ms + context.setting("emergency-review-ms")
    emergency = msgspec.structs.replace(known.emergency, confirmed=act, review_due_ms=due_ms)
    confirmed = msgspec.structs.replace(known, status="approved", decided=act, emergency=emergency)
    move(context, confirmed)
    waits = Unreviewed(tuple(sorted((*waiting, (known.grant_id, due_ms)))))
    context.state.put(emergencies_key(known.consumer), encode(waits))
    return None


def review(context: Context, body: EmergencyReview) -> Refusal | None:
    """Somebody other than the consumer looks at what was done; an unjustified grant ends."""
    known = grant(context.state, body.grant_id)
    if known is None:
        return Refusal("unknown-grant", body.grant_id.hex())
    emergency = known.emergency
    if emergency is None:
        return Refusal("no-emergency", "the grant is an ordinary one")
    refusal = may_stop(known, context.department)
    if refusal is not None:
        return refusal
    if emergency.confirmed is None or emergency.review is not None:
        what = "not confirmed" if emergency.confirmed is None else "reviewed"
        return Refusal("already-decided", f"the emergency is {what}")
    act = act_of(context)
    reviewed = msgspec.structs.replace(emergency, review=Review(body.verdict, body.findings, act))
    moved = msgspec.structs.replace(known, emergency=reviewed)
    if body.verdict == "unjustified" and known.status in ("approved", "suspended"):
        moved = msgspec.structs.replace(moved, status="revoked", reason=body.findings, decided=act)
    move(context, moved)
    waiting = unreviewed(context.state, known.consumer).grants
    left = Unreviewed(tuple(each for each in waiting if each[0] != known.grant_id))
    context.state.put(emergencies_key(known.consumer), encode(left))
    return None


def _too_wide(context: Context, body: GrantRequest) -> str | None:
    """Which bound of an emergency the request passes; None if it is narrow enough."""
    fields_max = context.setting("emergency-fields-max")
    exchanges_max = context.setting("emergency-exchanges-max")
    longest_ms = context.setting("emergency-validity-max-ms")
    limits = body.limits
    if len(body.fields) > fields_max:
        return f"{len(body.fields)} fields of at most {fields_max}"
    if not 0 < limits.exchanges_max <= exchanges_max:
        return f"it has to allow 1 to {exchanges_max} exchanges"
    if body.valid_until_ms > context.time_ms + longest_ms:
        return f"it has to end within {longest_ms} ms"
    if not limits.subjects_named:
        return "its queries have to name their subjects"
    if body.onward:
        return "it cannot be shared onward"
    return None
