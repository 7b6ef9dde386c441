"""What a caller may name in `model`, before it is written in the shape of its dialect."""

from __future__ import annotations

import msgspec


class ModelCard(msgspec.Struct, frozen=True):
    """One use case or direct model as callers list it.

    Attributes:
        pattern: where a call goes first; `patterns` all that it may go to.
        context_length: of where it goes first, in tokens; None where nobody knows.
        use_case: the use case that applies.
        ready: false while none of its deployments can be called.
        output_bound: the most tokens of one answer there; 0 while there is none.
        operations: what its deployments can be asked to do.
        tokeniser: of where it goes first, by the name of its vocabulary; None where none is published.
        ends: whether the use case is deprecated.
    """

    id: str
    owned_by: str
    data_class: str
    pattern: str | None
    patterns: tuple[str, ...]
    context_length: int | None
    use_case: str
    ready: bool
    output_bound: int = 0
    operations: tuple[str, ...] = ()
    ends: bool = False
    tokeniser: str | None = None


class Extras(msgspec.Struct, frozen=True):
    """What stands beside a dialect's own fields, the same in each."""

    use_case: str
    data_class: str
    pattern: str | None
    patterns: tuple[str, ...]
    context_length: int | None
    tokeniser: str | None
    ready: bool


def extras(card: ModelCard) -> dict[str, object]:
    """What a card tells beside the dialect's own fields."""
    told = Extras(
        card.use_case, card.data_class, card.pattern, card.patterns, card.context_length, card.tokeniser, card.ready
    )
    return msgspec.structs.asdict(told)
