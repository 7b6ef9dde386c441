"""The most that a call can use and cost at an endpoint: what is held before it is sent."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Permitted
from trunkline.messages import Asked, Operation, Usage
from trunkline.metering import price_call
from trunkline.money import Nano

# Callers and upstreams may claim any number: it must fit a column, and sums of it too, or the ledger would stop at it.
MOST_TOKENS = 1 << 40
TOOLS = "tools"
"""The field of a request with tools, in every dialect."""
MOST_MONEY = Nano(1 << 53)
MEDIA: Final = (
    r"image|audio|video|file|inline|media|document|blob|cached|item_reference|previous_response|computer|browser|mcp"
    r"|code_?(?:execution|interpreter)|url_?context|(?:web|google|enterprise|file)_?(?:search|fetch)|retriev|maps"
)
"""What stands in the name or kind of everything, in any dialect, by which sound or pictures may come into a prompt."""
NAMED: Final = re.compile(rf"{MEDIA}|^conversation$|^prompt$", re.IGNORECASE)
QUOTED: Final = re.compile(rf'"[A-Za-z0-9_.]*(?:{MEDIA})[A-Za-z0-9_.]*"|\\u00[2-7]'.encode(), re.IGNORECASE)
"""Such a name as it stands in a body, or the escape of a letter, which may spell one. Quotes in a text are escaped."""
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
    price = endpoint.price
    media = price.media is not None and holds_media(asked)
    return usage, limited(price_call.hold(prompt, output, asked.answers, price, media=media))


def holds_media(asked: Asked) -> bool:
    """Whether the prompt may hold sound or pictures: all that cannot be told to be text alone may.

    Read as bytes, for a request is looked at only where they would cost something else than text.
    """
    return any(NAMED.search(name) or QUOTED.search(memoryview(raw)) for name, raw in asked.fields.items())


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
