"""Grants: who may take them from one state to the next, and when they let an exchange through."""

import pytest
from builders import START_MS
from harness import (
    CONSUMER,
    DAY_MS,
    PEOPLE,
    PROVIDER,
    Stage,
    description,
    offer,
    token,
    wanted,
)

from contracts.grants import Act, Grant, Pending, exhausted, grant, parse_grant, standing
from contracts.limits import Counts
from ledger.errors import Malformed


def test_a_request_leaves_a_grant_with_the_records_id_on_both_lists(stage: Stage) -> None:
    record = stage.sign(CONSUMER, "grant.request", wanted(), actor="clerk-7")
    stage.accept(record)
    known = stage.grant(record.record_id)
    asked = Act(stage.tip.height, stage.tip.time_ms, CONSUMER, "clerk-7")
    waits = Pending(1, wanted(), "conditional", (), "received", (), asked, stage.tip.time_ms)
    assert known == Grant(
        grant_id=record.record_id,
        consumer=CONSUMER,
        request=wanted(),
        version=1,
        versions=1,
        co_approvers=(),
        status="requested",
        reason="",
        requested=asked,
        decided=asked,
        pending=waits,
        emergency=None,
    )
    where = f"{PROVIDER}/{PEOPLE}".encode()
    both = [stage.grant_id, record.record_id]
    assert stage.lists[b"list/grants/" + where] == both
    assert stage.lists[b"list/held/" + CONSUMER.encode() + b"/" + where] == both


def test_a_decision_leaves_who_where_and_why(stage: Stage) -> None:
    approved = stage.grant()
    stage.accept(stage.decide(PROVIDER, "revoke"))
    revoked = stage.grant()
    assert (approved.reason, revoked.reason) == ("", "as agreed")
    assert revoked.decided == Act(stage.tip.height, stage.tip.time_ms, PROVIDER, "tester")
    assert approved.decided.height < revoked.decided.height
    assert revoked.requested == approved.requested
    assert revoked.requested.department == CONSUMER


def test_an_unknown_grant_is_none_and_a_damaged_one_is_malformed(stage: Stage) -> None:
    assert grant(stage.state, token("none")) is None
    with pytest.raises(Malformed, match="grant"):
        parse_grant(b"\xc1")


@pytest.mark.parametrize(
    ("time_ms", "code"),
    [
        (START_MS - 1, "grant-not-started"),
        (START_MS, None),
        (START_MS + DAY_MS - 1, None),
        (START_MS + DAY_MS, "grant-expired"),
    ],
)
def test_a_grant_holds_from_its_start_until_just_before_its_end(
    stage: Stage, time_ms: int, code: str | None
) -> None:
    refusal = standing(stage.state, stage.grant(), time_ms=time_ms)
    assert (None if refusal is None else refusal.code) == code


def test_a_receipt_in_a_block_at_the_very_end_of_the_validity_is_refused(stage: Stage) -> None:
    ends = START_MS + 60_000
    first = stage.granted(valid_until_ms=ends)
    before, after = stage.receipts(grant_id=first), stage.receipts(grant_id=first)
    assert stage.codes(before, time_ms=ends - 1) == []
    assert stage.codes(after, time_ms=ends) == ["grant-expired"]


def test_a_grant_on_a_dataset_that_the_state_lacks_lets_nothing_through(stage: Stage) -> None:
    refusal = standing({}, stage.grant(), time_ms=START_MS)
    assert refusal is not None
    assert refusal.code == "dataset-withdrawn"


def test_no_limit_means_no_limit(stage: Stage) -> None:
    known = stage.grant(stage.granted(exchanges_max=0, rows_max=0))
    assert exhausted(known, Counts(10**9, 10**9, 10**9), time_ms=START_MS) is None


def test_limits_are_inclusive(stage: Stage) -> None:
    known = stage.grant()
    assert exhausted(known, Counts(5, 50), time_ms=START_MS) is None
    for exchanges, rows, code in ((6, 50, "exchanges-exhausted"), (5, 51, "rows-exhausted")):
        refusal = exhausted(known, Counts(exchanges, rows), time_ms=START_MS)
        assert refusal is not None
        assert refusal.code == code


@pytest.mark.parametrize("sharing", ["open", "conditional"])
def test_a_grant_may_be_requested_of_what_is_shared(stage: Stage, sharing: str) -> None:
    stage.accept(stage.publish("pupils", sharing=sharing))
    assert stage.grant(stage.requested(dataset="pupils")).status == "requested"


def test_a_validity_may_be_as_long_as_the_setting_and_lie_in_the_future(stage: Stage) -> None:
    longest_ms = 5 * 366 * DAY_MS
    starts = START_MS + DAY_MS
    stage.requested(valid_from_ms=starts, valid_until_ms=starts + longest_ms)
    beyond = wanted(valid_from_ms=starts, valid_until_ms=starts + longest_ms + 1)
    assert stage.codes(stage.sign(CONSUMER, "grant.request", beyond)) == ["invalid-validity"]


def test_a_validity_that_has_a_millisecond_left_is_accepted(stage: Stage) -> None:
    ends = stage.time_ms + 1_001
    assert stage.codes(stage.sign(CONSUMER, "grant.request", wanted(valid_until_ms=ends))) == []


def test_the_detail_of_a_wrong_field_names_where_and_which(stage: Stage) -> None:
    record = stage.sign(CONSUMER, "grant.request", wanted(fields=("age", "income", "person")))
    [refused] = stage.execute(record).refused
    assert refused.refusal.detail == "health/residents has no age, income"


def test_a_closed_dataset_keeps_the_grants_it_has(stage: Stage) -> None:
    body = offer(sharing="closed")
    stage.accept(stage.sign(PROVIDER, "dataset.change", body, document=description()))
    assert stage.codes(stage.sign(CONSUMER, "grant.request", wanted())) == ["not-shared"]
    stage.accept(stage.receipts(sealed=True))
