"""Usage as Responses report it. Source: OpenAI API reference, "The response object", field `usage`."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.fields import NOTHING
from trunkline.dialects.openai.usage import read_media, write_media
from trunkline.messages import Usage


class InputDetails(msgspec.Struct, frozen=True):
    """What of the prompt came out of the provider's cache, or went into it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """What of the answer was reasoning."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class UsageFields(msgspec.Struct, frozen=True):
    """The `usage` object."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


_decode = msgspec.json.Decoder(UsageFields).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the upstream's own usage, or None where it gives none that can be believed."""
    if bytes(raw) in NOTHING:
        return None
    try:
        fields = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if fields.input_tokens is None:
        return None
    before, after = fields.input_tokens_details or InputDetails(), fields.output_tokens_details or OutputDetails()
    counts = (
        fields.input_tokens,
        before.cached_tokens or 0,
        before.cache_write_tokens or 0,
        fields.output_tokens or 0,
        after.reasoning_tokens or 0,
    )
    return None if min(counts) < 0 else Usage(*counts, media=read_media(before, after))


def write_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            **write_media(usage.media, output=False),
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning, **write_media(usage.media, output=True)},
        "total_tokens": usage.input + usage.output,
    }
