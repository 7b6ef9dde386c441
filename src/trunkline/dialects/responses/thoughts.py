"""Items with thoughts, which a caller hands back so that their provider can take them up again.

Source: OpenAI API reference, "The response object", items of type `reasoning`. A thought that can be read has a
summary, be it an empty one; one without is encrypted as a whole. What was signed elsewhere names its origin.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.neutral import Reasoning, seal, unseal
from trunkline.dialects.origins import ORIGINS
from trunkline.dialects.responses.codec import DIALECT
from trunkline.dialects.taking import Taking

BETWEEN: Final = "\n\n"
ID_END: Final = "#"
"""Ends the item's id, which its provider may ask for again, before the encrypted thought in one signature."""


def of_provider(item_id: str, encrypted: str, text: str) -> Reasoning:
    """A thought as the provider tells it, which keeps its item's id."""
    sealed = f"{item_id}{ID_END}{encrypted}"
    return Reasoning(text, sealed, origin=DIALECT) if text else Reasoning(redacted=sealed, origin=DIALECT)


def read_thought(taking: Taking) -> Reasoning | None:
    """Read the item of a caller; None for one that says nothing."""
    item_id = taking.text("id")
    paragraphs = [one.text("text") or "" for one in taking.inners("summary")]
    words = [one.text("text") or "" for one in taking.inners("content")]
    readable, text = bool(paragraphs or words), BETWEEN.join(words or paragraphs)
    encrypted = taking.text("encrypted_content")
    if encrypted is None:
        return Reasoning(text, origin=DIALECT) if text else None
    origin, signature = unseal(encrypted, DIALECT, ORIGINS)
    if origin == DIALECT:
        return of_provider(item_id or "", signature, text)
    return Reasoning(text, signature, origin=origin) if readable else Reasoning(redacted=signature, origin=origin)


def write_thought(thought: Reasoning, item_id: str) -> dict[str, Any]:
    """The item for a caller, or for the provider that made it."""
    signature = thought.redacted if thought.redacted is not None else thought.signature
    if thought.origin == DIALECT and signature is not None:
        known, _, signature = signature.rpartition(ID_END)
        item_id = known or item_id
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": []}
    if thought.redacted is None and (thought.text or thought.origin != DIALECT):
        item["summary"] = [{"type": "summary_text", "text": thought.text}]
    if signature is not None:
        item["encrypted_content"] = seal(thought.origin, signature, DIALECT)
    return item
