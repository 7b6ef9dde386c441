"""The list of models, always in one page. Source: Gemini API reference, "Models"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.cards import ModelCard, extras
from trunkline.dialects.gemini.names import BUFFERED, COUNT, EMBED, EMBED_ONE, STREAMED
from trunkline.messages import Operation

METHODS: Final = {
    Operation.CHAT.value: (BUFFERED, STREAMED, COUNT),
    Operation.EMBEDDINGS.value: (EMBED_ONE, EMBED),
}
"""What can be asked of a model, by what it can do."""

_encode = msgspec.json.Encoder().encode


def write_list(cards: Sequence[ModelCard]) -> bytes:
    """Write all that a caller may name."""
    return _encode({"models": [_card(card) for card in cards]})


def write_one(card: ModelCard) -> bytes:
    """Write one of them."""
    return _encode(_card(card))


def _card(card: ModelCard) -> dict[str, object]:
    told: dict[str, object] = {"name": f"models/{card.id}", "baseModelId": card.id, "displayName": card.id}
    if card.context_length is not None:
        told["inputTokenLimit"] = card.context_length
    if card.output_bound:
        told["outputTokenLimit"] = card.output_bound
    methods = [method for operation in card.operations for method in METHODS.get(operation, ())]
    return told | {"supportedGenerationMethods": methods, **extras(card)}
