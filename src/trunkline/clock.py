"""The only source of time, so that tests can hold it still."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

NANOS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """Tells the time: wall clock for records and expiry, monotonic for durations."""

    def now(self) -> int:
        """Nanoseconds since 1970 in UTC."""
        ...

    def ticks(self) -> int:
        """Monotonic nanoseconds; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time_ns)
    ticks = staticmethod(time.perf_counter_ns)


def as_datetime(nanos: int) -> datetime:
    """Return nanoseconds since 1970 as an aware UTC date and time."""
    return datetime.fromtimestamp(nanos / NANOS_PER_SECOND, UTC)


def as_nanos(moment: datetime) -> int:
    """Return an aware date and time as nanoseconds since 1970, exact to the microsecond."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * NANOS_PER_SECOND + moment.microsecond * 1_000


def iso(nanos: int) -> str:
    """Write nanoseconds since 1970 as an RFC 3339 time in UTC, with milliseconds."""
    return as_datetime(nanos).isoformat(timespec="milliseconds").replace("+00:00", "Z")
