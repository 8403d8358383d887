"""Emergencies: two people start one, it is narrow and short, and it is reviewed afterwards."""

from acts import amendment, co_approved, confirmed, emergency, review
from builders import START_MS
from harness import CONSUMER, DAY_MS, PROVIDER, STRANGER, Stage

from contracts.emergencies import EmergencyConfirm, unreviewed
from contracts.grants import overdue, standing


def test_an_emergency_lets_nothing_through_before_the_second_person(stage: Stage) -> None:
    started = emergency(stage)
    stage.accept(started)
    grant_id = started.record_id
    assert stage.codes(stage.receipts(grant_id=grant_id)) == ["grant-not-active"]
    stage.accept(stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(grant_id)))
    stage.accept(stage.receipts(grant_id=grant_id))
    known = stage.grant(grant_id)
    assert known.emergency is not None
    assert known.emergency.confirmed is not None
    people = {known.requested.department, known.emergency.confirmed.department}
    assert people == {CONSUMER, PROVIDER}
    assert stage.lists[b"list/emergencies"] == [grant_id]
    assert stage.lists[b"list/acts/" + grant_id][0] == grant_id


def test_a_co_approver_may_be_the_second_person_and_needs_no_third(stage: Stage) -> None:
    started = emergency(stage, dataset=co_approved(stage))
    confirmation = EmergencyConfirm(started.record_id)
    stage.accept(started, stage.sign(STRANGER, "emergency.confirm", confirmation))
    assert stage.grant(started.record_id).status == "approved"


def test_it_ends_hard_and_no_ordinary_clock_runs(stage: Stage) -> None:
    grant_id = confirmed(stage)
    known = stage.grant(grant_id)
    assert not overdue(stage.state, known, time_ms=stage.time_ms + 400 * DAY_MS)
    stage.accept(review(stage, grant_id))
    known = stage.grant(grant_id)
    ends = known.request.valid_until_ms
    assert standing(stage.state, known, time_ms=ends - 1) is None
    refusal = standing(stage.state, known, time_ms=ends)
    assert refusal is not None
    assert refusal.code == "grant-expired"
    assert stage.codes(amendment(stage, grant_id=grant_id)) == ["already-decided"]


def test_without_a_review_it_is_suspended_and_a_review_lets_it_go_on(stage: Stage) -> None:
    grant_id = confirmed(stage)
    stage.execute(time_ms=stage.time_ms + DAY_MS)
    assert stage.codes(stage.receipts(grant_id=grant_id)) == ["review-missing"]
    assert stage.grant(grant_id).status == "approved"
    stage.accept(review(stage, grant_id))
    stage.accept(stage.receipts(grant_id=grant_id))


def test_an_unjustified_emergency_is_revoked_and_both_verdicts_stay(stage: Stage) -> None:
    good, bad = confirmed(stage), confirmed(stage)
    assert len(unreviewed(stage.state, CONSUMER).grants) == 2
    stage.accept(review(stage, good), review(stage, bad, verdict="unjustified"))
    assert stage.grant(good).status == "approved"
    assert stage.codes(stage.receipts(grant_id=bad)) == ["grant-revoked"]
    for grant_id, verdict in ((good, "justified"), (bad, "unjustified")):
        found = stage.grant(grant_id).emergency
        assert found is not None
        assert found.review is not None
        assert (found.review.verdict, found.review.act.department) == (verdict, PROVIDER)
    assert unreviewed(stage.state, CONSUMER).grants == ()


def test_a_revoked_or_ended_emergency_is_reviewed_all_the_same(stage: Stage) -> None:
    grant_id = confirmed(stage)
    stage.accept(stage.decide(PROVIDER, "revoke", grant_id))
    stage.accept(review(stage, grant_id))
    assert stage.grant(grant_id).status == "revoked"
    other = confirmed(stage)
    stage.execute(time_ms=START_MS + 30 * DAY_MS)
    assert stage.codes(emergency(stage)) == ["review-missing"]
    stage.accept(review(stage, other, verdict="unjustified"))
    stage.accept(emergency(stage, valid_until_ms=stage.time_ms + DAY_MS))


def test_a_consumer_may_give_an_emergency_back_before_it_is_confirmed(stage: Stage) -> None:
    started = emergency(stage)
    stage.accept(started)
    stage.accept(stage.decide(CONSUMER, "withdraw", started.record_id))
    confirmation = stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(started.record_id))
    assert stage.codes(confirmation) == ["already-decided"]
