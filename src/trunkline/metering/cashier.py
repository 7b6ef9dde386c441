"""Holds each attempt in every budget above it, and says in words why one cannot be held."""

from __future__ import annotations

import msgspec

from trunkline.clock import Clock, as_datetime
from trunkline.config.zones import find_zone
from trunkline.errors import OverBudget
from trunkline.estate.stages import Attempt
from trunkline.messages import Operation
from trunkline.metering.budgets import Budgets, Stands
from trunkline.metering.periods import FOREVER
from trunkline.metering.purse import Purse
from trunkline.metering.purses import Pledge, Purses, Short
from trunkline.money import bare

CUSTOMER = "end_customer"
KEY = "key"
PERSON = "person"
MOST_REMEMBERED = 100_000
SOON, LATER = 1, 30
"""Seconds after which to try again: where what is held is held by who is alive, and where it is frozen."""
SHORTER = " It costs less with a shorter prompt, and a lower limit of its answer such as `max_tokens`."


class Above(msgspec.Struct, frozen=True):
    """The budgets above a kind of call, with the hard one that names itself first."""

    purses: tuple[Purse, ...]
    hard: Stands | None


class Cashier:
    """A worker's budgets.

    Attributes:
        in_force: whether there are any; without one, nothing here costs a call anything.
    """

    __slots__ = ("_above", "_budgets", "_by_name", "_clock", "_good_until", "_purses", "in_force")

    def __init__(self, purses: Purses, budgets: Budgets, clock: Clock) -> None:
        self._purses = purses
        self._clock = clock
        self.adopt(budgets)

    def adopt(self, budgets: Budgets) -> None:
        """Go on with the budgets of another estate."""
        self._budgets = budgets
        self._by_name = {one.account.name: one for one in budgets}
        self._above: dict[tuple[str, ...], Above] = {}
        self._purses.adopt(one.account for one in budgets)
        self._good_until = 0
        self.in_force = bool(budgets)

    async def pledge(self, attempt: Attempt) -> Pledge | None:
        """Hold an attempt in every budget above it; None where there is none, or it costs nothing.

        Where nothing can be held and the answer may state a cost, it is pledged all the same: what it states counts.

        Raises:
            OverBudget: a hard budget has not enough left, or cannot tell what the attempt costs.
            Unavailable: the store is away, and what was leased is used up.
        """
        above = self._look_up(attempt)
        if not above.purses:
            return None
        if above.hard is not None and not attempt.endpoint.price.known:
            raise _priceless(attempt, above.hard)
        if not attempt.hold and not _may_be_stated(attempt):
            return None
        try:
            pledge = await self._purses.pledge(above.purses, attempt.hold)
        except Short as short:
            raise self._refuse(short) from None
        if above.hard is not None:
            pledge.output_limit = limit_to_send(attempt)
        return pledge

    def _look_up(self, attempt: Attempt) -> Above:
        permitted, endpoint = attempt.permitted, attempt.endpoint
        caller = permitted.caller
        # Callers name their end customers as they like, at any length: only names that budgets are on are remembered.
        customer, person, declared_on = permitted.asked.end_customer or "", caller.person or "", self._budgets.of
        if customer and (CUSTOMER, customer) not in declared_on:
            customer = ""
        if person and (PERSON, person) not in declared_on:
            person = ""
        key = (caller.unit, permitted.decision.use_case, endpoint.deployment, caller.key, person, customer)
        now = self._clock.now()
        if now >= self._good_until:
            self._look_again(now)
        found = self._above.get(key)
        if found is None:
            budgets = self._budgets
            declared = (
                *budgets.on(KEY, caller.key),
                *budgets.on(PERSON, person),
                *budgets.on(CUSTOMER, customer),
                *budgets.above(caller.unit, permitted.decision.use_case, endpoint.deployment, endpoint.boundary),
            )
            stands = [one for one in declared if one.fixed is None or one.fixed.holds(now)]
            hard = next((one for one in stands if one.account.hard), None)
            found = Above(self._purses.named(one.account.name for one in stands), hard)
            if len(self._above) >= MOST_REMEMBERED:
                self._above.clear()
            self._above[key] = found
        return found

    def _look_again(self, now: int) -> None:
        """Forget what was looked up: a budget of fixed dates begins or ends."""
        self._above.clear()
        fixed = [one.fixed for one in self._budgets if one.fixed is not None]
        dates = [date for period in fixed for date in (period.starts, period.ends) if date > now]
        self._good_until = min(dates, default=FOREVER)

    def _refuse(self, short: Short) -> OverBudget:
        stands = self._by_name.get(short.account.name)
        if stands is None:
            return OverBudget("A budget above this call was taken out while it waited. Try again.", final=False)
        answer, currency = short.answer, stands.currency
        limit = answer.limit if answer is not None else short.account.limit
        left = max(limit - answer.settled - answer.leased, 0) if answer is not None else 0
        period = f"per {stands.per}" if stands.fixed is None else f"in {stands.per}"
        anew = _anew(stands, answer.now) if answer is not None else ""
        held = f", {bare(answer.leased)} are held for calls under way" if answer is not None and answer.leased else ""
        used_up = short.final and not left
        state, shorter = ("is used up", "") if used_up else ("has too little left for this call", SHORTER)
        again = None if short.final else SOON if short.soon else LATER
        return OverBudget(
            f"The budget of {stands.words} {state}: of {bare(limit)} {currency} {period}, {bare(left)} are "
            f"left{held}, and this call may cost up to {bare(short.wanted)}.{_returns(short, currency)}"
            f"{shorter}{anew}{_whom(stands)}",
            final=short.final,
            retry_after=again,
        )


def _returns(short: Short, currency: str) -> str:
    """What may come back of what is held, in words."""
    answer = short.answer
    if short.final or answer is None:
        return ""
    others = f", {bare(answer.others)} {currency} of it by other workers and exchanges" if answer.others else ""
    if short.soon:
        return f" What is held may cost less in the end and come back{others}: try again in a moment."
    return f" {bare(answer.frozen)} {currency} of it come back once the journal is read of a worker that is gone."


def limit_to_send(attempt: Attempt) -> int | None:
    """Return the bound of each answer that has to be sent upstream; None where something else bounds them.

    Where the model's context is shorter than prompt and bound together, the context bounds them by itself.
    """
    asked, endpoint = attempt.permitted.asked, attempt.endpoint
    if asked.output_limit is not None or asked.operation is not Operation.CHAT:
        return None
    context = endpoint.context_length
    if context is not None and attempt.bound.input + endpoint.output_bound > context:
        return None
    return endpoint.output_bound


def _may_be_stated(attempt: Attempt) -> bool:
    """Whether an attempt that nothing can be held for may still be billed: at what its answer states."""
    return attempt.endpoint.price.stated is not None and not attempt.permitted.asked.counts_only


def _priceless(attempt: Attempt, stands: Stands) -> OverBudget:
    deployment = attempt.endpoint.deployment
    return OverBudget(
        f"{deployment} has no known price, and the hard budget of {stands.words} stands above this call: what it costs "
        f"could not be held. Give the deployment a `price`.{_whom(stands)}",
        code="price_unknown",
    )


def _anew(stands: Stands, now: int) -> str:
    if stands.fixed is not None:
        return ""
    zone = find_zone(stands.zone)
    ends = as_datetime(stands.account.period_at(now).ends)
    local = ends.astimezone(zone) if zone is not None else ends
    return f" The budget begins anew on {local:%Y-%m-%d at %H:%M} ({stands.zone})."


def _whom(stands: Stands) -> str:
    return f' For more, ask unit "{stands.owner}".' if stands.owner else " For more, ask who declared it."
