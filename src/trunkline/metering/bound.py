"""The most that a call can use and cost at an endpoint: what is held before it is sent."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Permitted
from trunkline.messages import Operation, Usage
from trunkline.metering import price_call
from trunkline.money import Nano

# Callers and upstreams may claim any number: it must fit a column, and sums of it too, or the ledger would stop at it.
MOST_TOKENS = 1 << 40
TOOLS = "tools"
"""The field of a request with tools, in every dialect."""
MOST_MONEY = Nano(1 << 53)
COUNTS: Final = ("input", "cached", "cache_write", "output", "reasoning")
"""The counts of usage that are stored."""


def bound(permitted: Permitted, endpoint: Endpoint) -> tuple[Usage, Nano]:
    """Return the most tokens that a call can use at an endpoint, and the most it can cost there.

    A prompt has no more tokens than bytes, the use case's instructions included; each answer no more than its limit.
    """
    asked, instructions = permitted.asked, permitted.decision.instructions
    if asked.counts_only:
        return Usage(), Nano(0)
    prompt = asked.prompt_bound + (len(instructions.encode()) if instructions else 0)
    if endpoint.tools_prompt and TOOLS in asked.fields:
        prompt += endpoint.tools_prompt
    output = 0
    if asked.operation is not Operation.EMBEDDINGS:
        output = asked.output_limit if asked.output_limit is not None else endpoint.output_bound
    usage = Usage(input=prompt, output=min(output * asked.answers, MOST_TOKENS), estimated=True)
    return usage, limited(price_call.hold(prompt, output, asked.answers, endpoint.price))


def limited(amount: int) -> Nano:
    """Return an amount that the ledger can hold: nine million of the currency at most, for one attempt."""
    return Nano(min(amount, MOST_MONEY))


def plausible(usage: Usage) -> Usage:
    """Return usage with each count fit to be stored; one that was not makes it estimated."""
    if (
        0 <= usage.input <= MOST_TOKENS
        and 0 <= usage.cached <= MOST_TOKENS
        and 0 <= usage.cache_write <= MOST_TOKENS
        and 0 <= usage.output <= MOST_TOKENS
        and 0 <= usage.reasoning <= MOST_TOKENS
    ):
        return usage
    fit = {name: min(max(getattr(usage, name), 0), MOST_TOKENS) for name in COUNTS}
    return msgspec.structs.replace(usage, **fit, estimated=True)
