"""Limits that a header decides: hours of the day, rate, and what a version has used."""

import pytest
from builders import START_MS
from harness import PROVIDER, Stage
from hypothesis import given
from hypothesis import strategies as st

from contracts.limits import Counts, Hours, Limits, Rate

MINUTE_MS = 60_000
MONDAY_MS = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000
"""Midnight before START_MS, in UTC."""


@pytest.mark.parametrize(
    ("hours", "minute", "inside"),
    [
        (Hours(480, 1_020, "+00:00"), 479, False),
        (Hours(480, 1_020, "+00:00"), 480, True),
        (Hours(480, 1_020, "+00:00"), 1_019, True),
        (Hours(480, 1_020, "+00:00"), 1_020, False),
        (Hours(1_320, 360, "+00:00"), 1_319, False),
        (Hours(1_320, 360, "+00:00"), 1_320, True),
        (Hours(1_320, 360, "+00:00"), 0, True),
        (Hours(1_320, 360, "+00:00"), 360, False),
        (Hours(480, 1_020, "+08:00"), 0, True),
        (Hours(480, 1_020, "+08:00"), 540, False),
        (Hours(480, 1_020, "-03:30"), 690, True),
        (Hours(480, 1_020, "-03:30"), 689, False),
        (Hours(0, 1_440, "+00:00"), 1_439, True),
    ],
)
def test_hours_are_local_and_may_pass_midnight(hours: Hours, minute: int, inside: bool) -> None:
    assert hours.contain(MONDAY_MS + minute * MINUTE_MS) is inside
    assert hours.contain(MONDAY_MS + minute * MINUTE_MS + MINUTE_MS - 1) is inside


def test_a_rate_counts_in_windows_that_begin_at_multiples_of_their_length(stage: Stage) -> None:
    grant_id = stage.granted(rate=Rate(2, 60_000), exchanges_max=0)
    start = START_MS - START_MS % 60_000 + 600_000
    assert stage.codes(stage.receipts(2, grant_id=grant_id), time_ms=start + 59_999) == []
    assert stage.codes(stage.receipts(grant_id=grant_id), time_ms=start + 59_999) == [
        "rate-exceeded"
    ]
    assert stage.codes(stage.receipts(grant_id=grant_id), time_ms=start + 60_000) == []
    known = stage.grant(grant_id)
    assert (known.window, known.in_window) == ((start + 60_000) // 60_000, 1)
    assert stage.codes(stage.receipts(2, grant_id=grant_id), time_ms=start + 60_001) == [
        "rate-exceeded"
    ]


def test_a_receipt_counts_within_the_hours_of_its_block(stage: Stage) -> None:
    minute = START_MS % 86_400_000 // MINUTE_MS
    until = minute + 30
    grant_id = stage.granted(hours=Hours(minute, until, "+00:00"))
    end = START_MS - START_MS % 86_400_000 + until * MINUTE_MS
    before, after = stage.receipts(grant_id=grant_id), stage.receipts(grant_id=grant_id)
    assert stage.codes(before, time_ms=end - 1) == []
    assert stage.codes(after, time_ms=end) == ["outside-hours"]


COUNTS = st.builds(Counts, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))


@given(COUNTS, COUNTS, st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)))
def test_a_limit_is_passed_exactly_when_the_sum_is_beyond_it(
    used: Counts, more: Counts, most: tuple[int, int, int]
) -> None:
    limits = Limits(*most)
    total = used.plus(more)
    sums = (total.exchanges, total.rows, total.size_bytes)
    passed = any(limit and value > limit for limit, value in zip(most, sums, strict=True))
    assert (limits.beyond(used, more, name="x") is not None) is passed


def test_what_is_derived_is_let_through_while_its_origins_stand(stage: Stage) -> None:
    from acts import shared_onward

    origin, grant_id = shared_onward(stage)
    stage.accept(stage.receipts(grant_id=grant_id, department="housing"))
    stage.accept(stage.decide(PROVIDER, "suspend", origin))
    late = stage.receipts(grant_id=grant_id, department="housing")
    assert stage.codes(late) == ["origin-ended"]
    stage.accept(stage.decide(PROVIDER, "resume", origin))
    stage.accept(stage.receipts(grant_id=grant_id, department="housing"))
