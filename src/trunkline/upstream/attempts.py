"""Makes attempts out of what is permitted; nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trunkline.dialects.tokens import BYTES_PER_TOKEN
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.messages import Asked, Usage
from trunkline.money import Nano
from trunkline.upstream.course import Course
from trunkline.wire.origins import Times

Bound = Callable[[Permitted, Endpoint], tuple[Usage, Nano]]
"""Tells the most tokens that a call can use at an endpoint, and what they cost."""

SHORTEST: Final = 0.05
"""Seconds: with less time left than that, nothing is sent any more."""


def attempt_at(
    permitted: Permitted,
    endpoint: Endpoint,
    bound: Bound,
    number: int,
    reason: str,
    times: Times,
    wait: float = 0.0,
) -> Attempt:
    """Return an attempt at an endpoint, with the most that it can use there and what that costs."""
    most, hold = bound(permitted, endpoint)
    return Attempt(
        permitted=permitted,
        endpoint=endpoint,
        number=number,
        bound=most,
        hold=hold,
        reason=reason,
        times=times,
        wait=wait,
    )


def times_left(times: Times, course: Course, now: int, wait: float, *, stream: bool) -> Times:
    """The endpoint's times, or what is left of the caller's where that is less."""
    left = course.left(now)
    if left is None:
        return times
    left = max(left - wait, SHORTEST)
    whole = course.left_in_all(now)
    total = times.total if whole is None else min(times.total, max(whole - wait, SHORTEST))
    if not stream:
        total = min(total, left)
    if left >= times.first_byte and total == times.total:
        return times
    return Times(min(times.connect, left), min(times.first_byte, left), times.between, total)


def tokens_of(asked: Asked) -> int:
    """What a call may use, in the upstream's count, more or less."""
    return asked.prompt_bound // BYTES_PER_TOKEN + (asked.output_limit or 0)
