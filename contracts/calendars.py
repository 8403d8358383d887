"""Calendars: which days are working days, so that the clocks that laws set can be counted.

A calendar is a document on the ledger; until the consortium adopts one, Monday to Friday in UTC are
working days. Days are counted in one fixed offset from UTC all year. A deadline is computed from
the calendar in force when somebody asks and is never stored, so a holiday that is announced late
moves every deadline that it touches.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from msgspec import Meta

from contracts.state import View, in_force_key
from ledger.codec import Decoder, Format
from ledger.errors import Malformed
from ledger.records import DOCUMENT_BYTES_MAX

DAY_MS = 86_400_000
MINUTE_MS = 60_000

EXCEPTIONS_MAX = 2_000
"""Limit of a calendar's holidays, and of its make-up working days."""

Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Offset = Annotated[str, Meta(pattern=r"\A[+-](?:0[0-9]|1[0-4]):[0-5][0-9]\Z")]
Weekday = Annotated[int, Meta(ge=1, le=7)]
Days = Annotated[tuple[Day, ...], Meta(max_length=EXCEPTIONS_MAX)]


class Calendar(Format, frozen=True):
    """A calendar; the document that the consortium adopts.

    utc_offset: where a day begins, "+08:00" say; the same all year. weekend: ISO weekdays, Monday
    is 1; at most six. holidays: days off that are no weekend; working_days: weekend days or
    holidays on which work is made up. All sorted, none twice.
    """

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    utc_offset: Offset
    weekend: Annotated[tuple[Weekday, ...], Meta(max_length=6)]
    holidays: Days
    working_days: Days


DEFAULT_CALENDAR = Calendar("Monday to Friday, UTC", "+00:00", (6, 7), (), ())
"""In force until the consortium adopts another."""

_CALENDAR: Decoder[Calendar] = Decoder(Calendar, what="calendar", bytes_max=DOCUMENT_BYTES_MAX)


def parse_calendar(document: bytes) -> Calendar:
    """A calendar from its document. Raises Malformed, also for a day that no month has."""
    value = _CALENDAR.decode(document)
    if list(value.weekend) != sorted(set(value.weekend)):
        raise Malformed("calendar", "the weekend is not sorted, each day once")
    for days in (value.holidays, value.working_days):
        if list(days) != sorted(set(days)):
            raise Malformed("calendar", "the days are not sorted, each once")
    for day in (*value.holidays, *value.working_days):
        try:
            date.fromisoformat(day)
        except ValueError:
            raise Malformed("calendar", f"there is no day {day}") from None
    both = sorted(set(value.holidays) & set(value.working_days))
    if both:
        raise Malformed("calendar", f"{both[0]} is both a holiday and a working day")
    if value.utc_offset == "-00:00":
        raise Malformed("calendar", "the offset zero is spelled +00:00")
    return value


def offset_ms(utc_offset: Offset) -> int:
    """How far local time is ahead of UTC, in milliseconds; negative in the west."""
    hours, minutes = int(utc_offset[1:3]), int(utc_offset[4:6])
    total = (60 * hours + minutes) * MINUTE_MS
    return total if utc_offset[0] == "+" else -total


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """A calendar made ready for counting. Days are numbered from 1970-01-01, which is 0."""

    offset_ms: int
    weekend: frozenset[int]
    holidays: frozenset[int]
    made_up: frozenset[int]

    @classmethod
    def of(cls, calendar: Calendar) -> "WorkingDays":
        """The days of a calendar that `parse_calendar` accepted."""
        return cls(
            offset_ms(calendar.utc_offset),
            frozenset(calendar.weekend),
            frozenset(_number(day) for day in calendar.holidays),
            frozenset(_number(day) for day in calendar.working_days),
        )

    def day_of(self, time_ms: int) -> int:
        """The local day of a moment."""
        return (time_ms + self.offset_ms) // DAY_MS

    def is_working(self, day: int) -> bool:
        """Whether people work on that day. 1970-01-01 was a Thursday, ISO weekday 4."""
        if day in self.made_up:
            return True
        return day not in self.holidays and (day + 3) % 7 + 1 not in self.weekend

    def deadline_ms(self, *, from_ms: int, days: int) -> int:
        """The end of the last of `days` working days after the day of `from_ms`: the first
        moment that is too late. The day on which a clock starts is not counted.

        A week has a working day and holidays are bounded, so this takes at most
        7 · (days + EXCEPTIONS_MAX) steps.
        """
        day = self.day_of(from_ms)
        left = days
        while left > 0:
            day += 1
            left -= self.is_working(day)
        return (day + 1) * DAY_MS - self.offset_ms


def calendar_in_force(view: View) -> Calendar:
    """The calendar that the consortium adopted last, or the default."""
    value = view.get(in_force_key("calendar"))
    return DEFAULT_CALENDAR if value is None else _CALENDAR.decode(value)


def working_days(view: View) -> WorkingDays:
    """The calendar in force, made ready for counting."""
    return WorkingDays.of(calendar_in_force(view))


def _number(day: Day) -> int:
    return date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()
