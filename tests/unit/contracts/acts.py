"""What departments do in the cases: longer acts on a stage, made of its methods."""

from hashlib import sha256

from harness import (
    CONSUMER,
    DAY_MS,
    PEOPLE,
    PROVIDER,
    STRANGER,
    Stage,
    description,
    offer,
    wanted,
)
from refused_by_machine import withdrawal

from contracts.adoption import DocumentPublish
from contracts.calendars import Calendar
from contracts.emergencies import EmergencyConfirm, EmergencyReview, EmergencyStart
from contracts.grants import GrantAmend
from contracts.membership import AdoptDocument
from contracts.policies import (
    Citation,
    GrantForbid,
    GrantPermit,
    PolicyPublish,
)
from ledger.codec import encode
from ledger.records import Record


def with_dataset_withdrawn(stage: Stage) -> Stage:
    """The stage after PROVIDER has ended its dataset."""
    stage.accept(withdrawal(stage))
    return stage


def put_forward(
    stage: Stage, holidays: tuple[str, ...] = ("2026-10-01",)
) -> tuple[Record, AdoptDocument]:
    """PROVIDER's calendar for all, and what would put it in force."""
    document = encode(Calendar("2026", "+08:00", (6, 7), holidays, ()))
    body = DocumentPublish("calendar")
    record = stage.sign(PROVIDER, "document.publish", body, document=document)
    return record, AdoptDocument("calendar", PROVIDER, sha256(document).digest())


POLICY = b"permit(principal, action, resource) when { context.rows_max > 0 };"


def policy_of(
    stage: Stage, *, name: str = PEOPLE, department: str = PROVIDER, document: bytes = POLICY
) -> Record:
    """The department's policy for a dataset."""
    body = PolicyPublish(name)
    return stage.sign(department, "policy.publish", body, document=document)


def permitted(
    stage: Stage,
    grant_id: bytes,
    *,
    department: str = PROVIDER,
    policies: tuple[str, ...] = ("policy0",),
    kind: str = "grant.permit",
) -> Record:
    """What the department's node decides by POLICY."""
    citation = Citation(sha256(POLICY).digest(), "cedarpy/4.12", policies)
    body: GrantPermit | GrantForbid = GrantPermit(grant_id, 1, citation)
    if kind == "grant.forbid":
        body = GrantForbid(grant_id, 1, citation, "forbidden by policy")
    return stage.sign(department, kind, body)


def derived(stage: Stage, origins: tuple[bytes, ...], department: str = CONSUMER) -> Record:
    """What the department makes of data that it got, offered to others."""
    body = offer("derived", derived_from=origins)
    return stage.sign(department, "dataset.publish", body, document=description())


def shared_onward(stage: Stage) -> tuple[bytes, bytes]:
    """A grant that allows onward sharing, and one of STRANGER on what CONSUMER derived."""
    origin = stage.granted(onward=True)
    stage.accept(derived(stage, (origin,)))
    asked = stage.sign(STRANGER, "grant.request", wanted(provider=CONSUMER, dataset="derived"))
    stage.accept(asked, stage.reply(CONSUMER, "approve", asked.record_id))
    return origin, asked.record_id


def co_approved(stage: Stage) -> str:
    """PROVIDER publishes a dataset whose grants STRANGER has to approve too; its name."""
    stage.accept(stage.publish("births", co_approvers=(STRANGER,)))
    return "births"


def amendment(
    stage: Stage, *, grant_id: bytes | None = None, department: str = CONSUMER, **changes: object
) -> Record:
    """CONSUMER asks for another version of its grant."""
    body = GrantAmend(grant_id or stage.grant_id, wanted(**changes))
    return stage.sign(department, "grant.amend", body)


def emergency(stage: Stage, **changes: object) -> Record:
    """CONSUMER declares an emergency, as narrow as it has to be."""
    narrow = {"subjects_named": True, "valid_until_ms": stage.time_ms + 2 * DAY_MS} | changes
    body = EmergencyStart(wanted(**narrow), "a flood")
    return stage.sign(CONSUMER, "emergency.start", body)


def confirmed(stage: Stage) -> bytes:
    """Appends an emergency and PROVIDER's confirmation; the grant's id."""
    started = emergency(stage)
    confirmation = EmergencyConfirm(started.record_id)
    stage.accept(started, stage.sign(PROVIDER, "emergency.confirm", confirmation))
    return started.record_id


def review(
    stage: Stage, grant_id: bytes, department: str = PROVIDER, verdict: str = "justified"
) -> Record:
    """What the department finds about an emergency."""
    body = EmergencyReview(grant_id, verdict, "the flood was real")
    return stage.sign(department, "emergency.review", body)
