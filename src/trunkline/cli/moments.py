"""Times as people type them: `24h`, `30d`, `2026-11-22`, `2026-11-22T08:00:00Z`.

Without a zone of their own they are read in the zone given, or in that of this machine.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo

from trunkline.clock import as_nanos
from trunkline.metering.periods import FOREVER

_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = (
    "a span such as `90m`, `24h`, `30d` or `2w`, a date such as `2026-11-22`, or a time such as `2026-11-22T08:00Z`"
)


def span(text: str) -> timedelta | None:
    """Read a length of time: a whole number and `s`, `m`, `h`, `d` or `w`. None when it is none."""
    found = _SPAN.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def ago(text: str, now: datetime, zone: tzinfo | None = None) -> int:
    """Read a moment of the past, in nanoseconds since 1970: a span before now, the start of a date, or a time.

    Raises:
        ValueError: it is none of these.
    """
    return _nanos(text, time.min, now, zone, sign=-1)


def ahead(text: str, now: datetime, zone: tzinfo | None = None) -> int:
    """Read a moment of the future, in nanoseconds since 1970: a span from now, the end of a date, or a time.

    Raises:
        ValueError: it is none of these, or it has passed.
    """
    moment = _nanos(text, time.max, now, zone, sign=1)
    if moment <= as_nanos(now):
        raise ValueError(f"{text!r} has passed")
    return moment


def _nanos(text: str, in_day: time, now: datetime, zone: tzinfo | None, *, sign: int) -> int:
    length = span(text)
    try:
        moment = as_nanos(_moment(text, in_day, zone) if length is None else now + sign * length)
    except OverflowError:
        moment = FOREVER
    if abs(moment) >= FOREVER:
        raise ValueError(f"{text!r} is too far away: times from 1678 to 2261 can be kept")
    return moment


def _moment(text: str, in_day: time, zone: tzinfo | None) -> datetime:
    try:
        moment = datetime.combine(date.fromisoformat(text), in_day)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {_FORMS}") from None
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()
