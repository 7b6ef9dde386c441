"""A worker's share of limits on calls at once that several exchanges keep together: slots, held for some seconds.

In the store, what all workers hold of a limit never exceeds it. A worker lets a call begin only in a slot that it
holds, and holds none longer than it was promised, by its own clock from before it asked. So as many calls at once
begin as the limit says and no more, whoever is killed. Slots of a worker that is gone come back when they lapse.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.metering.counters import Counter, Page
from trunkline.metering.door import TICK, Door, Waiter
from trunkline.metering.limits import CALLS
from trunkline.metering.portions import PER_EXCHANGE, Holding, Queue, portions, spread

LASTS = 10 * NANOS_PER_SECOND
"""Nanoseconds that slots last without being renewed."""
MARGIN = 2 * NANOS_PER_SECOND
"""Nanoseconds before they lapse from which on a worker begins nothing in them: more than clocks drift apart."""
RENEW_BEFORE = 5 * NANOS_PER_SECOND
PARTS = 50
"""Ahead of need, a worker asks for this part of a limit, one slot at least."""
IDLE = NANOS_PER_SECOND
"""Nanoseconds after which slots that no call stands in go back; at once where somebody goes without."""
SHORT_FOR = NANOS_PER_SECOND
"""Nanoseconds for which all are told that somebody went without."""
DRY_FOR = NANOS_PER_SECOND // 4


class SlotAsk(msgspec.Struct, frozen=True):
    """What a worker wants to hold of a limit from now on.

    Attributes:
        version: grows with each message of a holder; an older one changes nothing.
        amount: how many slots in all.
        used: in how many of them calls are under way: these it keeps in any case.
        need: fewer than so many do not help.
        waiting: the units whose calls wait for a slot there, or stand in one.
    """

    name: str
    holder: str
    version: int
    limit: int
    amount: int
    used: int
    need: int
    waiting: dict[str, Queue] = {}


class SlotAnswer(msgspec.Struct, frozen=True):
    """How many slots it holds, whether others hold some in vain, and whether somebody went without a moment ago.

    Attributes:
        portion: how many it should have, where calls wait at any; None where none do.
        spread: units that wait at other exchanges, too, and by how much less they weigh here for that.
    """

    amount: int
    idle: bool
    short: bool
    portion: int | None = None
    spread: dict[str, float] = {}


class SlotStore(Protocol):
    """Where slots are held. Implemented by the store."""

    def hold_slots(self, asks: Sequence[SlotAsk]) -> tuple[SlotAnswer, ...]:
        """Heed what a worker wants to hold, for `LASTS`; one answer for each, in order."""
        ...


def grant(ask: SlotAsk, others: int, portion: int | None = None) -> int:
    """Return how many slots a worker holds, where others hold so many, and it should have its portion at most."""
    amount = ask.amount if portion is None else min(ask.amount, portion)
    return max(min(amount, ask.limit - others), ask.used, 0)


def share(ask: SlotAsk, others: Sequence[Holding], now: int, short_at: int) -> SlotAnswer:
    """Return what a worker holds from now on.

    Args:
        ask: what it wants.
        others: what all others hold that has not lapsed.
        now: the store's time, in nanoseconds.
        short_at: when somebody went without last.
    """
    everybody = [*others, Holding(ask.holder, ask.used, ask.waiting)]
    portion = portions(ask.limit, everybody, now).get(ask.holder)
    amount = grant(ask, sum(one.amount for one in others), portion)
    idle = any(one.amount > one.used for one in others)
    short = amount < ask.need or now - short_at < SHORT_FOR
    return SlotAnswer(amount, idle, short, portion, spread(everybody, ask.holder))


def _nobody(_: str) -> dict[str, Queue]:
    return {}


def _alike(_: str) -> int:
    return 1


def _unheard(_: str, __: Mapping[str, float]) -> None:
    pass


class _Hand(msgspec.Struct):
    """What a worker holds of one limit."""

    counter: Counter
    amount: int = 0
    until: int = 0
    busy_at: int = 0
    dry_until: int = 0
    short: bool = False
    portion: int | None = None
    told: bool = False


class Slots:
    """A worker's slots of all limits.

    Args:
        store: where they are held.
        page: where the worker counts its calls.
        clock: the worker's.
        counters: tells the limits in force.
        exchange: the name of the worker's exchange.

    Attributes:
        waiting: tells the units whose calls wait for a limit or are under way, but for those that wait here.
        weigh: tells the weight of a unit.
        hear_spread: is told which of them wait at other exchanges, too.
    """

    def __init__(
        self, store: SlotStore, page: Page, clock: Clock, counters: Callable[[], Iterable[Counter]], exchange: str = ""
    ) -> None:
        self._store = store
        self._page = page
        self._clock = clock
        self._counters = counters
        own = secrets.token_hex(8)
        self._holder = f"{exchange or own}{PER_EXCHANGE}{own}"
        self.waiting: Callable[[str], dict[str, Queue]] = _nobody
        self.weigh: Callable[[str], int] = _alike
        self.hear_spread: Callable[[str, Mapping[str, float]], None] = _unheard
        self._version = 0
        self._hands: dict[str, _Hand] = {}
        self._door = Door("these calls at once")

    def held(self, counter: Counter) -> int:
        """Return how many calls of this worker may be under way at the moment."""
        hand = self._hands.get(counter.rate.name)
        if hand is None or self._clock.ticks() >= hand.until:
            return 0
        return hand.amount if hand.portion is None else min(hand.amount, hand.portion)

    def is_dry(self, counter: Counter) -> bool:
        """Whether a moment ago there was no slot to be had; or, where calls wait for a turn, one asks for all."""
        name = counter.rate.name
        hand = self._hands.get(name)
        if hand is None:
            return False
        if self._clock.ticks() < hand.dry_until:
            return True
        return hand.portion is not None and any(one.name == name for one in self._door.waiting)

    async def more(self, counter: Counter, unit: str) -> None:
        """Wait with a unit's call until this worker holds more slots, or until it is known that there are none.

        Raises:
            Unavailable: the store does not answer.
        """
        await self._door.wait(counter, 1, unit)

    async def follow(self) -> None:
        """Ask for what is needed, whenever it is, for ever."""
        await self._door.follow(self.ask)

    async def stop(self) -> None:
        """Give all slots back, as far as the store takes them."""
        self._counters = tuple
        await self.ask()

    async def ask(self) -> None:
        """Ask the store once for all that is to be asked for."""
        waiting = self._door.waiting
        at = self._clock.ticks()
        with self._page.locked():
            asks = self._asks(waiting, at)
        if not asks:
            return
        answers = await self._door.ask(lambda: self._store.hold_slots(asks))
        if answers is None:
            return
        for ask, answer in zip(asks, answers, strict=True):
            self._hear(ask, answer, at, waiting)

    def _asks(self, waiting: Sequence[Waiter], at: int) -> list[SlotAsk]:
        declared = {counter.rate.name: counter for counter in self._counters() if counter.rate.counts == CALLS}
        wanted = {one.name for one in waiting}
        queues = {name: self._queue(name, waiting) for name, counter in declared.items() if counter.rate.provided}
        queued = {name for name, queue in queues.items() if any(one.calls for one in queue.values())}
        for name in (wanted | queued) & declared.keys():
            self._hands.setdefault(name, _Hand(declared[name]))
        asks: list[SlotAsk] = []
        for name, hand in tuple(self._hands.items()):
            hand.counter = declared.get(name, hand.counter)
            used, limit = hand.counter.mine, hand.counter.rate.limit
            need = sum(one.name == name for one in waiting)
            part = 0 if hand.short else max(limit // PARTS, 1)
            if need or used >= hand.amount:
                hand.busy_at = at
            amount, queue = hand.amount, queues.get(name, {})
            if name not in declared:
                amount = used
            elif need:
                amount = max(amount, used + need + part)
            elif hand.short or at - hand.busy_at > IDLE:
                amount = used
            if hand.portion is not None:
                amount = min(amount, max(hand.portion, used))
            news = name in queued or hand.told
            if not (need or news or amount != hand.amount or amount > used or hand.until - at < RENEW_BEFORE):
                continue
            if not (amount or hand.amount or need or news):
                del self._hands[name]
                continue
            hand.amount = min(hand.amount, amount)  # Let go of before it is said: never used by two.
            hand.told = name in queued
            self._version += 1
            asks.append(SlotAsk(name, self._holder, self._version, limit, amount, used, used + min(need, 1), queue))
        return asks

    def _queue(self, name: str, waiting: Sequence[Waiter]) -> dict[str, Queue]:
        """The units whose calls wait for a limit, wherever they do."""
        queue = self.waiting(name)
        for one in waiting:
            if one.name == name:
                before = queue.get(one.unit) or Queue(self.weigh(one.unit), 0)
                queue[one.unit] = Queue(before.weight, before.calls + 1)
        return queue

    def _hear(self, ask: SlotAsk, answer: SlotAnswer, sent: int, waiting: Sequence[Waiter]) -> None:
        hand = self._hands[ask.name]
        hand.amount, hand.until, hand.short = answer.amount, sent + LASTS - MARGIN, answer.short
        hand.portion = answer.portion
        self.hear_spread(ask.name, answer.spread)
        if answer.amount >= ask.need:
            hand.dry_until = 0
        elif not answer.idle or any(one.asked for one in waiting if one.name == ask.name):
            hand.dry_until = self._clock.ticks() + DRY_FOR
        for one in waiting:
            if one.name == ask.name and not one.future.done():
                if answer.amount >= ask.need or hand.dry_until:
                    one.future.set_result(None)
                else:
                    one.asked = True
                    asyncio.get_running_loop().call_later(TICK, self._door.wake.set)
