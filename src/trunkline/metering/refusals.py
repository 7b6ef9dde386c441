"""What callers are told where a limit leaves no room."""

from __future__ import annotations

import math

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import RateLimited
from trunkline.metering.counters import Counter
from trunkline.metering.limits import CALLS, PROVISIONED, REQUESTS, REQUESTS_AT_ONCE, TOKENS, Rate
from trunkline.metering.shares import Shares

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


def refuse(counter: Counter, amount: int, now: int, shares: Shares | None) -> RateLimited:
    """Say that a limit leaves no room for so much, when it may, and what to do.

    Args:
        counter: of the limit.
        amount: what an attempt would have counted.
        now: nanoseconds since 1970, as the limit's windows go by.
        shares: this exchange's parts of the limits; None where no other exchange keeps them.
    """
    rate = counter.rate
    if rate.drains:
        wait = max(1, math.ceil((counter.ends(now) - now) / NANOS_PER_SECOND))
        if rate.counts == PROVISIONED:
            return RateLimited(f"There is no room in {rate.words}. Some will be in {wait} s.", retry_after=wait)
        what = REQUESTS if rate.counts == REQUESTS_AT_ONCE else TOKENS
        message = f"{rate.words} takes {rate.drains} {what} a minute, and {rate.limit} at once: so many are under way."
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
    if rate.burst and shares is not None and shares.comes(counter):
        return RateLimited(
            f"{_begin(rate.words)} takes {rate.limit} {rate.counts} a minute, evenly, for all exchanges together. "
            f"Try again in a moment. {whom}",
            retry_after=MOMENT,
        )
    most = rate.limit if shares is None else min(rate.limit, counter.granted)
    left = max(most - counter.used(now), 0)
    need = f", and this call may use up to {amount}" if rate.counts == TOKENS else ""
    return RateLimited(
        f"Too much in too short a time for {what}: {left} are left{need}. It begins anew in {wait} s. {whom}",
        retry_after=wait,
        final=wait > SOON,
    )


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]
