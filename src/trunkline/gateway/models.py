"""What this caller may name in `model`, in the shape of its dialect."""

from __future__ import annotations

from urllib.parse import unquote

from trunkline.dialects.cards import ModelCard
from trunkline.dialects.dialect import Models
from trunkline.errors import Unknown
from trunkline.estate.snapshot import Offer
from trunkline.gateway.exchange import Exchange
from trunkline.policy.permit import offered
from trunkline.tenancy.callers import Caller


def list_models(exchange: Exchange, caller: Caller, shape: Models) -> bytes:
    """Return the list as clients read it, with pattern, data class and context length beside each name."""
    return shape.write_list([card(offer) for offer in offered(exchange.snapshot, caller)])


def show_model(exchange: Exchange, caller: Caller, shape: Models, name: str) -> bytes:
    """Return one of them.

    Raises:
        Unknown: this caller has no such use case or model.
    """
    name = unquote(name)
    for offer in offered(exchange.snapshot, caller):
        if offer.name == name:
            return shape.write_one(card(offer))
    raise Unknown(f'There is no model or use case "{name}" for this key. GET {shape.path} lists yours.')


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
        output_bound=endpoints[0].output_bound if endpoints else 0,
        operations=tuple(operation.value for operation in offer.by_operation),
        tokeniser=endpoints[0].tokeniser if endpoints else None,
        ends=decision.warning != "",
    )
