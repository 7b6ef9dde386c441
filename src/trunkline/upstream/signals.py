"""Reading what an answer's headers say of rates: when to come back, what is left, when it is whole again.

Sources: RFC 9110 section 10.2.3, "Retry-After"; OpenAI API reference, "Rate limits"; Anthropic API, "Rate limits".
Which header says what of which vendor is data of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from trunkline.clock import as_datetime
from trunkline.estate.endpoints import Signals

Headers = Mapping[bytes, bytes]

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000_001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|d|h|m|s)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|d|h|m|s))+")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_LONGEST = 100
LONGEST_WAIT = 86_400.0
"""Seconds: no rate is longer than a day, and whoever says more is not to be believed."""
LONGEST_ID = 200
"""Characters of an upstream's id of a request that are kept."""


class Left(msgspec.Struct, frozen=True):
    """What is left of a rate: `of` tokens or requests, and the seconds until it is whole again, where that is known."""

    of: str
    left: int
    resets: float | None


def read_wait(signals: Signals, headers: Headers, now: int) -> float | None:
    """Return the seconds after which an upstream wants to be asked again, a day at most; None where it does not say.

    Args:
        signals: which headers say it.
        headers: of its answer, names in lower case.
        now: nanoseconds since 1970, for moments.
    """
    for name, unit in signals.retry_after:
        raw = headers.get(name)
        if raw is None:
            continue
        wait = read_span(raw, now)
        if wait is not None:
            return min(wait * unit if _NUMBER.fullmatch(raw.decode("latin-1").strip()) else wait, LONGEST_WAIT)
    return None


def read_id(signals: Signals, headers: Headers) -> str:
    """Return an upstream's own id of the request; empty where its headers have none."""
    found = next((given for name in signals.request_ids if (given := headers.get(name))), b"")
    return found[:LONGEST_ID].decode("ascii", "replace")


def read_left(signals: Signals, headers: Headers, now: int) -> Iterator[Left]:
    """Yield what an answer's headers say is left."""
    for of, left, resets in signals.rates:
        raw = headers.get(left)
        if raw is None or not raw.isdigit() or len(raw) > _LONGEST:
            continue
        when = headers.get(resets)
        yield Left(of, int(raw), None if when is None else read_span(when, now))


def read_span(raw: bytes, now: int) -> float | None:
    """Return a header's seconds, whether it holds a number, a duration such as `6m0s`, or a moment; None if neither."""
    text = raw.decode("latin-1").strip()
    if not text or len(text) > _LONGEST:
        return None
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    moment = _moment(text)
    return None if moment is None else max(0.0, (moment - as_datetime(now)).total_seconds())


def _moment(text: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None
