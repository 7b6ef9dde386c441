"""Counts calls and attempts against every limit above them, before they are sent, and says why one must wait."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.errors import RateLeft, RateLimited, RatesLeft
from trunkline.estate.stages import Attempt
from trunkline.metering.counters import Counter, Page
from trunkline.metering.hold import Hold
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
from trunkline.metering.shares import Scarce, Shares, ShareStore
from trunkline.metering.slots import Slots, SlotStore
from trunkline.observability.metrics import LimitReading

MOST_REMEMBERED = 100_000
BYTES_PER_TOKEN = 4
USUAL_OUTPUT = 256
"""Tokens of an answer that are supposed where neither the caller says a limit nor any answer was seen."""
SMOOTH = 0.05
SAFELY_BELOW, LEAST, RISE = 0.98, 0.02, 1.000_5
"""How far below what was in use at a 429 units count as full, how low that may go, and its rise with each answer."""
SOON = 60
"""Seconds after which official SDKs still come back by themselves."""
MOMENT = 1
"""Seconds after which another call at once may be over."""


class Full(Exception):
    """A limit leaves no room for an attempt; never leaves the exchange.

    Attributes:
        rate: which limit.
        refusal: what the caller is told where nothing else can take the call.
    """

    def __init__(self, rate: Rate, refusal: RateLimited) -> None:
        super().__init__(rate.name)
        self.rate = rate
        self.refusal = refusal


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
        self._above: dict[tuple[str, str, str, str, str], _Rows] = {}
        self._at = {name: self._rows(rates) for name, rates in limits.at.items()}
        self.in_force = bool(limits)

    def visit(self) -> Visit:
        """Return what one call counts; leaving its `with` block releases what must not stay."""
        return Visit(self)

    def readings(self) -> dict[str, LimitReading]:
        """Return how the limits stand, of all workers together."""
        now = self._now()
        with self.page.locked():
            return {
                name: LimitReading(one.rate.limit, one.used(now), one.refused) for name, one in self._counters.items()
            }

    def above(self, attempt: Attempt) -> _Rows:
        """Return the counters above a caller's calls."""
        permitted = attempt.permitted
        caller = permitted.caller
        # Callers name their end customers as they like, at any length: only names that limits are on are remembered.
        customer = permitted.asked.end_customer or ""
        if customer and ("end_customer", customer) not in self._limits.of:
            customer = ""
        key = (caller.unit, permitted.decision.use_case, caller.key, caller.person or "", customer)
        found = self._above.get(key)
        if found is None:
            if len(self._above) >= MOST_REMEMBERED:
                self._above.clear()
            found = self._above[key] = self._rows(self._limits.above(*key))
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
            for counter, amount in wanted:
                if self._fits(counter, amount, now):
                    continue
                if self._may_have_more(counter, amount, now):
                    raise Scarce(counter, amount)
                counter.refuse()
                raise Full(counter.rate, self._refuse(counter, amount, now))
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

    def worked(self, taken: list[Taken], settlement: Settlement) -> list[Taken]:
        """Return what is to be taken back of what was foreseen; a token that was cached took nothing of units.

        Where nobody says what was used, what was foreseen stays: the most that it can have been would be far too much.
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

    def _refuse(self, counter: Counter, amount: int, now: int) -> RateLimited:
        rate = counter.rate
        if rate.drains:
            wait = max(1, math.ceil((counter.ends(now) - now) / NANOS_PER_SECOND))
            if rate.counts == PROVISIONED:
                return RateLimited(f"There is no room in {rate.words}. Some will be in {wait} s.", retry_after=wait)
            what = REQUESTS if rate.counts == REQUESTS_AT_ONCE else TOKENS
            message = (
                f"{rate.words} takes {rate.drains} {what} a minute, and {rate.limit} at once: so many are under way."
            )
            return RateLimited(f"{_begin(message)} The next may go in {wait} s.", retry_after=wait)
        whom = f'For more, ask unit "{rate.owner}".' if rate.owner else "For more, ask who declared it."
        if rate.counts == CALLS:
            return RateLimited(
                f"There is room for {rate.limit} calls at once of {rate.words}, and so many are under way. "
                f"Try again in a moment. {whom}",
                retry_after=MOMENT,
            )
        what = f"the limit of {rate.words}, {rate.limit} {rate.counts} per {rate.per}"
        if amount > rate.limit:
            return RateLimited(
                f"This call may use up to {amount} {rate.counts}, more than {what} allows at all: ask for fewer with "
                f"a lower output limit, such as `max_tokens`. {whom}",
                final=True,
            )
        wait = max(1, math.ceil((counter.ends(now) - now) / NANOS_PER_SECOND))
        if rate.burst and self.shares is not None and self.shares.comes(counter):
            return RateLimited(
                f"{_begin(rate.words)} takes {rate.limit} {rate.counts} a minute, evenly, for all exchanges together. "
                f"Try again in a moment. {whom}",
                retry_after=MOMENT,
            )
        most = rate.limit if self.shares is None else min(rate.limit, counter.granted)
        left = max(most - counter.used(now), 0)
        need = f", and this call may use up to {amount}" if rate.counts == TOKENS else ""
        return RateLimited(
            f"Too much in too short a time for {what}: {left} are left{need}. It begins anew in {wait} s. {whom}",
            retry_after=wait,
            final=wait > SOON,
        )


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tightest(counters: Iterable[Counter], now: int) -> RateLeft | None:
    """The limit with the least left; of several, the one that is whole again last."""
    found: RateLeft | None = None
    for counter in counters:
        limit, ends = counter.rate.limit, counter.ends(now)
        left = RateLeft(limit, max(limit - counter.used(now), 0), max(ends - now, 0) / NANOS_PER_SECOND, ends)
        if found is None or (left.left, -left.resets_at) < (found.left, -found.resets_at):
            found = left
    return found


class Visit:
    """What one call counts, from its first attempt to its end.

    A call counts once against its caller's limits, and each attempt against those of its deployment and boundary.
    Tokens are held at the most that an attempt can use, and corrected as soon as more is known.

    Attributes:
        hold: of the attempt that was written last; None until there is one.
        told: whether the caller was told what is left of its limits.
    """

    __slots__ = ("_buckets", "_call", "_entered", "_ongoing", "_requests", "_tokens", "_turnstile", "hold", "told")

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self._entered = False
        self._call: list[Taken] = []
        self._requests: list[Taken] = []
        self._tokens: list[Taken] = []
        self._buckets: list[Taken] = []
        self._ongoing: list[Taken] = []
        self.hold: Hold | None = None
        self.told = False

    def left(self, attempt: Attempt) -> RatesLeft:
        """Return what the caller has left of its own limits."""
        return self._turnstile.left(attempt)

    async def admit(self, attempt: Attempt) -> None:
        """Count an attempt, and with the first one the call.

        Raises:
            Full: a limit leaves no room; nothing is counted.
            Unavailable: the store does not say whether there is more.
        """
        turnstile = self._turnstile
        self._end_attempt()
        above, at = turnstile.above(attempt), turnstile.at(attempt.endpoint.deployment)
        if not above and not at:
            return
        tokens = attempt.bound.input + attempt.bound.output
        call = () if self._entered else (*above.calls, *above.requests)
        held = (*above.tokens, *at.tokens)
        wanted = [
            *((one, 1) for one in (*call, *at.calls, *at.requests)),
            *((one, tokens) for one in held),
        ]
        if at.buckets:
            wanted += [(one, turnstile.foresee(attempt, one.rate)) for one in at.buckets]
        while True:
            try:
                taken = turnstile.take(wanted)
                break
            except Scarce as scarce:
                await turnstile.more(scarce, attempt.permitted.caller.unit)
        if not self._entered:
            self._entered = True
            self._call = taken[: len(above.calls)]
        began = len(call) + len(at.calls)
        self._ongoing = taken[len(call) : began]
        self._requests = taken[began : began + len(at.requests)]
        buckets = len(taken) - len(at.buckets)
        self._tokens = taken[began + len(at.requests) : buckets]
        self._buckets = taken[buckets:]

    def _end_attempt(self, *, last: bool = False) -> None:
        """Release what an attempt had under way, and correct what it held."""
        given = self._ongoing
        settlement = None if self.hold is None else self.hold.settlement
        if settlement is not None:
            usage = settlement.usage
            used = usage.input + usage.output
            given = given + [(counter, held - used, starts) for counter, held, starts in self._tokens]
            if self._buckets:
                given = given + self._turnstile.worked(self._buckets, settlement)
        elif self.hold is None:
            given = given + self._tokens + self._requests + self._buckets
        if last:
            given = given + self._call
        if given:
            self._turnstile.give(given)
        self._ongoing, self._tokens, self._requests, self._buckets, self.hold = [], [], [], [], None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_attempt(last=True)
