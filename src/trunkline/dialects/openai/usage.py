"""Usage as those report it who speak OpenAI's dialect.

Source: OpenAI API reference, "The chat completion object", field `usage`. Where others differ, their answers tell so by
themselves: DeepSeek API docs, "Context caching" (`prompt_cache_hit_tokens`); xAI documentation, "Consumption and rate
limits" (reasoning counted beside the completion, within the total alone); Groq API reference (`x_groq.usage`).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.messages import Media, Usage


class PromptDetails(msgspec.Struct, frozen=True):
    """What of the prompt came out of the provider's cache, or went into it, and what of it is no text."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionDetails(msgspec.Struct, frozen=True):
    """What of the answer was reasoning, or is no text."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class Details(Protocol):
    """Of either, what is no text."""

    @property
    def audio_tokens(self) -> int | None:
        """Tokens of sound."""
        ...

    @property
    def image_tokens(self) -> int | None:
        """Tokens of pictures."""
        ...


class UsageFields(msgspec.Struct, frozen=True):
    """The `usage` object of an answer or of a stream's last event."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Groq(msgspec.Struct, frozen=True):
    """What Groq adds to the last event of a stream."""

    usage: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(UsageFields).decode


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the upstream's own usage, or None where it gives none that can be believed.

    A count below zero, of the wrong type or without prompt tokens is none: the attempt is then counted and marked
    as estimated.
    """
    if bytes(raw) in NOTHING:
        return None
    try:
        fields = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    prompt, cached, write = fields.prompt_tokens, fields.prompt_cache_hit_tokens or 0, 0
    if prompt is None:
        return None
    output, reasoning = fields.completion_tokens or 0, 0
    if details := fields.prompt_tokens_details:
        cached, write = details.cached_tokens or cached, details.cache_write_tokens or 0
    if completion := fields.completion_tokens_details:
        reasoning = completion.reasoning_tokens or 0
        if reasoning and fields.total_tokens == prompt + output + reasoning:
            output += reasoning
    if prompt < 0 or output < 0 or cached < 0 or write < 0 or reasoning < 0:
        return None
    media = read_media(fields.prompt_tokens_details, fields.completion_tokens_details)
    return Usage(input=prompt, cached=cached, cache_write=write, output=output, reasoning=reasoning, media=media)


def read_media(prompt: Details | None, completion: Details | None) -> Media | None:
    """What of a prompt and of an answer is no text; None where all is, or nothing of it can be believed."""
    counts = [
        (details.audio_tokens or 0, details.image_tokens or 0) if details is not None else (0, 0)
        for details in (prompt, completion)
    ]
    (audio, image), (said, drawn) = counts
    if not (audio or image or said or drawn) or min(audio, image, said, drawn) < 0:
        return None
    return Media(input_audio=audio, input_image=image, output_audio=said, output_image=drawn)


def write_media(media: Media | None, *, output: bool) -> dict[str, int]:
    """The details that tell what is no text."""
    if media is None:
        return {}
    audio, image = (media.output_audio, media.output_image) if output else (media.input_audio, media.input_image)
    told = {"audio_tokens": audio, "image_tokens": image}
    return {name: count for name, count in told.items() if count}
