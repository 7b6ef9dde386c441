"""An exchange's share of limits that several exchanges keep together: slices of each window, taken ahead of need.

In each window, the sum of what the store has given out never exceeds the limit, and no exchange counts beyond what it
was given: so the limit holds for all of them together, whatever is lost on the way. An answer that is lost strands
what it gave until the window ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.metering.counters import Counter, Page
from trunkline.metering.door import Door, Waiter

PARTS = 50
"""Ahead of need, a worker asks for this part of a limit, or for as much as its dearest call in the window held."""
SHARE = 8
"""Nobody gets more than this part of what is left beyond what calls wait for."""
AHEAD = 5 * NANOS_PER_SECOND
"""How long before a window ends something is asked for of the next one."""
DRY_FOR = NANOS_PER_SECOND // 2
"""For how long calls are refused without asking again, once the store had too little left."""


class Want(msgspec.Struct, frozen=True):
    """What an exchange asks for of a limit's window.

    Attributes:
        amount: how much; below zero gives back.
        need: without so much, none of it helps.
        due: what all that wait need together.
        burst: nanoseconds' worth of the limit that are given ahead of time, where it is given out evenly; 0 where not.
    """

    name: str
    starts: int
    ends: int
    limit: int
    amount: int
    need: int = 0
    due: int = 0
    burst: int = 0


class Share(msgspec.Struct, frozen=True):
    """What an exchange was given, what is left for all, and the store's clock."""

    given: int
    left: int
    now: int


class ShareStore(Protocol):
    """Where windows are shared out. Implemented by the store."""

    def share_out(self, wants: Sequence[Want]) -> tuple[Share, ...]:
        """Give exchanges their parts of windows, or take back what they do not need; one answer each, in order."""
        ...


def share_out(want: Want, granted: int, now: int) -> int:
    """Return what is given at a moment to who wants it, where so much of the window was given out before."""
    if want.amount <= 0:
        return -min(-want.amount, granted)
    limit = want.limit
    if want.burst:
        past = max(now - want.starts, 0) + want.burst
        limit = min(limit, limit * past // (want.ends - want.starts))
    left = limit - granted
    if left <= 0 or left < want.need:
        return 0
    return min(want.amount, left, max(want.due, left // SHARE, 1))


class Scarce(Exception):
    """The exchange has too little of a limit in hand, and there may be more; never leaves the exchange."""

    def __init__(self, counter: Counter, amount: int) -> None:
        super().__init__(counter.rate.name)
        self.counter = counter
        self.amount = amount


class Shares:
    """A worker's side: asks the store for all limits of an exchange.

    Args:
        store: where windows are shared out.
        page: where the exchange counts.
        clock: the worker's.
        counters: tells the limits in force.
    """

    def __init__(self, store: ShareStore, page: Page, clock: Clock, counters: Callable[[], Iterable[Counter]]) -> None:
        self._store = store
        self._page = page
        self._clock = clock
        self._counters = counters
        self._door = Door("these requests and tokens")
        self._dry: dict[str, tuple[int, int]] = {}
        self._left: dict[str, tuple[int, int]] = {}
        self._offset = 0

    def now(self) -> int:
        """Return the store's time, as well as it is known here."""
        return self._clock.now() + self._offset

    def is_dry(self, counter: Counter, amount: int) -> bool:
        """Whether the store had too little left a moment ago for as much."""
        dry = self._dry.get(counter.rate.name)
        return dry is not None and amount >= dry[0] and self._clock.ticks() < dry[1]

    def comes(self, counter: Counter) -> bool:
        """Whether more of a limit's window comes, as it is given out evenly: it was not all given when last asked."""
        starts, left = self._left.get(counter.rate.name, (0, 0))
        return starts == counter.starts and left > 0

    async def more(self, counter: Counter, amount: int) -> None:
        """Wait until there is more of a limit in hand, or until it is known that there is not.

        Raises:
            Unavailable: the store does not answer.
        """
        await self._door.wait(counter, amount)

    async def follow(self) -> None:
        """Ask for what is needed, whenever it is, for ever."""
        await self._door.follow(self.ask)

    def look(self, counters: Iterable[Counter]) -> None:
        """Ask soon where little is left in hand. Only while the page is locked."""
        now = self.now()
        for counter in counters:
            if not counter.rate.per or counter.rate.burst:  # What is given out evenly comes no sooner by asking.
                continue
            if 2 * (counter.granted - counter.used(now)) < self._part(counter):
                self._door.wake.set()

    def _part(self, counter: Counter) -> int:
        """What is kept in hand of a limit, ahead of need."""
        limit = counter.rate.limit
        return max(limit // PARTS, min(counter.most, limit), 1)

    async def ask(self) -> None:
        """Ask the store once for all that is to be asked for."""
        asked = self._door.waiting
        with self._page.locked():
            wants = [want for counter in self._counters() if counter.rate.per for want in self._wants(counter, asked)]
        if not wants:
            return
        sent = self._clock.now()
        answers = await self._door.ask(lambda: self._store.share_out([want for _, want in wants]))
        if answers is None:
            return
        self._offset = answers[0].now - (sent + self._clock.now()) // 2
        ticks = self._clock.ticks()
        with self._page.locked():
            for (counter, want), share in zip(wants, answers, strict=True):
                if want.burst:
                    self._left[counter.rate.name] = (want.starts, share.left)
                if share.given > 0:
                    counter.receive(share.given, want.starts)
                    self._dry.pop(counter.rate.name, None)
                elif want.amount > 0 and want.starts == counter.starts:
                    self._dry[counter.rate.name] = (max(want.need, 1), ticks + DRY_FOR)
        for waiter in asked:
            if not waiter.future.done():
                waiter.future.set_result(None)

    def _wants(self, counter: Counter, asked: Sequence[Waiter]) -> list[tuple[Counter, Want]]:
        """What is to be asked for of one limit: for what waits, ahead of need, of the next window, or to give back."""
        now, rate = self.now(), counter.rate
        used, ends = counter.used(now), counter.ends(now)
        room = counter.granted - used
        waiting = [one.amount for one in asked if one.name == rate.name]
        part = self._part(counter)
        due = max(sum(waiting) - room, 0)
        this = Want(rate.name, counter.starts, ends, rate.limit, 0, burst=rate.burst)
        wants: list[Want] = []
        if waiting:
            need = max(min(waiting) - room, 1)
            wants.append(msgspec.structs.replace(this, amount=due + part, need=need, due=max(due, need)))
        elif used and 2 * room < part and not self.is_dry(counter, 1):
            wants.append(msgspec.structs.replace(this, amount=part - room))
        elif room > 2 * part:
            counter.receive(part - room, counter.starts)  # Let go of before it is said: never used by two.
            wants.append(msgspec.structs.replace(this, amount=part - room))
        if used and ends - now < AHEAD and counter.ahead == 0:
            later = rate.window(ends)
            wants.append(Want(rate.name, later.starts, later.ends, rate.limit, part, burst=rate.burst))
        return [(counter, want) for want in wants]
