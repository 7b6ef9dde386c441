"""The list of models, always in one page. Source: Claude API reference, "List models"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.cards import ModelCard, extras

UNKNOWN_DAY: Final = "1970-01-01T00:00:00Z"
"""What the reference has for a model whose day is not known."""

_encode = msgspec.json.Encoder().encode


def write_list(cards: Sequence[ModelCard]) -> bytes:
    """Write all that a caller may name."""
    first, last = (cards[0].id, cards[-1].id) if cards else (None, None)
    page = {"data": [_card(card) for card in cards], "has_more": False, "first_id": first, "last_id": last}
    return _encode(page)


def write_one(card: ModelCard) -> bytes:
    """Write one of them."""
    return _encode(_card(card))


def _card(card: ModelCard) -> dict[str, object]:
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.id,
        "created_at": UNKNOWN_DAY,
        "lifecycle": "deprecated" if card.ends else "active",
        "max_input_tokens": card.context_length,
        "max_tokens": card.output_bound or None,
        **extras(card),
    }
