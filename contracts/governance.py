"""Proposals and ballots: how departments together change who takes part, and on which numbers.

    open ── ballots reach the threshold ──> decided
      │ ├── they no longer can ───────────> rejected
      │ └── its proposer takes it back ───> withdrawn
      └──── its time is over (computed from the block's time, never written)

A proposal's id is the record id of `consortium.propose`, which is also its author's ballot for it.
One department has one ballot; a later one replaces it. What counts, each time a ballot is cast, are
the ballots of departments in force at that moment: decided if approvals × 100 > threshold × their
number. It is decided with exactly that record and executed in its place, before the next record.
If what was proposed cannot be done just then, the ballot is refused and may be cast again later.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.consortium import DEPARTMENTS_MAX, departments_in_force, setting
from contracts.context import Context
from contracts.membership import ACTIONS, Action, perform
from contracts.refusals import Refusal
from contracts.state import (
    PROPOSALS_LIST,
    Overlay,
    View,
    open_proposals_key,
    proposal_key,
)
from ledger.codec import Decoder, Format, encode
from ledger.types import Hash, Identifier, Natural

OPEN_PROPOSALS_MAX = 16
"""Limit of the proposals that one department has open at a time."""

Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Status = Literal["open", "decided", "rejected", "withdrawn"]


class Propose(Format, frozen=True):
    """Body of `consortium.propose`; the author is any department in force."""

    action: Action
    reason: Reason


class Ballot(Format, frozen=True):
    """Body of `consortium.ballot`: for the proposal, or against it."""

    proposal_id: Hash
    approves: bool


class Withdraw(Format, frozen=True):
    """Body of `consortium.withdraw`; the author is the proposer."""

    proposal_id: Hash


class Cast(Format, frozen=True):
    """A department's newest ballot on a proposal."""

    department: Identifier
    approves: bool


class Proposal(Format, frozen=True):
    """A proposal in the state.

    ballots: sorted by department. expires_ms: the first moment at which it takes none any more.
    decided_height: where it got its status.
    """

    proposal_id: Hash
    proposer: Identifier
    action: Action
    reason: str
    status: Status
    opened_height: Natural
    decided_height: Natural
    expires_ms: Natural
    ballots: Annotated[tuple[Cast, ...], Meta(max_length=DEPARTMENTS_MAX)]


_PROPOSAL: Decoder[Proposal] = Decoder(Proposal, what="proposal", bytes_max=256 * 1024)
_IDS: Decoder[tuple[Hash, ...]] = Decoder(
    tuple[Hash, ...], what="open proposals", bytes_max=64 * OPEN_PROPOSALS_MAX
)


def parse_proposal(value: bytes) -> Proposal:
    """A proposal from its state value. Raises Malformed."""
    return _PROPOSAL.decode(value)


def proposal(view: View, proposal_id: bytes) -> Proposal | None:
    """A proposal, whatever became of it; None if there is none."""
    value = view.get(proposal_key(proposal_id))
    return None if value is None else _PROPOSAL.decode(value)


def is_open(value: Proposal, *, time_ms: int) -> bool:
    """Whether the proposal takes ballots at `time_ms`."""
    return value.status == "open" and time_ms < value.expires_ms


class Tally(Format, frozen=True):
    """Ballots that count: of `departments` in force, and how many approvals decide."""

    approvals: Natural
    rejections: Natural
    departments: Natural
    needed: Natural

    @property
    def decided(self) -> bool:
        """Whether the approvals reach the threshold."""
        return self.approvals >= self.needed

    @property
    def hopeless(self) -> bool:
        """Whether they cannot reach it any more, as things stand."""
        return self.departments - self.rejections < self.needed


def tally(view: View, value: Proposal) -> Tally:
    """The ballots on a proposal that count in this state."""
    in_force = departments_in_force(view)
    counted = [cast.approves for cast in value.ballots if cast.department in in_force]
    percent = threshold_percent(view, value.action)
    return Tally(
        approvals=counted.count(True),
        rejections=counted.count(False),
        departments=len(in_force),
        needed=len(in_force) * percent // 100 + 1,
    )


def threshold_percent(view: View, action: Action) -> int:
    """More than so many percent of the departments in force have to approve this action."""
    return setting(view, ACTIONS[type(action)].threshold)


def propose(context: Context, body: Propose) -> Refusal | None:
    """A department proposes something, and approves it with the same record."""
    refusal = _attempt(context, body.action)
    if refusal is not None:
        return refusal
    still_open = _open_proposals(context)
    if len(still_open) >= OPEN_PROPOSALS_MAX:
        return Refusal("too-many-proposals", f"{context.department} has {len(still_open)} open")
    made = Proposal(
        proposal_id=context.record_id,
        proposer=context.department,
        action=body.action,
        reason=body.reason,
        status="open",
        opened_height=context.height,
        decided_height=context.height,
        expires_ms=context.time_ms + context.setting("proposal-validity-ms"),
        ballots=(Cast(context.department, True),),
    )
    ids = encode((*still_open, context.record_id))
    context.state.put(open_proposals_key(context.department), ids)
    context.state.append(PROPOSALS_LIST, [context.record_id])
    return _settle(context, made)


def ballot(context: Context, body: Ballot) -> Refusal | None:
    """A department says yes or no, for the first time or anew."""
    known = _open(context, body.proposal_id)
    if isinstance(known, Refusal):
        return known
    cast = Cast(context.department, body.approves)
    others = tuple(each for each in known.ballots if each.department != context.department)
    ballots = tuple(sorted((*others, cast), key=lambda each: each.department))
    changed = msgspec.structs.replace(known, ballots=ballots)
    if ballots == known.ballots:
        counted = tally(context.state, changed)
        if not counted.decided and not counted.hopeless:
            return Refusal("already-voted", f"{context.department}, and nothing has changed since")
    return _settle(context, changed)


def withdraw(context: Context, body: Withdraw) -> Refusal | None:
    """The proposer takes a proposal back."""
    known = _open(context, body.proposal_id)
    if isinstance(known, Refusal):
        return known
    if known.proposer != context.department:
        return Refusal("not-the-proposer", f"{known.proposer} proposed it")
    _put(context, known, "withdrawn")
    return None


def _open(context: Context, proposal_id: bytes) -> Proposal | Refusal:
    known = proposal(context.state, proposal_id)
    if known is None:
        return Refusal("unknown-proposal", proposal_id.hex())
    if known.status != "open":
        return Refusal("proposal-closed", f"{known.status} at height {known.decided_height}")
    if context.time_ms >= known.expires_ms:
        return Refusal("proposal-closed", f"its time was over at {known.expires_ms}")
    return known


def _settle(context: Context, value: Proposal) -> Refusal | None:
    """Executes what the ballots now decide, and writes where the proposal stands."""
    counted = tally(context.state, value)
    if counted.decided:
        _put(context, value, "decided")
        return perform(context, value.action)
    _put(context, value, "rejected" if counted.hopeless else "open")
    return None


def _put(context: Context, value: Proposal, status: Status) -> None:
    height = value.decided_height if status == "open" else context.height
    changed = msgspec.structs.replace(value, status=status, decided_height=height)
    context.state.put(proposal_key(value.proposal_id), encode(changed))


def _attempt(context: Context, action: Action) -> Refusal | None:
    """Why the action could not be done in this state; nothing is written."""
    return perform(msgspec.structs.replace(context, state=Overlay(context.state)), action)


def _open_proposals(context: Context) -> tuple[bytes, ...]:
    """The author's proposals that still take ballots."""
    value = context.state.get(open_proposals_key(context.department))
    known = () if value is None else _IDS.decode(value)
    found = []
    for proposal_id in known:
        each = proposal(context.state, proposal_id)
        assert each is not None, "a proposal is never removed"
        if is_open(each, time_ms=context.time_ms):
            found.append(proposal_id)
    return tuple(found)
