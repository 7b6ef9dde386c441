"""Who waits for room at one deployment, and whose turn it is: fair among units, by the tokens that each was served.

The order is that of the Virtual Token Counter (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024):
each unit has a counter of the tokens it was served, divided by its weight; the turn goes to the waiting unit with the
smallest. What an attempt will use is not known when it begins, so it is charged by an estimate, and corrected when it
has ended. A unit that comes back from idling is lifted to the smallest counter of those that wait: idle time is no
credit. Higher priorities go before lower ones, whatever the counters say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND
from trunkline.dialects.tokens import BYTES_PER_TOKEN
from trunkline.errors import Refusal
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt

USUAL_OUTPUT: Final = 500
"""Tokens of an answer that are supposed before it has ended, where it may have more."""
STANDING_SHARE: Final = 10
"""Where a queue has stood for as long as a call may wait, calls wait this part of it only."""
TURNS_WORTH: Final = 3
"""But no less than so many turns take, or a deployment that answers seldom would idle between them."""
MOST_UNITS: Final = 10_000
"""Units whose counters are remembered."""
HEARD_FOR: Final = NANOS_PER_SECOND // 4
"""How long it counts what another process told of its queue."""
MOST_YIELDS: Final = 3
"""So often in a row a process leaves its turn to another one that should come first, and then takes it all the same."""


class Queued(msgspec.Struct, frozen=True, tag=True):
    """What one process of an exchange tells the others of its queue for a deployment.

    Attributes:
        process: which one.
        served: what each unit was served there since it told last, in tokens by its weight.
        waiting: the units that wait there, each with the highest priority of its calls.
    """

    deployment: str
    process: int
    served: dict[str, float]
    waiting: dict[str, int]


class Place:
    """One call that waits.

    Attributes:
        endpoints: where it may go, any of them.
        longest: nanoseconds that it may wait where the queue has not stood for as long already.
        granted: resolves to the endpoint at which it has got its turn; to None where it made way for others. It is
            done, too, as soon as the caller has left or its time is over, before the call itself has come to see it.
    """

    __slots__ = ("endpoints", "granted", "longest", "priority", "since", "unit", "weight")

    def __init__(
        self,
        who: tuple[str, int, int],
        endpoints: tuple[Endpoint, ...],
        since: int,
        longest: int,
        granted: asyncio.Future[Endpoint | None],
    ) -> None:
        self.unit, self.weight, self.priority = who
        self.endpoints = endpoints
        self.since = since
        self.longest = longest
        self.granted = granted

    def give(self, endpoint: Endpoint | None) -> None:
        """Tell the call where its turn is, or that it has none; one that has left hears nothing."""
        if not self.granted.done():
            self.granted.set_result(endpoint)


class Turns:
    """Those that wait for one deployment.

    Attributes:
        length: how many.
        crowded_since: since when somebody has waited without a break, if anybody does.
        out: who has the turn and has not used it yet; None when the next one may have it.
        lack: what was said to the last one that found no room; None while nobody said.
        spread: units that wait at other exchanges, too, and by how much less they weigh here for that.
        interval: nanoseconds between two turns that were used, lately; 0 while unknown.
    """

    __slots__ = (
        "_charged",
        "_heard",
        "_last",
        "_levels",
        "_served",
        "_told_at",
        "_untold",
        "_used_at",
        "_weights",
        "_yields",
        "crowded_since",
        "interval",
        "lack",
        "length",
        "out",
        "spread",
    )

    def __init__(self) -> None:
        self._levels: dict[int, dict[str, deque[Place]]] = {}
        self._served: dict[str, float] = {}
        self._charged: dict[int, tuple[str, int]] = {}
        self._weights: dict[str, int] = {}
        self._heard: dict[int, tuple[int, dict[str, int]]] = {}
        self._untold: dict[str, float] = {}
        self._told_at = 0
        self._yields = 0
        self.spread: Mapping[str, float] = {}
        self._last = 0.0
        self._used_at = 0
        self.length = 0
        self.crowded_since: int | None = None
        self.out: Place | None = None
        self.lack: Refusal | None = None
        self.interval = 0

    def join(self, place: Place, now: int, *, again: bool) -> None:
        """Add a call; one that had its turn and found no room goes back to the front of its unit."""
        units = self._levels.setdefault(place.priority, {})
        waiting = units.get(place.unit)
        if waiting is None:
            self._lift(place.unit)
            waiting = units[place.unit] = deque()
            self._weights[place.unit] = place.weight
        (waiting.appendleft if again else waiting.append)(place)
        if self.crowded_since is None or not (self.length or again or self.out):
            self.crowded_since = now
            self._used_at = self.interval = 0
        self.length += 1

    def leave(self, place: Place) -> None:
        """Take a call out."""
        units = self._levels[place.priority]
        waiting = units[place.unit]
        waiting.remove(place)
        self.length -= 1
        if not waiting:
            del units[place.unit]
            self._last = self._served[place.unit]
            if not units:
                del self._levels[place.priority]

    def next(self) -> Place | None:
        """Return the call whose turn it is: of the highest priority, of the unit that was served least."""
        if not self._levels:
            return None
        units = self._levels[max(self._levels)]
        served = self._served
        return units[min(units, key=lambda unit: (served[unit], units[unit][0].since))][0]

    def stood(self, now: int) -> int | None:
        """Return for how many nanoseconds somebody has waited without a break; None where nobody waits."""
        if self.crowded_since is None or not (self.length or self.out):
            return None
        return now - self.crowded_since

    def shortest(self, longest: int) -> int:
        """Return how long a call that may wait so long does where the queue has stood for that time already."""
        return min(longest, max(longest // STANDING_SHARE, TURNS_WORTH * self.interval))

    def is_stale(self, place: Place, now: int) -> bool:
        """Whether a call has waited too long in a queue that has stood so long, and enough wait behind it."""
        stood, shortest = self.stood(now), self.shortest(place.longest)
        if stood is None or stood < place.longest or now - place.since <= shortest:
            return False
        return self.length * self.interval > shortest

    def queues(self) -> Iterator[tuple[str, int, int]]:
        """Yield each unit that waits or has calls under way, with its weight and how many of its calls wait."""
        calls = {unit: 0 for unit, _ in self._charged.values()}
        for units in self._levels.values():
            for unit, waiting in units.items():
                calls[unit] = calls.get(unit, 0) + len(waiting)
        for unit, count in calls.items():
            yield unit, self._weights.get(unit, 1), count

    def outranked(self, priority: int) -> bool:
        """Whether somebody of a higher priority waits."""
        return bool(self._levels) and max(self._levels) > priority

    def ahead(self, unit: str, priority: int) -> int:
        """Return how many that wait are served before a newcomer of a unit, as far as it can be told."""
        higher = sum(
            len(waiting) for level, units in self._levels.items() if level > priority for waiting in units.values()
        )
        units = self._levels.get(priority, {})
        own = len(units.get(unit, ()))
        return higher + sum(min(len(waiting), own + 1) for waiting in units.values())

    def begin(self, attempt: Attempt, now: int) -> None:
        """Charge an attempt that is about to be sent to its unit, and note that the turn was used."""
        unit = attempt.permitted.caller.unit
        tokens = attempt.bound.input // BYTES_PER_TOKEN + min(attempt.bound.output, USUAL_OUTPUT)
        self._charged[id(attempt)] = (unit, tokens)
        self._charge(unit, tokens)
        if self.out is not None:
            self.out = None
            if self._used_at:
                past = now - self._used_at
                self.interval = past if not self.interval else self.interval + (past - self.interval) // 8
            self._used_at = now

    def settle(self, attempt: Attempt, used: int) -> None:
        """Correct what was charged for an attempt, now that it is known."""
        charged = self._charged.pop(id(attempt), None)
        if charged is not None:
            unit, tokens = charged
            self._charge(unit, used - tokens)

    def tell(self, deployment: str, process: int, now: int, every: int) -> Queued | None:
        """Return what the other processes should know by now; None where it is not time yet."""
        if now - self._told_at < every:
            return None
        self._told_at = now
        waiting = {unit: level for level in sorted(self._levels) for unit in self._levels[level]}
        served, self._untold = self._untold, {}
        return Queued(deployment, process, served, waiting)

    def hear(self, news: Queued, now: int) -> None:
        """Take what another process tells: what units were served there counts here, too."""
        for unit, tokens in news.served.items():
            self._served[unit] = self._served.get(unit, 0.0) + tokens
        self._heard[news.process] = (now, news.waiting)

    def yields(self, place: Place, now: int) -> bool:
        """Whether the turn is left to another process, where a unit waits that should come before this call's."""
        mine = (-place.priority, self._served[place.unit])
        for process, (at, waiting) in tuple(self._heard.items()):
            if now - at > HEARD_FOR:
                del self._heard[process]
            elif self._yields < MOST_YIELDS and any(
                (-priority, self._served.get(unit, 0.0)) < mine for unit, priority in waiting.items()
            ):
                self._yields += 1
                return True
        self._yields = 0
        return False

    def _charge(self, unit: str, tokens: int) -> None:
        charge = tokens / self._weights.get(unit, 1)
        if self.spread:
            charge *= self.spread.get(unit, 1.0)
        self._served[unit] = self._served.get(unit, 0.0) + charge
        if self._heard:
            self._untold[unit] = self._untold.get(unit, 0.0) + charge

    def _lift(self, unit: str) -> None:
        """Let a unit begin no lower than those that wait, or where nobody does, than who waited last."""
        served = self._served
        if len(served) >= MOST_UNITS:
            waiting = {name for units in self._levels.values() for name in units}
            self._served = served = {name: count for name, count in served.items() if name in waiting}
            self._weights = {name: weight for name, weight in self._weights.items() if name in waiting}
        least = min((served[name] for units in self._levels.values() for name in units), default=self._last)
        served[unit] = max(served.get(unit, least), least)
