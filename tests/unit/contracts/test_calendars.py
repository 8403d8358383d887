"""Calendars: working days, holidays, make-up working days, and the deadlines they make."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendars import (
    DAY_MS,
    DEFAULT_CALENDAR,
    Calendar,
    WorkingDays,
    calendar_in_force,
    parse_calendar,
)
from contracts.state import in_force_key
from ledger.codec import encode
from ledger.errors import Malformed

AUTUMN = Calendar(
    title="A week off, two Saturdays worked for it",
    utc_offset="+08:00",
    weekend=(6, 7),
    holidays=("2026-10-01", "2026-10-02", "2026-10-05", "2026-10-06", "2026-10-07"),
    working_days=("2026-09-26", "2026-10-10"),
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


def due(calendar: Calendar, start: str, days: int) -> str:
    """The deadline in the calendar's local time."""
    counted = WorkingDays.of(calendar)
    end = counted.deadline_ms(from_ms=at(start), days=days)
    return datetime.fromtimestamp((end + counted.offset_ms) / 1_000, UTC).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-09-21T09:00+00:00", 0, "09-22 00:00"),
        ("2026-09-21T09:00+00:00", 1, "09-23 00:00"),
        ("2026-09-25T09:00+00:00", 1, "09-29 00:00"),
        ("2026-09-26T09:00+00:00", 1, "09-29 00:00"),
        ("2026-09-21T09:00+00:00", 10, "10-06 00:00"),
    ],
)
def test_by_default_monday_to_friday_count_and_the_first_day_does_not(
    start: str, days: int, end: str
) -> None:
    assert due(DEFAULT_CALENDAR, start, days) == end


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-09-25T09:00+08:00", 1, "09-27 00:00"),
        ("2026-09-30T09:00+08:00", 1, "10-09 00:00"),
        ("2026-09-30T09:00+08:00", 3, "10-11 00:00"),
        ("2026-10-03T09:00+08:00", 1, "10-09 00:00"),
    ],
)
def test_holidays_do_not_count_and_days_made_up_do(start: str, days: int, end: str) -> None:
    assert due(AUTUMN, start, days) == end


def test_a_day_begins_where_the_calendar_says() -> None:
    evening = "2026-09-21T23:00+00:00"
    assert due(DEFAULT_CALENDAR, evening, 1) == "09-23 00:00"
    assert due(AUTUMN, evening, 1) == "09-24 00:00"
    west = Calendar("West", "-05:30", (6, 7), (), ())
    assert due(west, "2026-09-22T05:00+00:00", 1) == "09-23 00:00"


@given(st.integers(0, 2**41), st.integers(0, 250))
def test_a_deadline_is_so_many_working_days_away(start_ms: int, days: int) -> None:
    counted = WorkingDays.of(AUTUMN)
    end = counted.deadline_ms(from_ms=start_ms, days=days)
    first, last = counted.day_of(start_ms), counted.day_of(end - 1)
    assert (end + counted.offset_ms) % DAY_MS == 0
    assert sum(counted.is_working(day) for day in range(first + 1, last + 1)) == days
    assert days == 0 or counted.is_working(last)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"weekend": (7, 6)}, "weekend"),
        ({"weekend": (6, 6)}, "weekend"),
        ({"weekend": (1, 2, 3, 4, 5, 6, 7)}, "length"),
        ({"weekend": (0,)}, "0"),
        ({"holidays": ("2026-10-02", "2026-10-01")}, "sorted"),
        ({"holidays": ("2026-02-29",)}, "no day"),
        ({"working_days": ("2026-13-01",)}, "no day"),
        ({"holidays": ("2026-1-1",)}, "match"),
        ({"holidays": ("2026-10-10",)}, "both"),
        ({"utc_offset": "-00:00"}, "spelled"),
        ({"utc_offset": "+15:00"}, "match"),
    ],
)
def test_a_calendar_that_contradicts_itself_is_malformed(changes: dict, fault: str) -> None:
    import msgspec

    assert parse_calendar(encode(AUTUMN)) == AUTUMN
    with pytest.raises(Malformed) as caught:
        parse_calendar(encode(msgspec.structs.replace(AUTUMN, **changes)))
    assert fault in str(caught.value)


@given(st.binary(max_size=100))
def test_foreign_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_calendar(data)


def test_the_adopted_calendar_is_in_force() -> None:
    assert calendar_in_force({}) == DEFAULT_CALENDAR
    assert calendar_in_force({in_force_key("calendar"): encode(AUTUMN)}) == AUTUMN
