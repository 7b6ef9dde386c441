"""How many tokens there may be in text that nobody counted."""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 4


def estimate_tokens(size: int) -> int:
    """Estimate the tokens in that many bytes of text: one in four, rounded up.

    Source: OpenAI help centre, "What are tokens and how to count them?" (a token is about four characters of English).
    """
    return -(-size // BYTES_PER_TOKEN)
