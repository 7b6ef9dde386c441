"""What this caller may name in `model`. Source: OpenAI API reference, "List models"."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from trunkline.errors import Unknown
from trunkline.estate.stages import Offer
from trunkline.gateway.exchange import Exchange
from trunkline.policy.permit import offered
from trunkline.tenancy.callers import Caller


class ModelCard(msgspec.Struct, frozen=True):
    """One use case or direct model as callers list it.

    `pattern` is where a call goes first; `patterns` all that it may go to. `ready` is false while none of its
    deployments can be called.
    """

    id: str
    owned_by: str
    data_class: str
    pattern: str | None
    patterns: tuple[str, ...]
    context_length: int | None
    use_case: str
    ready: bool
    object: str = "model"
    created: int = 0


def list_models(exchange: Exchange, caller: Caller) -> bytes:
    """Return the list as OpenAI's clients read it, with pattern, data class and context length beside each name."""
    cards = [card(offer) for offer in offered(exchange.snapshot, caller)]
    return msgspec.json.encode({"object": "list", "data": cards})


def show_model(exchange: Exchange, caller: Caller, name: str) -> bytes:
    """Return one of them.

    Raises:
        Unknown: this caller has no such use case or model.
    """
    name = unquote(name)
    for offer in offered(exchange.snapshot, caller):
        if offer.name == name:
            return msgspec.json.encode(card(offer))
    raise Unknown(f'There is no model or use case "{name}" for this key. GET /v1/models lists yours.')


def card(offer: Offer) -> ModelCard:
    """Describe an offer under its own data class."""
    decision = offer.decisions[offer.data_class]
    endpoints = tuple(decision.endpoints)
    return ModelCard(
        id=offer.name,
        owned_by=decision.owner,
        data_class=offer.data_class,
        pattern=endpoints[0].pattern.value if endpoints else None,
        patterns=tuple(dict.fromkeys(endpoint.pattern.value for endpoint in endpoints)),
        context_length=endpoints[0].context_length if endpoints else None,
        use_case=offer.use_case,
        ready=bool(endpoints),
    )
