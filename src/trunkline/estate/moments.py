"""From when and until when something holds that names a moment, or a date: which is read as the end of its day."""

from __future__ import annotations

from datetime import datetime, time, timedelta


def begins(moment: datetime) -> datetime:
    """Return when it begins that is given from a moment on: a date from its start."""
    return datetime.combine(moment.date(), time.min, moment.tzinfo) if moment.time() == time.max else moment


def ends(moment: datetime) -> datetime:
    """Return before when it ends that is given until a moment: a date belongs to it to its last moment."""
    return moment + timedelta(microseconds=1) if moment.time() == time.max else moment
