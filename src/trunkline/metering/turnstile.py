"""Counts calls and attempts against every limit above them, before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.dialects.tokens import BYTES_PER_TOKEN
from trunkline.errors import RateLeft, RatesLeft
from trunkline.estate.stages import Attempt
from trunkline.metering.counters import Counter, Page
from trunkline.metering.limits import (
    CALLS,
    PROVISIONED,
    REQUESTS,
    REQUESTS_AT_ONCE,
    TOKENS,
    TOKENS_AT_ONCE,
    Limits,
    Rate,
)
from trunkline.metering.records import Settlement, Status
from trunkline.metering.refusals import Full, refuse
from trunkline.metering.shares import Scarce, Shares, ShareStore
from trunkline.metering.slots import Slots, SlotStore
from trunkline.observability.metrics import LimitReading
from trunkline.tenancy.callers import Caller

MOST_REMEMBERED = 100_000
USUAL_OUTPUT = 256
"""Tokens of an answer that are supposed where neither the caller says a limit nor any answer was seen."""
SMOOTH = 0.05
SAFELY_BELOW, LEAST, RISE = 0.98, 0.02, 1.000_5
"""How far below what was in use at a 429 units count as full, how low that may go, and its rise with each answer."""


class _Rows(msgspec.Struct, frozen=True):
    """The counters of a node, by what they count; buckets are what drains by itself."""

    tokens: tuple[Counter, ...] = ()
    requests: tuple[Counter, ...] = ()
    calls: tuple[Counter, ...] = ()
    buckets: tuple[Counter, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tokens or self.requests or self.calls or self.buckets)


_NO_ROWS = _Rows()
NONE_DECLARED = RatesLeft()


class Toll(msgspec.Struct, frozen=True):
    """Against what an attempt counts, in this order: put together once for all that are alike.

    Attributes:
        singles: counters that count one for it, with that one: calls and requests above the caller, then of the
            deployment.
        tokens: counters of tokens.
        buckets: what drains by itself.
        callers: how many of the singles are calls at once above the caller.
        entering: how many of the singles count with the call's first attempt only.
        ongoing: how many there are with calls at once at the deployment.
    """

    singles: tuple[tuple[Counter, int], ...]
    tokens: tuple[Counter, ...]
    buckets: tuple[Counter, ...]
    callers: int
    entering: int
    ongoing: int


Taken = tuple[Counter, int, int]
"""What was counted where: the amount, and when the window began."""


class SharedStore(ShareStore, SlotStore, Protocol):
    """Where several exchanges keep limits together."""


class Turnstile:
    """A worker's limits.

    Args:
        page: where its exchange counts.
        limits: those in force.
        clock: the worker's.
        store: where several exchanges share the limits; None where this one is alone.
        exchange: the name of the worker's exchange.

    Attributes:
        in_force: whether there are any; without one, nothing here costs a call anything.
        shares: asks for this exchange's parts of the limits; None where no other exchange keeps them.
        slots: the same for calls at once.
    """

    __slots__ = (
        "_above",
        "_at",
        "_ceilings",
        "_clock",
        "_counters",
        "_freed_at",
        "_limits",
        "_usual",
        "in_force",
        "page",
        "shares",
        "slots",
    )

    def __init__(
        self, page: Page, limits: Limits, clock: Clock, store: SharedStore | None = None, exchange: str = ""
    ) -> None:
        self.page = page
        self.shares = None if store is None else Shares(store, page, clock, lambda: tuple(self._counters.values()))
        self.slots = (
            None if store is None else Slots(store, page, clock, lambda: tuple(self._counters.values()), exchange)
        )
        self._clock = clock
        self._freed_at = 0
        self._usual: dict[str, float] = {}
        self._ceilings: dict[str, float] = {}
        self.adopt(limits)

    def adopt(self, limits: Limits) -> None:
        """Go on with the limits of another estate; what was counted stays counted."""
        with self.page.locked():
            counters = {rate.name: Counter(self.page, rate) for rate in limits}
        self._limits, self._counters = limits, counters
        self._above: dict[tuple[str, str, str, str, str], tuple[_Rows, dict[str, tuple[Toll, Toll]]]] = {}
        self._at = {name: self._rows(rates) for name, rates in limits.at.items()}
        self.in_force = bool(limits)

    def readings(self) -> dict[str, LimitReading]:
        """Return how the limits stand, of all workers together."""
        now = self._now()
        with self.page.locked():
            return {
                name: LimitReading(one.rate.limit, one.used(now), one.refused) for name, one in self._counters.items()
            }

    def above(self, attempt: Attempt) -> _Rows:
        """Return the counters above a caller's calls."""
        return self._known(attempt)[0]

    def toll(self, attempt: Attempt, *, again: bool) -> Toll:
        """Return against what an attempt counts; `again` where its call has counted against its caller's limits."""
        above, tolls = self._known(attempt)
        deployment = attempt.endpoint.deployment
        found = tolls.get(deployment)
        if found is None:
            at = self.at(deployment)
            found = tolls[deployment] = _toll(above, at, (*above.calls, *above.requests)), _toll(above, at, ())
        return found[again]

    def _known(self, attempt: Attempt) -> tuple[_Rows, dict[str, tuple[Toll, Toll]]]:
        permitted = attempt.permitted
        caller = permitted.caller
        # Callers name their end customers as they like, at any length: only names that limits are on are remembered.
        customer = permitted.asked.end_customer or ""
        if customer and ("end_customer", customer) not in self._limits.of:
            customer = ""
        return self._above_caller((caller.unit, permitted.decision.use_case, caller.key, caller.person or "", customer))

    async def count(self, caller: Caller) -> None:
        """Count a request that asks nothing of a model against the limits of requests above its caller.

        Raises:
            Full: a limit leaves no room.
            Unavailable: the store does not say whether there is more.
        """
        above, _ = self._above_caller((caller.unit, "", caller.key, caller.person or "", ""))
        wanted = [(one, 1) for one in above.requests]
        while wanted:
            try:
                self.take(wanted)
            except Scarce as scarce:
                await self.more(scarce, caller.unit)
            else:
                return

    def _above_caller(self, key: tuple[str, str, str, str, str]) -> tuple[_Rows, dict[str, tuple[Toll, Toll]]]:
        found = self._above.get(key)
        if found is None:
            if len(self._above) >= MOST_REMEMBERED:
                self._above.clear()
            found = self._above[key] = self._rows(self._limits.above(*key)), {}
        return found

    def left(self, attempt: Attempt) -> RatesLeft:
        """Return what a caller has left of the tightest of its own limits; what is held for calls counts as used."""
        above, now = self.above(attempt), self._now()
        if not above.requests and not above.tokens:
            return NONE_DECLARED
        with self.page.locked():
            return RatesLeft(_tightest(above.requests, now), _tightest(above.tokens, now))

    def at(self, deployment: str) -> _Rows:
        """Return the counters of a deployment, its boundary and its model there."""
        return self._at.get(deployment, _NO_ROWS)

    def bound_by(self, limit: str) -> list[str]:
        """Return the deployments that stand under a limit of calls at once, by its name."""
        return [name for name, rows in self._at.items() if any(one.rate.name == limit for one in rows.calls)]

    def take(self, wanted: list[tuple[Counter, int]]) -> list[Taken]:
        """Count all of it, or nothing.

        Raises:
            Full: a limit leaves no room.
            Scarce: this exchange has too little of it in hand.
        """
        now = self._now()
        with self.page.locked():
            alone = self.shares is None
            for counter, amount in wanted:
                if counter.windowed and alone:
                    if counter.used(now) + amount <= counter.rate.limit:
                        continue
                elif self._fits(counter, amount, now):
                    continue
                if self._may_have_more(counter, amount, now):
                    raise Scarce(counter, amount)
                counter.refuse()
                raise Full(counter.rate, refuse(counter, amount, now, self.shares))
            taken = [(counter, amount, counter.take(amount)) for counter, amount in wanted]
            if self.shares is not None:
                self.shares.look(counter for counter, _ in wanted)
            return taken

    def found_full(self, deployment: str) -> None:
        """Take notice that a provider had no room in its units: what was in use then is all that there is, for a while.

        So the depth of its bucket, which nobody publishes, is learnt; each answer lets it rise a little again.
        """
        units = [one for one in self.at(deployment).buckets if one.rate.counts == PROVISIONED]
        if not units:
            return
        now = self._now()
        with self.page.locked():
            for counter in units:
                self._ceilings[counter.rate.name] = max(counter.used(now) * SAFELY_BELOW, counter.rate.limit * LEAST)

    def foresee(self, attempt: Attempt, rate: Rate) -> int:
        """Return what an attempt will put into a bucket: its prompt, more or less, and its output limit.

        Without a limit it is what answers there usually have, and for a quota no more than that anyway. What it took in
        the end replaces this.
        """
        if rate.counts == REQUESTS_AT_ONCE:
            return 1
        asked = attempt.permitted.asked
        limit = asked.output_limit
        each = self._usual.get(rate.name, USUAL_OUTPUT)
        if limit is not None:
            each = min(limit, each) if rate.counts == TOKENS_AT_ONCE else limit
        return asked.prompt_bound // BYTES_PER_TOKEN + rate.ratio * int(each) * asked.answers

    def learn(self, taken: list[Taken], settlement: Settlement) -> list[Taken]:
        """Learn from what an attempt took in the end, and return what is to be taken back of what was foreseen.

        A token that was cached took nothing of units. Where nobody says what was used, what was foreseen stays: the
        most that it can have been would be far too much.
        """
        usage = settlement.usage
        given: list[Taken] = []
        if usage.estimated:
            return given
        for one, held, starts in taken:
            rate = one.rate
            if rate.counts == REQUESTS_AT_ONCE:
                continue
            if settlement.status is Status.OK:
                usual = self._usual.get(rate.name, USUAL_OUTPUT)
                self._usual[rate.name] = usual + (usage.output - usual) * SMOOTH
                if (ceiling := self._ceilings.get(rate.name)) is not None:
                    self._ceilings[rate.name] = min(ceiling * RISE, rate.limit)
            cached = usage.cached if rate.counts == PROVISIONED else 0
            given.append((one, held - (usage.input - cached) - rate.ratio * usage.output, starts))
        return given

    async def more(self, scarce: Scarce, unit: str) -> None:
        """Wait with a unit's call until this exchange has more of a limit in hand, or it is known that there is none.

        Raises:
            Unavailable: the store does not answer.
        """
        if self.slots is not None and scarce.counter.rate.counts == CALLS:
            await self.slots.more(scarce.counter, unit)
        elif self.shares is not None:
            await self.shares.more(scarce.counter, scarce.amount)

    def give(self, taken: Iterable[Taken]) -> None:
        """Take back what was counted."""
        with self.page.locked():
            for counter, amount, starts in taken:
                counter.give(amount, starts)

    def _now(self) -> int:
        return self._clock.now() if self.shares is None else self.shares.now()

    def _may_have_more(self, counter: Counter, amount: int, now: int) -> bool:
        """Whether the store of several exchanges may have more of a limit for this one."""
        if self.slots is not None and counter.rate.counts == CALLS:
            return not self.slots.is_dry(counter)
        if counter.rate.drains:
            return False
        fits = counter.used(now) + amount <= counter.rate.limit
        return fits and self.shares is not None and not self.shares.is_dry(counter, amount)

    def _fits(self, counter: Counter, amount: int, now: int) -> bool:
        rate = counter.rate
        limit = rate.limit
        if rate.drains:  # What the last call adds may lie above it, as the provider has it.
            return counter.has_room(now, self._ceilings.get(rate.name, limit) if self._ceilings else limit)
        if self.slots is not None and rate.counts == CALLS:
            return counter.mine + amount <= self.slots.held(counter)
        used = counter.used(now)
        if self.shares is not None and rate.per:
            limit = min(limit, counter.granted)
        if used + amount <= limit:
            return True
        if rate.counts != CALLS or now - self._freed_at < NANOS_PER_SECOND // 10:
            return False
        self._freed_at = now
        self.page.free_lanes()
        return counter.used(now) + amount <= limit

    def _rows(self, rates: Iterable[Rate]) -> _Rows:
        counters = [self._counters[rate.name] for rate in rates]
        by = {what: tuple(one for one in counters if one.rate.counts == what) for what in (TOKENS, REQUESTS, CALLS)}
        buckets = tuple(one for one in counters if one.rate.drains)
        return _Rows(by[TOKENS], by[REQUESTS], by[CALLS], buckets)


def _toll(above: _Rows, at: _Rows, call: tuple[Counter, ...]) -> Toll:
    return Toll(
        singles=tuple((one, 1) for one in (*call, *at.calls, *at.requests)),
        tokens=above.tokens + at.tokens,
        buckets=at.buckets,
        callers=len(above.calls) if call else 0,
        entering=len(call),
        ongoing=len(call) + len(at.calls),
    )


def _tightest(counters: tuple[Counter, ...], now: int) -> RateLeft | None:
    """The limit with the least left; of several, the one that is whole again last."""
    if not counters:
        return None
    lefts = []
    for counter in counters:
        limit, left, ends = counter.rate.limit, counter.rate.limit - counter.used(now), counter.ends(now)
        lefts.append((max(left, 0), -ends, limit))
    left, ends, limit = min(lefts)
    return RateLeft(limit, left, max(-ends - now, 0) / NANOS_PER_SECOND, -ends)
