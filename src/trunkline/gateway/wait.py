from __future__ import annotations

from typing import Final

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import RateLimited, Refusal, Unavailable
from trunkline.estate.stages import Permitted
from trunkline.gateway.exchange import Exchange
from trunkline.upstream.course import Course

WORTH_SAYING: Final = 0.1
"""Seconds of waiting from which on a refusal tells of it."""


async def wait(exchange: Exchange, permitted: Permitted, course: Course) -> bool:
    """Wait for room where all that the call may use lacks nothing else, fairly among units and for a bounded time.

    Returns:
        Whether it is the call's turn now: the next attempt goes where the course says. Else the course says why not.
    """
    if not course.crowded:
        return False
    weight = exchange.snapshot.weights.get(permitted.caller.unit, 1)
    if await exchange.waiting.turn(permitted, course, weight):
        return True
    course.short.append(_refuse(exchange, permitted, course))
    return False


def _refuse(exchange: Exchange, permitted: Permitted, course: Course) -> Refusal:
    """Say what there was no room for: a limit that somebody declared, or what the deployments can do at the moment."""
    wait = exchange.waiting.retry_after(permitted, course)
    since = course.waiting_since
    waited = 0.0 if since is None else (exchange.health.now() - since) / NANOS_PER_SECOND
    after = f" It waited {waited:.1f} s for its turn." if waited >= WORTH_SAYING else ""
    lacks = exchange.waiting.lacks(course)
    limited = next((lack for lack in lacks if isinstance(lack, RateLimited)), None)
    if limited is not None:
        return RateLimited(limited.message + after, retry_after=max(wait, limited.retry_after or 1))
    return Unavailable(
        f'All that "{permitted.asked.model}" may use is busy: {", ".join(course.crowded)}.{after} Try again in '
        f"{wait} s.",
        code="overloaded",
        retry_after=wait,
    )
