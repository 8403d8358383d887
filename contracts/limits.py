"""Limits of a grant that a header can decide, where its record stands in the ledger.

Exchanges, rows and bytes count from the moment on which the grant's version came into force; the
rate counts exchanges in windows that begin at multiples of their length since 1970; hours are a
part of the local day. Limits that need content, such as the number of distinct subjects, are the
provider's node's.
"""

from typing import Annotated

from msgspec import Meta

from contracts.calendars import DAY_MS, MINUTE_MS, Offset, offset_ms
from contracts.refusals import Refusal
from ledger.codec import Format
from ledger.types import Natural

RATE_WINDOW_MS_MAX = 31 * DAY_MS
MINUTES_OF_DAY = 1_440


class Rate(Format, frozen=True):
    """At most so many exchanges in each window of `window_ms`."""

    exchanges: Annotated[int, Meta(ge=1, le=10_000_000)]
    window_ms: Annotated[int, Meta(ge=1_000, le=RATE_WINDOW_MS_MAX)]


class Hours(Format, frozen=True):
    """The part of the day in which exchanges may take place: from_minute ≤ m < until_minute.

    Minutes of the local day; a part that passes midnight has from_minute > until_minute.
    """

    from_minute: Annotated[int, Meta(ge=0, lt=MINUTES_OF_DAY)]
    until_minute: Annotated[int, Meta(ge=1, le=MINUTES_OF_DAY)]
    utc_offset: Offset

    def contain(self, time_ms: int) -> bool:
        """Whether the moment lies within."""
        minute = (time_ms + offset_ms(self.utc_offset)) % DAY_MS // MINUTE_MS
        if self.from_minute < self.until_minute:
            return self.from_minute <= minute < self.until_minute
        return minute >= self.from_minute or minute < self.until_minute


class Counts(Format, frozen=True):
    """Exchanges, rows and bytes of content, by receipts."""

    exchanges: Natural = 0
    rows: Natural = 0
    size_bytes: Natural = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum."""
        return Counts(
            self.exchanges + other.exchanges,
            self.rows + other.rows,
            self.size_bytes + other.size_bytes,
        )


class Limits(Format, frozen=True):
    """What a grant allows while one version of it is in force; 0 or None for no limit.

    subjects_max: distinct data subjects; subjects_named: every query must name its subjects, and
    only those are answered. Both are kept by the provider's node, for a header names nobody.
    """

    exchanges_max: Natural = 0
    rows_max: Natural = 0
    size_bytes_max: Natural = 0
    rate: Rate | None = None
    hours: Hours | None = None
    subjects_max: Natural = 0
    subjects_named: bool = False

    def fault(self) -> str | None:
        """What contradicts itself; None if nothing does."""
        if self.hours is not None and self.hours.from_minute == self.hours.until_minute:
            return "the hours are empty"
        if self.hours is not None and self.hours.utc_offset == "-00:00":
            return "the offset zero is spelled +00:00"
        return None

    def beyond(self, used: Counts, more: Counts, *, name: str) -> Refusal | None:
        """Why `more` is too much after `used`; None if it is not. name: of the grant."""
        if self.exchanges_max and used.exchanges + more.exchanges > self.exchanges_max:
            return Refusal(
                "exchanges-exhausted",
                f"grant {name}… allows {self.exchanges_max}, {used.exchanges} took place",
            )
        if self.rows_max and used.rows + more.rows > self.rows_max:
            return Refusal(
                "rows-exhausted",
                f"grant {name}… allows {self.rows_max} rows, {used.rows} were read",
            )
        if self.size_bytes_max and used.size_bytes + more.size_bytes > self.size_bytes_max:
            return Refusal(
                "bytes-exhausted",
                f"grant {name}… allows {self.size_bytes_max} bytes, {used.size_bytes} went out",
            )
        return None
