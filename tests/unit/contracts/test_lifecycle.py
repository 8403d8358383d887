"""The life of a grant: which record moves it from where, who may send it, and what stays of it."""

import itertools

import pytest
from acts import amendment, co_approved
from harness import CONSUMER, DAY_MS, PROVIDER, STRANGER, Ledger, Stage, wanted

from contracts.grants import overdue
from contracts.limits import Counts
from ledger.records import Record

DECISIONS = ("suspend", "resume", "revoke", "withdraw")
REPLIES = ("accept", "ask", "answer", "approve", "refuse", "retract")
CONSUMERS = ("answer", "retract", "withdraw")

ARROWS = {
    ("received", "accept"): "in-review",
    ("received", "ask"): "information-asked",
    ("received", "approve"): "approved",
    ("received", "refuse"): "refused",
    ("received", "retract"): "withdrawn",
    ("received", "withdraw"): "withdrawn",
    ("in-review", "ask"): "information-asked",
    ("in-review", "approve"): "approved",
    ("in-review", "refuse"): "refused",
    ("in-review", "retract"): "withdrawn",
    ("in-review", "withdraw"): "withdrawn",
    ("information-asked", "answer"): "in-review",
    ("information-asked", "refuse"): "refused",
    ("information-asked", "retract"): "withdrawn",
    ("information-asked", "withdraw"): "withdrawn",
    ("approved", "suspend"): "suspended",
    ("approved", "revoke"): "revoked",
    ("approved", "withdraw"): "withdrawn",
    ("suspended", "resume"): "approved",
    ("suspended", "revoke"): "revoked",
    ("suspended", "withdraw"): "withdrawn",
}
"""Every arrow of the drawing in `contracts.grants`; what is not here is refused."""

WAYS = {
    "received": (),
    "in-review": ("accept",),
    "information-asked": ("ask",),
    "approved": ("approve",),
    "suspended": ("approve", "suspend"),
    "refused": ("refuse",),
    "revoked": ("approve", "revoke"),
    "withdrawn": ("withdraw",),
}
"""How a grant gets into each state."""


def sent(stage: Stage, word: str, grant_id: bytes, department: str | None = None) -> Record:
    author = department or (CONSUMER if word in CONSUMERS else PROVIDER)
    if word in DECISIONS:
        return stage.decide(author, word, grant_id)
    return stage.reply(author, word, grant_id)


def where(stage: Stage, grant_id: bytes) -> str:
    """The stage of what waits, else the status."""
    known = stage.grant(grant_id)
    return known.pending.stage if known.pending is not None else known.status


@pytest.mark.parametrize(("before", "word"), list(itertools.product(WAYS, (*REPLIES, *DECISIONS))))
def test_a_record_follows_an_arrow_or_is_refused(stage: Stage, before: str, word: str) -> None:
    grant_id = stage.requested()
    for step in WAYS[before]:
        stage.accept(sent(stage, step, grant_id))
    assert where(stage, grant_id) == before
    after = ARROWS.get((before, word))
    codes = stage.codes(sent(stage, word, grant_id))
    assert codes == ([] if after else ["already-decided"])
    assert where(stage, grant_id) == (after or before)


@pytest.mark.parametrize(
    ("word", "department"),
    list(itertools.product((*REPLIES, *DECISIONS), (PROVIDER, CONSUMER, STRANGER))),
)
def test_each_record_is_one_partys(stage: Stage, word: str, department: str) -> None:
    grant_id = stage.requested()
    before = next(state for state, known in ARROWS if known == word)
    for step in WAYS[before]:
        stage.accept(sent(stage, step, grant_id))
    rightful = CONSUMER if word in CONSUMERS else PROVIDER
    code = "not-the-consumer" if rightful == CONSUMER else "not-the-provider"
    if word == "resume" and department != PROVIDER:
        code = "not-the-suspender"
    codes = stage.codes(sent(stage, word, grant_id, department))
    assert codes == ([] if department == rightful else [code])


def test_everything_that_was_done_about_a_grant_is_on_a_list_of_its_own(stage: Stage) -> None:
    asked = stage.sign(CONSUMER, "grant.request", wanted())
    grant_id = asked.record_id
    done = [asked]
    stage.accept(asked)
    for word in ("accept", "ask", "answer", "approve", "suspend", "resume", "revoke"):
        done.append(sent(stage, word, grant_id))
        stage.accept(done[-1])
    stage.accept(stage.denials(grant_id=grant_id))
    assert stage.lists[b"list/acts/" + grant_id] == [record.record_id for record in done]


def test_a_grant_is_approved_when_the_last_of_its_deciders_has(stage: Stage) -> None:
    grant_id = stage.requested(dataset=co_approved(stage))
    stage.accept(stage.reply(STRANGER, "approve", grant_id))
    known = stage.grant(grant_id)
    assert known.status == "requested"
    assert known.pending is not None
    assert (known.pending.stage, known.pending.approved_by) == ("in-review", (STRANGER,))
    assert stage.codes(stage.receipts(grant_id=grant_id)) == ["grant-not-active"]
    stage.accept(stage.reply(PROVIDER, "approve", grant_id))
    known = stage.grant(grant_id)
    assert (known.status, known.co_approvers, known.pending) == ("approved", (STRANGER,), None)
    stage.accept(stage.receipts(grant_id=grant_id))


@pytest.mark.parametrize("word", ["suspend", "revoke"])
def test_a_co_approver_may_refuse_and_may_stop(stage: Stage, word: str) -> None:
    name = co_approved(stage)
    refused, granted = stage.requested(dataset=name), stage.requested(dataset=name)
    stage.accept(stage.reply(PROVIDER, "approve", refused))
    stage.accept(stage.reply(STRANGER, "refuse", refused))
    assert stage.grant(refused).status == "refused"
    for department in (PROVIDER, STRANGER):
        stage.accept(stage.reply(department, "approve", granted))
    stage.accept(stage.decide(STRANGER, word, granted))
    assert stage.grant(granted).decided.department == STRANGER


def test_later_co_approvers_change_nothing_about_what_waits(stage: Stage) -> None:
    from harness import description, offer

    grant_id = stage.requested()
    body = offer(co_approvers=(STRANGER,))
    stage.accept(stage.sign(PROVIDER, "dataset.change", body, document=description()))
    stage.accept(stage.reply(PROVIDER, "approve", grant_id))
    assert stage.grant(grant_id).status == "approved"


def test_an_amendment_waits_beside_the_version_in_force(stage: Stage) -> None:
    stage.accept(amendment(stage, fields=("insured",), exchanges_max=9))
    stage.accept(stage.receipts())
    known = stage.grant()
    assert known.request.fields == ("district", "person")
    assert (known.version, known.versions) == (1, 2)
    stage.accept(stage.reply(PROVIDER, "approve", stage.grant_id, version=2))
    known = stage.grant()
    assert known.request.fields == ("insured",)
    assert (known.version, known.pending, known.status) == (2, None, "approved")
    stage.accept(stage.receipts(version=2))


def test_a_refused_amendment_leaves_the_version_in_force_and_the_next_has_a_new_number(
    stage: Stage,
) -> None:
    in_force = stage.grant()
    stage.accept(amendment(stage))
    stage.accept(stage.reply(PROVIDER, "refuse", stage.grant_id, version=2))
    known = stage.grant()
    assert (known.request, known.status, known.decided) == (
        in_force.request,
        "approved",
        in_force.decided,
    )
    stage.accept(amendment(stage))
    assert stage.codes(stage.reply(PROVIDER, "approve", stage.grant_id, version=2)) == [
        "other-version"
    ]
    stage.accept(stage.reply(PROVIDER, "approve", stage.grant_id, version=3))
    assert (stage.grant().version, stage.grant().versions) == (3, 3)


def test_a_retracted_amendment_leaves_the_version_in_force(stage: Stage) -> None:
    stage.accept(amendment(stage))
    stage.accept(stage.reply(CONSUMER, "retract", stage.grant_id, version=2))
    assert (stage.grant().pending, stage.grant().status) == (None, "approved")


def test_a_renewal_lets_an_exhausted_and_expired_grant_go_on(stage: Stage) -> None:
    grant_id = stage.granted(valid_until_ms=stage.time_ms + 10_000)
    stage.accept(stage.receipts(5, rows=2, grant_id=grant_id))
    assert stage.codes(stage.receipts(grant_id=grant_id)) == ["exchanges-exhausted"]
    stage.execute(time_ms=stage.time_ms + 60_000)
    assert stage.codes(stage.receipts(grant_id=grant_id)) == ["grant-expired"]
    stage.accept(amendment(stage, grant_id=grant_id))
    stage.accept(stage.reply(PROVIDER, "approve", grant_id, version=2))
    stage.accept(stage.receipts(5, rows=2, grant_id=grant_id, version=2))
    known = stage.grant(grant_id)
    assert known.total == Counts(10, 20, 2_000)
    assert known.used() == Counts(5, 10, 1_000)
    assert stage.codes(stage.receipts(grant_id=grant_id, version=2)) == ["exchanges-exhausted"]


def test_a_closed_dataset_renews_the_grants_it_has_and_takes_no_others(stage: Stage) -> None:
    from harness import description, offer

    body = offer(sharing="closed")
    stage.accept(stage.sign(PROVIDER, "dataset.change", body, document=description()))
    stage.accept(amendment(stage))
    pending = stage.grant().pending
    assert pending is not None
    assert pending.sharing == "closed"


def test_what_ends_a_grant_ends_what_waits_too(stage: Stage) -> None:
    stage.accept(amendment(stage))
    stage.accept(stage.decide(PROVIDER, "revoke"))
    assert stage.grant().pending is None


def test_no_receipt_gets_past_a_suspension_and_every_one_gets_past_the_resumption(
    stage: Stage,
) -> None:
    block = stage.execute(
        stage.receipts(),
        stage.decide(PROVIDER, "suspend"),
        stage.receipts(),
        stage.decide(PROVIDER, "resume"),
        stage.receipts(),
    )
    assert [each.refusal.code for each in block.refused] == ["grant-suspended"]
    assert stage.grant().exchanges == 2


# Clocks. START_MS is a Monday morning: 2026-09-21, 14:13 UTC.


def late(ledger: Ledger, grant_id: bytes, days: float) -> bool:
    """Whether the deciders are late so many days after the ledger's newest block."""
    known = next(each for each in ledger.grants() if each.grant_id == grant_id)
    return overdue(ledger.state, known, time_ms=ledger.tip.time_ms + int(days * DAY_MS))


def test_a_request_is_overdue_after_the_working_days_of_its_class(stage: Stage) -> None:
    grant_id = stage.requested()
    assert not late(stage, grant_id, 3)
    assert late(stage, grant_id, 4)
    stage.accept(stage.reply(PROVIDER, "accept", grant_id))
    assert not late(stage, grant_id, 14)
    assert late(stage, grant_id, 15)


def test_an_open_datasets_request_has_a_day(stage: Stage) -> None:
    stage.accept(stage.publish("streets", sharing="open"))
    grant_id = stage.requested(dataset="streets")
    assert not late(stage, grant_id, 1)
    assert late(stage, grant_id, 2)


def test_the_clock_stands_still_while_the_consumer_is_asked_and_starts_anew(stage: Stage) -> None:
    grant_id = stage.requested()
    stage.accept(stage.reply(PROVIDER, "ask", grant_id))
    assert not late(stage, grant_id, 1_000)
    stage.execute(time_ms=stage.time_ms + 3 * DAY_MS)
    stage.accept(stage.reply(CONSUMER, "answer", grant_id))
    assert not late(stage, grant_id, 14)
    assert late(stage, grant_id, 19)


def test_an_amendment_has_a_clock_and_what_is_decided_has_none(stage: Stage) -> None:
    assert not late(stage, stage.grant_id, 1_000)
    stage.accept(amendment(stage))
    assert late(stage, stage.grant_id, 4)
    stage.accept(stage.reply(PROVIDER, "refuse", stage.grant_id, version=2))
    assert not late(stage, stage.grant_id, 1_000)


def test_a_late_approval_counts_all_the_same(stage: Stage) -> None:
    grant_id = stage.requested(valid_until_ms=stage.time_ms + 90 * DAY_MS)
    stage.execute(time_ms=stage.time_ms + 30 * DAY_MS)
    assert late(stage, grant_id, 0)
    stage.accept(stage.reply(PROVIDER, "approve", grant_id))
    assert not late(stage, grant_id, 0)
