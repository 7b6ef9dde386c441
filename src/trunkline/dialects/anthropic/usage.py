"""Usage as Anthropic reports it. Source: Claude API reference, "Create a message", field `usage`; "Prompt caching"."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.fields import NOTHING
from trunkline.messages import Usage


class OutputDetails(msgspec.Struct, frozen=True):
    """What of the answer was thought."""

    thinking_tokens: int | None = None


class CacheCreation(msgspec.Struct, frozen=True):
    """What went into the cache, by how long it is kept."""

    ephemeral_1h_input_tokens: int | None = None


class UsageFields(msgspec.Struct, frozen=True):
    """The `usage` object. `input_tokens` leaves out what was read from and written to the cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: CacheCreation | None = None


_decode = msgspec.json.Decoder(UsageFields).decode


def read_fields(raw: msgspec.Raw) -> UsageFields | None:
    """Return the object, or None where there is none that can be read."""
    if bytes(raw) in NOTHING:
        return None
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def merge(before: UsageFields | None, now: UsageFields | None) -> UsageFields | None:
    """Lay what a later event of a stream says over what earlier ones said: counts are cumulative."""
    if before is None or now is None:
        return now or before
    return UsageFields(
        before.input_tokens if now.input_tokens is None else now.input_tokens,
        before.output_tokens if now.output_tokens is None else now.output_tokens,
        before.cache_creation_input_tokens
        if now.cache_creation_input_tokens is None
        else now.cache_creation_input_tokens,
        before.cache_read_input_tokens if now.cache_read_input_tokens is None else now.cache_read_input_tokens,
        now.output_tokens_details or before.output_tokens_details,
        now.cache_creation or before.cache_creation,
    )


def as_billed(fields: UsageFields | None) -> Usage | None:
    """Return usage by kind, every prompt token counted as input; None where it cannot be believed."""
    if fields is None or fields.input_tokens is None:
        return None
    cached, written = fields.cache_read_input_tokens or 0, fields.cache_creation_input_tokens or 0
    output = fields.output_tokens or 0
    details = fields.output_tokens_details
    reasoning = (details.thinking_tokens or 0) if details is not None else 0
    kept = fields.cache_creation
    long = (kept.ephemeral_1h_input_tokens or 0) if kept is not None else 0
    if min(fields.input_tokens, cached, written, output, reasoning, long) < 0:
        return None
    return Usage(
        input=fields.input_tokens + cached + written,
        cached=cached,
        cache_write=written,
        output=output,
        reasoning=reasoning,
        cache_write_long=min(long, written),
    )


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """Return the `usage` object."""
    if usage is None:
        usage = Usage()
    written: dict[str, Any] = {
        "input_tokens": max(usage.input - usage.cached - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.cache_write_long:
        short = usage.cache_write - usage.cache_write_long
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": short,
            "ephemeral_1h_input_tokens": usage.cache_write_long,
        }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written
