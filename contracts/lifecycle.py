"""The records that move a grant through its life; the states are in `contracts.grants`.

Each function judges one kind. A decision on what waits names its version, so nobody approves what
they have not read; what stops or ends a whole grant names the grant alone.
"""

import msgspec

from contracts.catalog import Dataset, dataset
from contracts.consortium import out_of_force
from contracts.context import Context
from contracts.grants import (
    Act,
    Emergency,
    Grant,
    GrantAmend,
    GrantApprove,
    GrantDecision,
    GrantReply,
    GrantRequest,
    Pending,
    Stage,
    Status,
    grant,
    put_grant,
)
from contracts.refusals import Refusal
from contracts.state import acts_list, grants_list, held_list
from contracts.vocabularies import unknown_terms


def act_of(context: Context) -> Act:
    """Who acts here and now."""
    return Act(context.height, context.time_ms, context.department, context.actor)


def move(context: Context, value: Grant) -> None:
    """Writes a grant that this record has moved, and notes the record among its acts."""
    put_grant(context, value)
    context.state.append(acts_list(value.grant_id), [context.record_id])


def request(context: Context, body: GrantRequest) -> Refusal | None:
    """A consumer asks for a grant."""
    asked = new_grant(context, body, emergency=None)
    if isinstance(asked, Refusal):
        return asked
    enter(context, asked)
    return None


def new_grant(
    context: Context, body: GrantRequest, *, emergency: Emergency | None
) -> Grant | Refusal:
    """A grant as it is first asked for; an emergency waits for no ordinary decision."""
    offered = _requestable(context, body)
    if isinstance(offered, Refusal):
        return offered
    if offered.offer.sharing == "closed":
        return Refusal("not-shared", f"{body.provider}/{body.dataset}")
    act = act_of(context)
    pending = _pending(context, body, offered, version=1)
    return Grant(
        grant_id=context.record_id,
        consumer=context.department,
        request=body,
        version=1,
        versions=1,
        co_approvers=offered.offer.co_approvers,
        status="requested",
        reason="",
        requested=act,
        decided=act,
        pending=pending if emergency is None else None,
        emergency=emergency,
    )


def enter(context: Context, value: Grant) -> None:
    """Writes a new grant and puts it on its dataset's and its consumer's lists."""
    move(context, value)
    asked = value.request
    context.state.append(grants_list(asked.provider, asked.dataset), [value.grant_id])
    held = held_list(value.consumer, asked.provider, asked.dataset)
    context.state.append(held, [value.grant_id])


def amend(context: Context, body: GrantAmend) -> Refusal | None:
    """The consumer asks for another version of a grant that it has."""
    known = _held(context, body.grant_id)
    if isinstance(known, Refusal):
        return known
    asked = body.request
    if (asked.provider, asked.dataset) != (known.request.provider, known.request.dataset):
        return Refusal("other-dataset", f"{asked.provider}/{asked.dataset}")
    if known.status not in ("approved", "suspended") or known.emergency is not None:
        what = "an emergency" if known.emergency is not None else known.status
        return Refusal("already-decided", f"the grant is {what}")
    if known.pending is not None:
        return Refusal("already-pending", f"version {known.pending.version} waits for a decision")
    offered = _requestable(context, asked)
    if isinstance(offered, Refusal):
        return offered
    version = known.versions + 1
    pending = _pending(context, asked, offered, version=version)
    move(context, msgspec.structs.replace(known, versions=version, pending=pending))
    return None


def accept(context: Context, body: GrantApprove) -> Refusal | None:
    """The provider takes what waits into review."""
    found = _waiting(context, body.grant_id, body.version, ("received",))
    if isinstance(found, Refusal):
        return found
    known, pending = found
    if known.request.provider != context.department:
        return Refusal("not-the-provider", f"{known.request.provider} provides this grant's data")
    _stage(context, known, pending, "in-review")
    return None


def ask(context: Context, body: GrantReply) -> Refusal | None:
    """The provider or a co-approver needs to know more; the deciders' clock stands still."""
    found = _decidable(context, body.grant_id, body.version, ("received", "in-review"))
    if isinstance(found, Refusal):
        return found
    known, pending = found
    _stage(context, known, pending, "information-asked")
    return None


def answer(context: Context, body: GrantReply) -> Refusal | None:
    """The consumer says more; the deciders' clock starts anew."""
    found = _own_waiting(context, body, ("information-asked",))
    if isinstance(found, Refusal):
        return found
    known, pending = found
    restarted = msgspec.structs.replace(pending, clock_from_ms=context.time_ms)
    _stage(context, known, restarted, "in-review")
    return None


def approve(context: Context, body: GrantApprove) -> Refusal | None:
    """The provider or a co-approver says yes; with the last yes the version is in force."""
    found = _decidable(context, body.grant_id, body.version, ("received", "in-review"))
    if isinstance(found, Refusal):
        return found
    known, pending = found
    if context.department in pending.approved_by:
        return Refusal("already-decided", f"{context.department} has approved")
    if known.status == "suspended":
        return Refusal("grant-suspended", "resume it before another version comes into force")
    if pending.request.valid_until_ms <= context.time_ms:
        return Refusal("invalid-validity", "the validity asked for is over")
    approved_by = tuple(sorted((*pending.approved_by, context.department)))
    if approved_by != pending.deciders(known.request.provider):
        waiting = msgspec.structs.replace(pending, approved_by=approved_by)
        _stage(context, known, waiting, "in-review")
        return None
    in_force = msgspec.structs.replace(
        known,
        request=pending.request,
        version=pending.version,
        co_approvers=pending.co_approvers,
        status="approved",
        reason="",
        decided=act_of(context),
        pending=None,
        before=known.total,
    )
    move(context, in_force)
    return None


def refuse(context: Context, body: GrantReply) -> Refusal | None:
    """The provider or a co-approver says no, and why; a version in force stays in force."""
    anywhere: tuple[Stage, ...] = ("received", "in-review", "information-asked")
    found = _decidable(context, body.grant_id, body.version, anywhere)
    if isinstance(found, Refusal):
        return found
    _drop(context, found[0], "refused", body.reason)
    return None


def retract(context: Context, body: GrantReply) -> Refusal | None:
    """The consumer takes back what waits; a version in force stays in force."""
    anywhere: tuple[Stage, ...] = ("received", "in-review", "information-asked")
    found = _own_waiting(context, body, anywhere)
    if isinstance(found, Refusal):
        return found
    _drop(context, found[0], "withdrawn", body.reason)
    return None


def suspend(context: Context, body: GrantDecision) -> Refusal | None:
    """The provider or a co-approver stops a grant for the time being."""
    return _end(context, body, ("approved",), "suspended")


def resume(context: Context, body: GrantDecision) -> Refusal | None:
    """Whoever suspended a grant lets it go on."""
    known = grant(context.state, body.grant_id)
    if known is not None and known.status == "suspended":
        by = known.decided.department
        if by != context.department:
            return Refusal("not-the-suspender", f"{by} suspended the grant")
    return _end(context, body, ("suspended",), "approved")


def revoke(context: Context, body: GrantDecision) -> Refusal | None:
    """The provider or a co-approver ends a grant: no receipt after this record is accepted."""
    return _end(context, body, ("approved", "suspended"), "revoked")


def withdraw(context: Context, body: GrantDecision) -> Refusal | None:
    """The consumer needs the grant no more."""
    known = _held(context, body.grant_id)
    if isinstance(known, Refusal):
        return known
    if known.status not in ("requested", "approved", "suspended"):
        return Refusal("already-decided", f"the grant is {known.status}")
    _settle(context, known, "withdrawn", body.reason)
    return None


def may_stop(known: Grant, department: str) -> Refusal | None:
    """Why a department may not suspend, revoke or review; None for provider and co-approvers."""
    provider = known.request.provider
    if department != provider and department not in known.co_approvers:
        return Refusal("not-the-provider", f"{provider} provides this grant's data")
    return None


def _end(
    context: Context, body: GrantDecision, before: tuple[Status, ...], after: Status
) -> Refusal | None:
    known = grant(context.state, body.grant_id)
    if known is None:
        return Refusal("unknown-grant", body.grant_id.hex())
    refusal = may_stop(known, context.department)
    if refusal is not None:
        return refusal
    if known.status not in before:
        return Refusal("already-decided", f"the grant is {known.status}")
    _settle(context, known, after, body.reason)
    return None


def _settle(context: Context, known: Grant, after: Status, reason: str) -> None:
    """The grant has another status; with its end, nothing waits any more."""
    pending = known.pending if after in ("approved", "suspended") else None
    moved = msgspec.structs.replace(
        known, status=after, reason=reason, decided=act_of(context), pending=pending
    )
    move(context, moved)


def _drop(context: Context, known: Grant, after: Status, reason: str) -> None:
    """What waits is over; a grant of which nothing was ever approved is over with it."""
    if known.status == "requested":
        _settle(context, known, after, reason)
    else:
        move(context, msgspec.structs.replace(known, pending=None))


def _stage(context: Context, known: Grant, pending: Pending, stage: Stage) -> None:
    moved = msgspec.structs.replace(pending, stage=stage)
    move(context, msgspec.structs.replace(known, pending=moved))


def _held(context: Context, grant_id: bytes) -> Grant | Refusal:
    """The author's own grant."""
    known = grant(context.state, grant_id)
    if known is None:
        return Refusal("unknown-grant", grant_id.hex())
    if known.consumer != context.department:
        return Refusal("not-the-consumer", f"{known.consumer} asked for this grant")
    return known


def _waiting(
    context: Context, grant_id: bytes, version: int, stages: tuple[Stage, ...]
) -> tuple[Grant, Pending] | Refusal:
    """A grant and the version of it that waits, if it is this one and has come so far."""
    known = grant(context.state, grant_id)
    if known is None:
        return Refusal("unknown-grant", grant_id.hex())
    pending = known.pending
    if pending is None:
        return Refusal("already-decided", f"the grant is {known.status}, and no version waits")
    if pending.version != version:
        return Refusal("other-version", f"version {pending.version} waits, not {version}")
    if pending.stage not in stages:
        return Refusal("already-decided", f"version {version} is {pending.stage}")
    return known, pending


def _decidable(
    context: Context, grant_id: bytes, version: int, stages: tuple[Stage, ...]
) -> tuple[Grant, Pending] | Refusal:
    """What waits, if the author is one of its deciders."""
    known = grant(context.state, grant_id)
    if known is not None:
        deciders = (known.request.provider, *known.co_approvers)
        if known.pending is not None:
            deciders = known.pending.deciders(known.request.provider)
        if context.department not in deciders:
            provider = known.request.provider
            return Refusal("not-the-provider", f"{provider} provides this grant's data")
    return _waiting(context, grant_id, version, stages)


def _own_waiting(
    context: Context, body: GrantReply, stages: tuple[Stage, ...]
) -> tuple[Grant, Pending] | Refusal:
    """What waits, if the author asked for it."""
    known = _held(context, body.grant_id)
    if isinstance(known, Refusal):
        return known
    return _waiting(context, body.grant_id, body.version, stages)


def _pending(context: Context, body: GrantRequest, offered: Dataset, *, version: int) -> Pending:
    return Pending(
        version=version,
        request=body,
        sharing=offered.offer.sharing,
        co_approvers=offered.offer.co_approvers,
        stage="received",
        approved_by=(),
        asked=act_of(context),
        clock_from_ms=context.time_ms,
    )


def _requestable(context: Context, body: GrantRequest) -> Dataset | Refusal:
    """The dataset, if what is asked for could be granted as it is."""
    where = f"{body.provider}/{body.dataset}"
    offered = dataset(context.state, body.provider, body.dataset)
    if offered is None:
        return Refusal("unknown-dataset", where)
    if offered.status == "withdrawn":
        return Refusal("dataset-withdrawn", where)
    if body.provider == context.department:
        return Refusal("own-dataset", where)
    absent = out_of_force(context.state, body.provider)
    if absent is not None:
        return absent
    if context.department in offered.offer.co_approvers:
        return Refusal("own-approval", f"{context.department} approves grants on {where}")
    if list(body.fields) != sorted(set(body.fields)):
        return Refusal("unknown-field", "the fields are not sorted and unique")
    unknown = sorted(set(body.fields) - {name for name, _ in offered.fields})
    if unknown:
        return Refusal("unknown-field", f"{where} has no {', '.join(unknown)}")
    refusal = unknown_terms(context.state, purpose=body.purpose, legal_basis=body.legal_basis)
    if refusal is not None:
        return refusal
    fault = body.limits.fault()
    by_subject = body.limits.subjects_max or body.limits.subjects_named
    if fault is None and by_subject and offered.subject_field is None:
        fault = f"{where} names no subjects"
    if fault is not None:
        return Refusal("invalid-limits", fault)
    span_ms = body.valid_until_ms - body.valid_from_ms
    longest_ms = context.setting("grant-validity-max-ms")
    if not 0 < span_ms <= longest_ms or body.valid_until_ms <= context.time_ms:
        return Refusal("invalid-validity", f"{span_ms} ms of at most {longest_ms}, or over already")
    return offered
