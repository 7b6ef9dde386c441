"""Usage as Cohere reports it. Source: Cohere API reference, "Chat" and "Embed", fields `usage` and `meta`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.fields import NOTHING
from trunkline.messages import Media, Usage

MOST: Final = 2**53
"""Counts come as numbers with a point; above this one, they are not whole any more."""


class Units(msgspec.Struct, frozen=True):
    """Tokens, of one of the two ways in which Cohere counts them; pictures that were embedded are counted apart."""

    input_tokens: float | None = None
    output_tokens: float | None = None
    image_tokens: float | None = None


class UsageFields(msgspec.Struct, frozen=True):
    """The `usage` object of a chat, and the `meta` object of embeddings.

    `billed_units` is what is paid for; `tokens` has what Cohere's own words around the prompt take as well. What was
    written to a cache and what was thought, this exchange alone tells: of answers that another provider gave.
    """

    billed_units: Units | None = None
    tokens: Units | None = None
    cached_tokens: float | None = None
    cache_write_tokens: float | None = None
    reasoning_tokens: float | None = None


_decode = msgspec.json.Decoder(UsageFields).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the upstream's own usage as billed, or None where it gives none that can be believed.

    Cached tokens are counted among all tokens, of which fewer are billed: so no more of them count than are billed.
    """
    if bytes(raw) in NOTHING:
        return None
    try:
        fields = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    units = fields.billed_units or fields.tokens
    if units is None or (units.input_tokens is None and units.image_tokens is None):
        return None
    counts = (
        (units.input_tokens or 0) + (units.image_tokens or 0),
        fields.cached_tokens or 0,
        fields.cache_write_tokens or 0,
        units.output_tokens or 0,
        fields.reasoning_tokens or 0,
    )
    if min(counts) < 0 or max(counts) > MOST:
        return None
    prompt, cached, written, output, reasoning = map(int, counts)
    drawn = int(units.image_tokens or 0)
    media = Media(input_image=drawn) if drawn else None
    return Usage(prompt, min(cached, prompt), written, output, reasoning, media=media)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the `usage` object."""
    tokens = {"input_tokens": usage.input, "output_tokens": usage.output}
    if usage.media is not None and usage.media.input_image:
        tokens["input_tokens"] = max(usage.input - usage.media.input_image, 0)
        tokens["image_tokens"] = usage.input - tokens["input_tokens"]
    written: dict[str, Any] = {"billed_units": tokens, "tokens": tokens, "cached_tokens": usage.cached}
    if usage.cache_write:
        written["cache_write_tokens"] = usage.cache_write
    if usage.reasoning:
        written["reasoning_tokens"] = usage.reasoning
    return written
