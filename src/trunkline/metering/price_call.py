"""What usage costs, and the most that it can cost: one formula, in whole numbers, rounded once."""

from __future__ import annotations

from trunkline.estate.stages import UnitPrice
from trunkline.messages import Usage
from trunkline.money import Nano, hold_picos, settle_picos


def cost(usage: Usage, price: UnitPrice) -> Nano:
    """Return what the usage costs, in billionths of the estate's currency; rounded once, half up.

    Tokens read from and written to the provider's cache are part of the input and have prices of their own. Reasoning
    is part of the output. Never negative: counts below zero are taken as zero, and where an upstream reports more
    cached tokens than input, the cached ones are booked in full and no others.
    """
    cached, cache_write = max(usage.cached, 0), max(usage.cache_write, 0)
    plain = max(usage.input - cached - cache_write, 0)
    long = min(max(usage.cache_write_long, 0), cache_write)
    return settle_picos(
        plain * price.input
        + cached * price.cache_read
        + (cache_write - long) * price.cache_write
        + long * max(price.cache_write_long, price.cache_write)
        + max(usage.output, 0) * price.output
    )


def hold(bound_input: int, bound_output: int, answers: int, price: UnitPrice) -> Nano:
    """Return the most that an attempt can cost within its bounds, in billionths of the estate's currency; rounded up.

    Args:
        bound_input: no fewer than the prompt's tokens, however they split into plain, cached and cache-written ones.
        bound_output: no fewer than the tokens of one answer.
        answers: how many answers are asked for.
        price: the deployment's price. Any kind of input token may turn out to be the dearest.
    """
    dearest = max(price.input, price.cache_read, price.cache_write, price.cache_write_long)
    return hold_picos(max(bound_input, 0) * dearest + max(bound_output, 0) * max(answers, 1) * price.output)
