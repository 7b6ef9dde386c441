"""The neutral form of embeddings: texts, and the vectors that stand for them."""

from __future__ import annotations

import msgspec

from trunkline.dialects.neutral import Uncarried
from trunkline.messages import Usage


class Texts(msgspec.Struct, frozen=True):
    """A request: one vector for each text, of so many dimensions where that is asked for."""

    inputs: tuple[str, ...]
    dimensions: int | None = None
    uncarried: tuple[Uncarried, ...] = ()


class Vectors(msgspec.Struct, frozen=True):
    """An answer: a vector for each text, in their order, each as a JSON array of numbers.

    `usage` is None where the upstream gives none that can be believed.
    """

    model: str
    vectors: tuple[msgspec.Raw, ...]
    usage: Usage | None = None
