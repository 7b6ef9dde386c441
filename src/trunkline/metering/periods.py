"""When a budget begins anew: the days, weeks, months and quarters of a time zone, or dates of its own."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

import msgspec

from trunkline.clock import NANOS_PER_SECOND, as_nanos

MONTHS_OF_QUARTER = 3
MONTHS_OF_YEAR = 12
FOREVER = (1 << 63) - 1
"""The end of what never ends, in nanoseconds since 1970."""


class Period(msgspec.Struct, frozen=True):
    """From `starts` until before `ends`, in nanoseconds since 1970."""

    starts: int
    ends: int

    def holds(self, moment: int) -> bool:
        """Whether a moment lies in it."""
        return self.starts <= moment < self.ends


def period_at(per: str, zone: tzinfo, moment: int) -> Period:
    """Return the day, week, month or quarter of a zone in which a moment lies, in nanoseconds since 1970.

    It begins with the first moment of its first day there, however long the clocks make its days. Weeks begin on Monday
    (ISO 8601).

    Raises:
        ValueError: there is no such kind of period.
    """
    # Whole seconds: a float of nanoseconds would round the last ones before midnight up to it.
    local = datetime.fromtimestamp(moment // NANOS_PER_SECOND, UTC).astimezone(zone)
    first = _first_day(per, local)
    period = Period(_midnight(first, zone), _midnight(_next(per, first), zone))
    # Where clocks go back over midnight, its hour comes twice: the day began with the first.
    if moment >= period.ends:
        first = _next(per, first)
        return Period(period.ends, _midnight(_next(per, first), zone))
    return period


def _first_day(per: str, local: datetime) -> datetime:
    day = datetime.combine(local.date(), time.min)
    match per:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(day=1, month=day.month - (day.month - 1) % MONTHS_OF_QUARTER)
    raise ValueError(f"there is no period {per!r}")


def _next(per: str, first: datetime) -> datetime:
    match per:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case "month":
            return _months_on(first, 1)
    return _months_on(first, MONTHS_OF_QUARTER)


def _months_on(first: datetime, months: int) -> datetime:
    whole = first.month - 1 + months
    return first.replace(year=first.year + whole // MONTHS_OF_YEAR, month=whole % MONTHS_OF_YEAR + 1)


def _midnight(day: datetime, zone: tzinfo) -> int:
    """Return the first moment of a day in a zone. Where clocks skip midnight, that is the moment of the skip.

    A local time that is skipped, taken with the offset from before (`fold=0`, PEP 495), names a later moment than the
    skip by as much as it lies behind it.
    """
    local = day.replace(tzinfo=zone)
    there = local.astimezone(UTC)
    if there.astimezone(zone).replace(tzinfo=None) == day:
        return as_nanos(there)
    skipped = there - timedelta(hours=2)
    later = there + timedelta(hours=2)
    while later - skipped > timedelta(microseconds=1):
        middle = skipped + (later - skipped) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < day:
            skipped = middle
        else:
            later = middle
    return as_nanos(later)
