"""The list of models, always in one page. Source: Cohere API reference, "List models"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.cards import ModelCard, extras
from trunkline.messages import Operation

ENDPOINTS: Final = {Operation.CHAT.value: "chat", Operation.EMBEDDINGS.value: "embed"}

_encode = msgspec.json.Encoder().encode


def write_list(cards: Sequence[ModelCard]) -> bytes:
    """Write all that a caller may name."""
    return _encode({"models": [_card(card) for card in cards]})


def write_one(card: ModelCard) -> bytes:
    """Write one of them."""
    return _encode(_card(card))


def _card(card: ModelCard) -> dict[str, object]:
    return extras(card) | {
        "name": card.id,
        "endpoints": [ENDPOINTS[one] for one in card.operations],
        "default_endpoints": [],
        "finetuned": False,
        "context_length": card.context_length,
        "tokenizer_url": None,
        "is_deprecated": card.ends,
    }
