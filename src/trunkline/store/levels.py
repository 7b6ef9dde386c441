"""The levels of roll-ups, and how a span of time is made up of what they have ready."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Table

from trunkline.metering.ports import Span
from trunkline.store.schema import cells, days, hours, key_cells, key_days, key_months, months

HOUR = 3_600_000_000_000
DAY = 24 * HOUR

# The Gregorian calendar repeats itself every 400 years; years such as 2000 begin one.
_CYCLE_YEARS, _CYCLE_DAYS, _CYCLE_MONTHS = 400, 146_097, 4_800
_FIRST_YEAR = 2000
_FIRST_DAY = date(_FIRST_YEAR, 1, 1).toordinal()
_DAYS_BEFORE, _MONTHS_BEFORE = 10_957, 360
"""Days and months from 1970 to 2000."""


class Level(NamedTuple):
    """A table of roll-ups and of the names of its cells. Its rows are numbered by what lasts `lasts` nanoseconds.

    Months last what they last: of them it is 0.
    """

    table: Table
    cells: Table
    lasts: int

    def number(self, at: int) -> int:
        """Return the hour, day or month since 1970 (UTC) within which a time lies."""
        if self.lasts:
            return at // self.lasts
        cycle, day = divmod(at // DAY - _DAYS_BEFORE, _CYCLE_DAYS)
        then = date.fromordinal(_FIRST_DAY + day)
        return _MONTHS_BEFORE + cycle * _CYCLE_MONTHS + (then.year - _FIRST_YEAR) * 12 + then.month - 1

    def begins(self, number: int) -> int:
        """Return when an hour, day or month begins."""
        if self.lasts:
            return number * self.lasts
        cycle, month = divmod(number - _MONTHS_BEFORE, _CYCLE_MONTHS)
        first = date(_FIRST_YEAR + month // 12, month % 12 + 1, 1).toordinal() - _FIRST_DAY
        return (_DAYS_BEFORE + cycle * _CYCLE_DAYS + first) * DAY

    def nearest(self, at: int) -> int:
        """Return the hour, day or month whose beginning is nearest to a time."""
        number = self.number(at)
        return number + (at - self.begins(number) > self.begins(number + 1) - at)


Ladder = tuple[Level, ...]
"""Levels over the same cells, coarsest first."""

KEYLESS: Ladder = (Level(months, cells, 0), Level(days, cells, DAY), Level(hours, cells, HOUR))
OF_KEYS: Ladder = (Level(key_months, key_cells, 0), Level(key_days, key_cells, DAY))
LADDERS = (KEYLESS, OF_KEYS)


class Piece(NamedTuple):
    """A part of a span, to be added or, with the sign -1, taken off again.

    Attributes:
        level: whose hours, days or months `span` counts; None where its attempts are to be read.
    """

    sign: int
    level: Level | None
    span: Span


def ladder(names: Collection[str]) -> Ladder:
    """Return the levels that know all these names; none where only attempts do."""
    return next((one for one in LADDERS if all(name in one[0].cells.c for name in names)), ())


def cover(span: Span, levels: Sequence[Level], sign: int = 1) -> Iterator[Piece]:
    """Make up a span of pieces.

    Each end goes to the nearest beginning of the coarsest level; what was left out there, or is too much, is made up of
    the finer levels in the same way, and of attempts in the end. So at either end no more than half a month is read by
    the day, half a day by the hour, and half an hour by the attempt, whatever time zone the span was meant in.
    """
    if span.since is not None and span.until is not None and span.since >= span.until:
        return
    if not levels:
        yield Piece(sign, None, span)
        return
    level, *finer = levels
    since = None if span.since is None else level.nearest(span.since)
    until = None if span.until is None else level.nearest(span.until)
    if since is not None and until is not None and since >= until:
        yield from cover(span, finer, sign)
        return
    yield Piece(sign, level, Span(since, until))
    if span.since is not None and since is not None:
        begins = level.begins(since)
        yield from cover(Span(span.since, begins), finer, sign)
        yield from cover(Span(begins, span.since), finer, -sign)
    if span.until is not None and until is not None:
        ends = level.begins(until)
        yield from cover(Span(ends, span.until), finer, sign)
        yield from cover(Span(span.until, ends), finer, -sign)
