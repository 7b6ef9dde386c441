"""Everybody who waits for room, whatever for: bounded in number and time, the lowest priority shed first."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.errors import Refusal
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Permitted
from trunkline.upstream.course import Course
from trunkline.upstream.gauge import Gauge
from trunkline.upstream.health import Health
from trunkline.upstream.turns import Place, Queued, Turns

MOST: Final = 1_000
"""Calls of one process that wait at once."""
TICK: Final = 0.025
"""Seconds between two looks for room that nobody told of: a window that began anew."""
LOT: Final = 0.01
"""Where other processes wait for the same room, each looks after a random time up to this, so that each gets some."""
TELL_EVERY: Final = NANOS_PER_SECOND // 20
FEW_QUEUES: Final = 4
"""With more queues than that, looks are rarer in proportion."""
LONGEST_RETRY: Final = 60
SHORTEST: Final = NANOS_PER_SECOND // 20


class Waited(StrEnum):
    """How waiting ended."""

    SERVED = "served"  # there was room, and it was its turn
    EXPIRED = "expired"  # it waited as long as it may
    SHED = "shed"  # it would have waited in vain, or a higher priority needed the place
    LEFT = "left"  # the caller left
    REFUSED = "refused"  # it did not get so far: the exchange itself has too much to do


class Waiting:
    """The queues of one process, one for each deployment that somebody waits for.

    What waits there is bounded in time as CoDel bounds it (Nichols and Jacobson, "Controlling Queue Delay", 2012; for
    servers: Maurer, "Fail at Scale", 2015): a burst may wait as long as its use case says, but where a queue has stood
    for that long already, waiting no longer helps, and calls are refused after a tenth of it.

    Args:
        health: the gauges of the deployments.
        clock: the process'.
        count: told how each wait ended: its priority, the outcome, and nanoseconds.

    Attributes:
        alone: whether no other process of the exchange waits for the same room.
        most: how many may wait.
        tell: told what the other processes of the exchange should know of these queues.
        freed: the gauges of deployments where an attempt has ended since the last `stir`, and somebody waits.
    """

    __slots__ = ("_clock", "_count", "_health", "_order", "_queues", "_timer", "alone", "freed", "most", "tell")

    def __init__(
        self,
        health: Health,
        clock: Clock,
        *,
        most: int = MOST,
        count: Callable[[int, Waited, int], None] | None = None,
    ) -> None:
        self._health = health
        self._clock = clock
        self.alone = True
        self.tell: Callable[[Queued], None] | None = None
        self._count = count
        self._order: dict[tuple[int, str], dict[Place, None]] = {}
        self._queues: dict[str, Gauge] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.freed = health.freed
        self.most = most

    def __len__(self) -> int:
        return sum(map(len, self._order.values()))

    async def turn(self, permitted: Permitted, course: Course, weight: int) -> bool:
        """Wait until one of the crowded deployments has room and it is this call's turn, which the course then holds.

        Returns:
            Whether it is; else the call has waited as long as it may, or would wait in vain.
        """
        if course.turn is not None:  # It had its turn, and found no room after all.
            self._turns(course.turn.deployment).out = None
            course.turn = None
        decision, now = permitted.decision, self._clock.ticks()
        again = course.waiting_since is not None
        since = now if course.waiting_since is None else course.waiting_since
        who = (permitted.caller.unit, weight, decision.priority)
        longest = int(decision.wait * NANOS_PER_SECOND)
        if (left := course.left(since)) is not None:
            longest = min(longest, int(left * NANOS_PER_SECOND) - SHORTEST)
        granted = asyncio.get_running_loop().create_future()
        place = Place(who, tuple(course.crowded.values()), since, longest, granted)
        if not again:
            course.waiting_since = since
            course.waits_until = now + (longest if self._is_worth_it(place, now) else 0)
        if course.waits_until - now < (1 if again else SHORTEST) or not (again or self._make_room(place)):
            self._tell(place, Waited.EXPIRED if again else Waited.SHED)
            return False
        self._join(place, now, again=again)
        try:
            async with asyncio.timeout((course.waits_until - now) / NANOS_PER_SECOND):
                course.turn = await place.granted
        except TimeoutError:
            self._tell(place, Waited.EXPIRED)
            return False
        except asyncio.CancelledError:
            self._tell(place, Waited.LEFT)
            raise
        finally:
            if course.turn is None:
                self._withdraw(place)
        if course.turn is None:
            self._tell(place, Waited.SHED)
            return False
        del course.crowded[course.turn.deployment]
        return True

    def retry_after(self, permitted: Permitted, course: Course) -> int:
        """Return the seconds until a newcomer like this call could have its turn, as far as it can be told."""
        who = (permitted.caller.unit, permitted.decision.priority)
        waits = [self._expected(turns, *who) for turns in map(self._turns, course.crowded)]
        return min(max(1, math.ceil(min(waits, default=0) / NANOS_PER_SECOND)), LONGEST_RETRY)

    def want(self, course: Course, endpoint: Endpoint, lack: Refusal) -> None:
        """Note that a call found no room at a deployment, for which it may wait; `lack` says what of."""
        course.crowded[endpoint.deployment] = endpoint
        self._health.gauge(endpoint)
        self._turns(endpoint.deployment).lack = lack

    def lacks(self, course: Course) -> list[Refusal | None]:
        """Return what was said to the last ones that found no room where this call waits."""
        return [self._turns(deployment).lack for deployment in course.crowded]

    def use(self, permitted: Permitted, course: Course) -> None:
        """Note that a call uses its turn, and give the next one."""
        if course.turn is None or course.waiting_since is None:
            return
        if self._count is not None:
            self._count(permitted.decision.priority, Waited.SERVED, self._clock.ticks() - course.waiting_since)
        self._pass_on(course.turn.deployment)

    def stir(self) -> None:
        """Give the next turn wherever an attempt has ended."""
        freed = tuple(self.freed)
        self.freed.clear()
        if self.alone:  # Else the next look of whichever process comes first takes what is free.
            for gauge in freed:
                self._grant(gauge)

    def _turns(self, deployment: str) -> Turns:
        gauge = self._health.gauges[deployment]
        if gauge.turns is None:
            gauge.turns = Turns()
        return gauge.turns

    def _expected(self, turns: Turns, unit: str, priority: int) -> int:
        return (turns.ahead(unit, priority) + 1) * turns.interval

    def _is_worth_it(self, place: Place, now: int) -> bool:
        """Whether a newcomer may have its turn in time somewhere, as turns go."""
        for turns in (self._turns(endpoint.deployment) for endpoint in place.endpoints):
            stood = turns.stood(now)
            if stood is None:
                return True
            allowed = place.longest
            if stood >= allowed:
                if turns.outranked(place.priority):
                    continue
                allowed = turns.shortest(allowed)
            if self._expected(turns, place.unit, place.priority) <= allowed:
                return True
        return False

    def _make_room(self, newcomer: Place) -> bool:
        """Whether there is a place: else who waits longest of the least, the newest of the unit with the most, goes."""
        if len(self) < self.most:
            return True
        mine = (newcomer.priority, newcomer.unit)
        length = len(self._order.get(mine, ())) + 1
        worst = min(self._order, key=lambda one: (one[0], -len(self._order[one])))
        if (worst[0], -len(self._order[worst])) >= (newcomer.priority, -length):
            return False
        victim = next(reversed(self._order[worst]))
        self._withdraw(victim)
        victim.give(None)
        return True

    def _join(self, place: Place, now: int, *, again: bool) -> None:
        self._order.setdefault((place.priority, place.unit), {})[place] = None
        for endpoint in place.endpoints:
            turns = self._turns(endpoint.deployment)
            turns.join(place, now, again=again)
            gauge = self._queues[endpoint.deployment] = self._health.gauges[endpoint.deployment]
            gauge.calm = False
        if self._timer is None:
            self._look_later()

    def _withdraw(self, place: Place) -> None:
        """Take a call out of every queue, or take its turn back."""
        order = self._order.get((place.priority, place.unit), {})
        if place in order:
            del order[place]
            if not order:
                del self._order[place.priority, place.unit]
            for endpoint in place.endpoints:
                turns = self._turns(endpoint.deployment)
                turns.leave(place)
                if not turns.length:
                    self._queues.pop(endpoint.deployment, None)
        for endpoint in place.endpoints:
            turns = self._turns(endpoint.deployment)
            if turns.out is place:
                turns.out = None
                self._pass_on(endpoint.deployment)

    def _pass_on(self, deployment: str) -> None:
        gauge = self._queues.get(deployment)
        if gauge is not None:
            self._grant(gauge)

    def _grant(self, gauge: Gauge) -> None:
        turns = gauge.turns
        if turns is None or turns.out is not None or not gauge.has_room(self._clock.ticks()):
            return
        now = self._clock.ticks()
        while (place := turns.next()) is not None and (place.granted.done() or turns.is_stale(place, now)):
            self._withdraw(place)
            place.give(None)
        if place is None or turns.yields(place, now):
            return
        endpoint = next(one for one in place.endpoints if self._health.gauges.get(one.deployment) is gauge)
        self._withdraw(place)
        turns.out = place
        place.give(endpoint)

    def queues(self, deployments: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return the units with calls at any of these deployments: weight, and how many calls wait at the most.

        Those of calls under way are known only where calls have waited before.
        """
        found: dict[str, tuple[int, int]] = {}
        for deployment in deployments:
            gauge = self._health.gauges.get(deployment)
            if gauge is not None and gauge.turns is not None:
                for unit, weight, calls in gauge.turns.queues():
                    found[unit] = (weight, max(calls, found.get(unit, (0, 0))[1]))
        return found

    def hear_spread(self, deployments: Iterable[str], spread: Mapping[str, float]) -> None:
        """Take which units wait at other exchanges, too, and by how much less they weigh here for that."""
        for deployment in deployments:
            gauge = self._health.gauges.get(deployment)
            if gauge is not None and gauge.turns is not None:
                gauge.turns.spread = spread

    def hear(self, news: Queued) -> None:
        """Take what another process tells of its queue for a deployment."""
        if news.deployment in self._health.gauges:
            self._turns(news.deployment).hear(news, self._clock.ticks())

    def _look(self) -> None:
        """Look for room everywhere; a turn that was not used by now goes to the next."""
        self._timer = None
        now = self._clock.ticks()
        for deployment, gauge in tuple(self._queues.items()):
            turns = self._turns(deployment)
            turns.out = None
            if self.tell is not None and (news := turns.tell(deployment, os.getpid(), now, TELL_EVERY)) is not None:
                self.tell(news)
            self._grant(gauge)
        if self._queues:
            self._look_later()

    def _look_later(self) -> None:
        wait = TICK if self.alone else LOT * random.random()  # noqa: S311 - a lot, no secret
        wait *= max(1.0, len(self._queues) / FEW_QUEUES)
        self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _tell(self, place: Place, outcome: Waited) -> None:
        if self._count is not None:
            self._count(place.priority, outcome, self._clock.ticks() - place.since)
