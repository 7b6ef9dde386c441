"""What a model can do, whoever serves it."""

from __future__ import annotations

from typing import Literal

import msgspec

from trunkline.catalog.read import read_folder
from trunkline.messages import Operation


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model, named as the estate names it (`vendor/model`).

    Attributes:
        operations: what it can be asked to do.
        context_length: the most tokens of prompt and answer together.
        output_bound: the most tokens of one answer; None where only the context length bounds it.
        source: where this was read.
    """

    model: str
    operations: tuple[Operation, ...]
    source: str
    context_length: int | None = None
    output_bound: int | None = None
    features: tuple[Literal["tools", "images", "json_schema"], ...] = ()


def load_profiles() -> dict[str, Profile]:
    """Read the profiles that ship with the package, by model.

    Raises:
        Unstartable: a file of the installation is damaged.
    """
    return {profile.model: profile for profile in read_folder("profiles", Profile)}
