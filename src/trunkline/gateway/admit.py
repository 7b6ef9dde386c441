from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Final, Protocol

from trunkline.errors import Unavailable
from trunkline.estate.stages import Attempt, Permitted
from trunkline.metering.limits import REQUESTS, REQUESTS_AT_ONCE
from trunkline.metering.refusals import Full
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.observability.metrics import Metrics
from trunkline.tenancy.callers import Caller
from trunkline.upstream.course import Course
from trunkline.upstream.waiting import Waited, Waiting

SENT: Final = (REQUESTS, REQUESTS_AT_ONCE)
"""Of what is counted, what does not become free when a call ends."""
MOST_IN_FLIGHT: Final = 10_000
ROOM: Final = (0.5, 0.8, 1.0)
"""The part of what the exchange carries that calls of low, normal and high priority may fill."""
LATE: Final = (0.25, 1.0)
"""Seconds by which the loop is late all the time, from which on calls of low and of normal priority are refused."""
LOOK_EVERY: Final = 0.25
SHED_FOR: Final = 2
"""Seconds after which a call that was refused here may come back."""
LOOKS: Final = 4
"""So many looks in a row must all be late: a loop that was held up once is late once."""


class Counting(Protocol):
    """Whoever counts calls, if anybody does."""

    turnstile: Turnstile | None


class Gate:
    """Counts the calls in flight and lets no more in than the exchange can carry.

    What it can carry is bounded by memory, as a number of calls, and by its processor: where that is short, the event
    loop comes to everything late. The least delay of a while is what tells it from a moment's work, as in CoDel
    (Nichols and Jacobson, "Controlling Queue Delay", 2012).

    Attributes:
        most: how many calls there may be.
        room: how many there may be for a call of each priority to come in.
    """

    __slots__ = ("_lates", "_metrics", "_waiting", "most", "room")

    def __init__(self, metrics: Metrics, waiting: Waiting, most: int = MOST_IN_FLIGHT) -> None:
        self._metrics = metrics
        self._waiting = waiting
        self._lates: deque[float] = deque([0.0] * LOOKS, LOOKS)
        self.most = most
        self.room = self._room(0.0)

    def count(self, priority: int) -> None:
        """Count a call that was refused for its priority."""
        self._metrics.waited(priority, Waited.REFUSED, 0)

    @property
    def in_flight(self) -> int:
        """How many calls are inside."""
        return self._metrics.in_flight

    async def follow(self) -> None:
        """Look how late the event loop is, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_EVERY
            await asyncio.sleep(LOOK_EVERY)
            self.feel(loop.time() - due)

    def feel(self, late: float) -> None:
        """Take by how many seconds the event loop was late, one look after the other."""
        self._lates.append(late)
        self.room = self._room(min(self._lates))

    def _room(self, late: float) -> tuple[int, ...]:
        low, normal, high = (int(part * self.most) for part in ROOM)
        return (0 if late >= LATE[0] else low, 0 if late >= LATE[1] else normal, high)

    def __enter__(self) -> None:
        """Let one call in."""
        self._metrics.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it out; where others wait for what it has left, the next one has its turn."""
        self._metrics.leave()
        if self._waiting.freed:
            self._waiting.stir()


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


def shed(gate: Gate, permitted: Permitted) -> None:
    """Refuse a call whose priority leaves the room there is to others, before anything is spent on it.

    Raises:
        Unavailable: the exchange has too much to do.
    """
    priority = permitted.decision.priority
    if gate.in_flight > gate.room[priority]:
        gate.count(priority)
        raise Unavailable(
            f'The exchange has too much to do at the moment for calls of "{permitted.decision.use_case}": others have '
            "a higher priority. Try again in a moment.",
            code="overloaded",
            retry_after=SHED_FOR,
        )


async def let_in(visit: Visit, attempt: Attempt, course: Course, waiting: Waiting) -> bool:
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
            full.refusal.rates = visit.left(attempt)
            raise full.refusal from None
        course.full[attempt.endpoint.deployment] = full.rate.words
        if full.rate.provided and _may_pass(full, attempt):
            waiting.want(course, attempt.endpoint, full.refusal)
        else:
            course.short.append(full.refusal)
        return False
    return True


async def count(exchange: Counting, caller: Caller) -> None:
    """Count a request that asks nothing of a model, but of what is kept, against the limits of requests of its caller.

    Raises:
        RateLimited: one of them is reached.
        Unavailable: the store does not say whether there is more.
    """
    turnstile = exchange.turnstile
    if turnstile is not None and turnstile.in_force:
        try:
            await turnstile.count(caller)
        except Full as full:
            raise full.refusal from None


def _may_pass(full: Full, attempt: Attempt) -> bool:
    """Whether there may be room within the time that a call waits.

    Calls that end make room for calls at once, and for tokens that they held and did not use; requests that were sent
    stay counted until their window ends, or as many may go again.
    """
    refusal, longest = full.refusal, attempt.permitted.decision.wait
    return not refusal.final and (full.rate.counts not in SENT or (refusal.retry_after or 0) <= longest)
