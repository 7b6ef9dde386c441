"""The list of models. Source: OpenAI API reference, "List models"."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.dialects.cards import ModelCard, extras

_encode = msgspec.json.Encoder().encode


def write_list(cards: Sequence[ModelCard]) -> bytes:
    """Write all that a caller may name."""
    return _encode({"object": "list", "data": [_card(card) for card in cards]})


def write_one(card: ModelCard) -> bytes:
    """Write one of them."""
    return _encode(_card(card))


def _card(card: ModelCard) -> dict[str, object]:
    return {"id": card.id, "object": "model", "created": 0, "owned_by": card.owned_by, **extras(card)}
