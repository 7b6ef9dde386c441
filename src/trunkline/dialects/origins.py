"""Whose signatures are told apart: the names of all dialects that there are or may come to be."""

from __future__ import annotations

from typing import Final

ORIGINS: Final = frozenset({"openai", "responses", "anthropic", "gemini", "bedrock", "cohere"})
