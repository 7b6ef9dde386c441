"""What portion of the slots of a limit each worker should have, where calls wait for one at several of them.

A unit's weight is parted evenly among the workers at which its calls wait or are under way; a worker's portion goes by
what units have there together, and is never more than it has a use for (max-min fairness; Bertsekas and Gallager, *Data
Networks*, 6.5). So nobody keeps more for ever because it had it first and its calls need not wait. What is no whole
slot goes round with time, as in systematic sampling: so over time each has its exact portion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import floor
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND

ROUND: Final = 2 * NANOS_PER_SECOND
"""Nanoseconds after which parts of a slot go to others."""
GOLDEN: Final = 0.618_033_988_749_895
"""Steps of this part of a whole leave no gaps, however many there are."""
PER_EXCHANGE: Final = "/"
"""Parts the name of an exchange from that of its worker."""


class Queue(msgspec.Struct, frozen=True, array_like=True):
    """A unit at a worker: its weight, and how many of its calls wait; 0 where some are under way and none wait."""

    weight: int
    calls: int


class Holding(msgspec.Struct, frozen=True):
    """What a worker uses of the amount that it holds, and the units whose calls wait or are under way there."""

    holder: str
    used: int
    waiting: dict[str, Queue]
    amount: int = 0

    @property
    def wants(self) -> int:
        """How many slots it has a use for."""
        return self.used + self.queued

    @property
    def queued(self) -> int:
        """How many calls wait there."""
        return sum(queue.calls for queue in self.waiting.values())

    @property
    def units(self) -> dict[str, Queue]:
        """The units that have a part in it; one of its own, where nobody has said which."""
        return self.waiting or {self.holder: Queue(1, 0)}


def portions(limit: int, holdings: Sequence[Holding], now: int) -> dict[str, int]:
    """Return how many slots each worker should have that has a use for some; empty where no call waits at any."""
    busy = sorted((one for one in holdings if one.wants), key=lambda one: one.holder)
    if not any(one.queued for one in busy):
        return {}
    left = float(limit)
    at = Counter(unit for one in busy for unit in one.units)
    weights = {one.holder: sum(queue.weight / at[unit] for unit, queue in one.units.items()) for one in busy}
    exact: dict[str, float] = {}
    open_ = list(busy)
    while open_:
        whole = sum(weights[one.holder] for one in open_)
        content = [one for one in open_ if one.wants <= left * weights[one.holder] / whole]
        if not content:
            exact |= {one.holder: left * weights[one.holder] / whole for one in open_}
            break
        for one in content:
            exact[one.holder] = one.wants
            left -= one.wants
            open_.remove(one)
    return _whole(exact, (now // ROUND * GOLDEN) % 1.0)


def spread(holdings: Sequence[Holding], holder: str) -> dict[str, float]:
    """Return by how much less a unit weighs at a worker's exchange than it does alone: it waits at others, too."""
    exchange = holder.partition(PER_EXCHANGE)[0]
    everywhere = Counter(unit for one in holdings for unit in one.waiting)
    here = Counter(
        unit for one in holdings if one.holder.partition(PER_EXCHANGE)[0] == exchange for unit in one.waiting
    )
    return {unit: everywhere[unit] / here[unit] for unit in here if everywhere[unit] != here[unit]}


def _whole(exact: dict[str, float], phase: float) -> dict[str, int]:
    """Make whole numbers of portions, each less than one off, with the same sum."""
    made: dict[str, int] = {}
    before = phase
    for holder in sorted(exact):
        after = before + exact[holder]
        made[holder] = floor(after + 1e-9) - floor(before + 1e-9)
        before = after
    return made
