from __future__ import annotations

from types import TracebackType

from trunkline.errors import Unavailable
from trunkline.estate.stages import Attempt
from trunkline.metering.turnstile import Full, Visit
from trunkline.observability.metrics import Metrics
from trunkline.upstream.course import Course

MOST_IN_FLIGHT = 10_000


class Gate:
    """Counts the calls in flight and lets no more in than the exchange can carry."""

    __slots__ = ("_metrics", "most")

    def __init__(self, metrics: Metrics, most: int = MOST_IN_FLIGHT) -> None:
        self._metrics = metrics
        self.most = most

    @property
    def in_flight(self) -> int:
        """How many calls are inside."""
        return self._metrics.in_flight

    def __enter__(self) -> None:
        """Let one call in."""
        self._metrics.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it out."""
        self._metrics.leave()


def admit(gate: Gate) -> Gate:
    """Refuse early and cheaply; otherwise return the gate to pass through. Rates wait until the route is known.

    Raises:
        Unavailable: the exchange carries as many calls as it can.
    """
    if gate.in_flight >= gate.most:
        raise Unavailable(
            f"The exchange carries {gate.most} calls at once and takes no more at the moment.",
            code="overloaded",
            retry_after=1,
        )
    return gate


async def let_in(visit: Visit, attempt: Attempt, course: Course) -> bool:
    """Count an attempt against the limits above it; where its deployment or boundary has no room, note so.

    Raises:
        RateLimited: a limit of the caller's own is reached: no other deployment would help.
    """
    try:
        await visit.admit(attempt)
    except Unavailable as away:
        course.short.append(away)
        return False
    except Full as full:
        if not full.rate.provided and not course.failed:
            raise full.refusal from None
        course.short.append(full.refusal)
        course.full[attempt.endpoint.deployment] = full.rate.words
        return False
    return True
