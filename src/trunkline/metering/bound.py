"""The most that a call can use and cost at an endpoint: what is held before it is sent."""

from __future__ import annotations

from trunkline.estate.stages import Endpoint, Permitted
from trunkline.messages import Operation, Usage
from trunkline.metering import price_call
from trunkline.money import Nano

# Callers and upstreams may claim any number: it must fit a column, and sums of it too, or the ledger would stop at it.
MOST_TOKENS = 1 << 40
MOST_MONEY = Nano(1 << 53)


def bound_of(permitted: Permitted, endpoint: Endpoint) -> Usage:
    """Return the most tokens that a call can use: the prompt's bytes, and each answer asked for at its limit."""
    asked = permitted.asked
    if asked.operation is Operation.EMBEDDINGS:
        return Usage(input=min(asked.prompt_bound, MOST_TOKENS), estimated=True)
    output = _one_answer(permitted, endpoint) * max(asked.answers, 1)
    return Usage(input=min(asked.prompt_bound, MOST_TOKENS), output=min(output, MOST_TOKENS), estimated=True)


def most(permitted: Permitted, endpoint: Endpoint) -> Nano:
    """Return the most that a call can cost, in billionths of the estate's currency."""
    asked = permitted.asked
    output = 0 if asked.operation is Operation.EMBEDDINGS else _one_answer(permitted, endpoint)
    return limited(price_call.hold(asked.prompt_bound, output, asked.answers, endpoint.price))


def limited(amount: int) -> Nano:
    """Return an amount that the ledger can hold: nine million of the currency at most, for one attempt."""
    return Nano(min(amount, MOST_MONEY))


def plausible(usage: Usage) -> Usage:
    """Return usage with each count fit to be stored; one that was not makes it estimated."""
    counts = (usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning)
    if min(counts) >= 0 and max(counts) <= MOST_TOKENS:
        return usage
    fit = [min(max(count, 0), MOST_TOKENS) for count in counts]
    return Usage(fit[0], fit[1], fit[2], fit[3], fit[4], estimated=True)


def _one_answer(permitted: Permitted, endpoint: Endpoint) -> int:
    limit = permitted.asked.output_limit
    return limit if limit is not None else endpoint.output_bound
