"""Usage as Google reports it. Source: Gemini API reference, "UsageMetadata"; "Billing" (thoughts cost as output)."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.fields import NOTHING
from trunkline.messages import Media, Usage


class Counted(msgspec.Struct, frozen=True, rename="camel"):
    """How many tokens there are of one kind of content."""

    modality: str = ""
    token_count: int | None = None


class UsageFields(msgspec.Struct, frozen=True, rename="camel"):
    """The `usageMetadata` object.

    The prompt's count includes what came out of a cache, but not what tools at the provider read into it; the
    candidates' count leaves out thoughts. What was written to a cache is told by this exchange alone: of answers that
    another provider gave.
    """

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cache_write_token_count: int | None = None
    prompt_tokens_details: tuple[Counted, ...] | None = None
    tool_use_prompt_tokens_details: tuple[Counted, ...] | None = None
    cache_tokens_details: tuple[Counted, ...] | None = None
    candidates_tokens_details: tuple[Counted, ...] | None = None


AUDIO, IMAGE = "AUDIO", "IMAGE"

_decode = msgspec.json.Decoder(UsageFields).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the upstream's own usage as billed, or None where it gives none that can be believed."""
    if bytes(raw) in NOTHING:
        return None
    try:
        fields = _decode(raw)
    except msgspec.DecodeError:
        return None
    if fields.prompt_token_count is None:
        return None
    thoughts, tools = fields.thoughts_token_count or 0, fields.tool_use_prompt_token_count or 0
    said, cached = fields.candidates_token_count or 0, fields.cached_content_token_count or 0
    kept = fields.cache_write_token_count or 0
    if min(fields.prompt_token_count, thoughts, tools, said, cached, kept) < 0:
        return None
    return Usage(
        input=fields.prompt_token_count + tools,
        cached=cached,
        cache_write=kept,
        output=said + thoughts,
        reasoning=thoughts,
        media=_media(fields),
    )


def _media(fields: UsageFields) -> Media | None:
    """What is no text. Other kinds than sound and pictures cost what text does, or are told as pictures."""
    prompt = (*(fields.prompt_tokens_details or ()), *(fields.tool_use_prompt_tokens_details or ()))
    listed = (prompt, fields.cache_tokens_details or (), fields.candidates_tokens_details or ())
    counts = [_count(counted, kind) for counted in listed for kind in (AUDIO, IMAGE)]
    return Media(*counts) if any(counts) and min(counts) >= 0 else None


def _count(counted: tuple[Counted, ...], kind: str) -> int:
    return sum(one.token_count or 0 for one in counted if one.modality == kind)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the `usageMetadata` object."""
    written: dict[str, Any] = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(usage.output - usage.reasoning, 0),
        "totalTokenCount": usage.input + max(usage.output, usage.reasoning),
    }
    if usage.cached:
        written["cachedContentTokenCount"] = usage.cached
    if usage.cache_write:
        written["cacheWriteTokenCount"] = usage.cache_write
    if usage.reasoning:
        written["thoughtsTokenCount"] = usage.reasoning
    if usage.media is not None:
        media = usage.media
        told = {
            "promptTokensDetails": (usage.input, media.input_audio, media.input_image),
            "cacheTokensDetails": (usage.cached, media.cached_audio, media.cached_image),
            "candidatesTokensDetails": (usage.output - usage.reasoning, media.output_audio, media.output_image),
        }
        written |= {name: _details(*counts) for name, counts in told.items() if any(counts[1:])}
    return written


def _details(whole: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = {"TEXT": max(whole - audio - image, 0), AUDIO: audio, IMAGE: image}
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items() if count]
