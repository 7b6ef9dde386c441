"""How many tokens there may be in text that nobody counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from trunkline.errors import Garbled
from trunkline.messages import Asked, Usage

BYTES_PER_TOKEN: Final = 4
PICTURE: Final = 1_600
"""Tokens of a picture of which nobody knows the size. Source: Claude platform documentation, "Vision" (the most that
one takes which is not made smaller)."""
LEAST: Final = 4_096
"""Shorter prompts are not searched for pictures."""
LEAST_PICTURE: Final = 1_024
"""Letters that begin as a picture does, and are no more than so many, may be words."""
BEGINNING: Final = re.compile(rb'[",](?:iVBORw0KGgo|/9j/|\\/9j\\/|_9j_|R0lGOD|UklGR.{7}RUJQ)')
"""How PNG, JPEG, GIF and WebP begin in base64, in the alphabet of addresses and with escapes as well."""
ENDING: Final = re.compile(rb"[^A-Za-z0-9+/=_\\-]")


def read_counted(decode: Callable[[bytes], int], body: bytes) -> int:
    """Read how many tokens an upstream counted.

    Raises:
        Garbled: it does not say.
    """
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is no count of tokens", inside=f"no count: {error}", said=said) from error


def estimate_prompt(written: Iterable[msgspec.Raw]) -> int:
    """Estimate the tokens of a prompt from the JSON that it is written in; pictures are no text."""
    return sum(map(_estimate, written))


def _estimate(raw: msgspec.Raw) -> int:
    view = memoryview(raw)
    if len(view) < LEAST:
        return estimate_tokens(len(view))
    size, pictures, at = len(view), 0, 0
    while (found := BEGINNING.search(view, at)) is not None:
        end = ENDING.search(view, found.end())
        at = len(view) if end is None else end.start()
        if at - found.start() >= LEAST_PICTURE:
            size -= at - found.start()
            pictures += 1
    return estimate_tokens(size) + pictures * PICTURE


def estimate_usage(asked: Asked, names: Iterable[str], produced: int) -> Usage:
    """Estimate usage from these fields of a request, and from the bytes or characters that were produced."""
    prompt = estimate_prompt(asked.fields[name] for name in names if name in asked.fields)
    return Usage(input=prompt, output=estimate_tokens(produced), estimated=True)


def cut_short(told: Usage | None, counted: Usage) -> Usage:
    """Return the usage of a stream that was cut: the larger of the upstream's last word and what was counted."""
    if told is None:
        return counted
    return msgspec.structs.replace(told, output=max(told.output, counted.output), estimated=True)


def estimate_tokens(size: int) -> int:
    """Estimate the tokens in that many bytes of text: one in four, rounded up.

    Source: OpenAI help centre, "What are tokens and how to count them?" (a token is about four characters of English).
    """
    return -(-size // BYTES_PER_TOKEN)
