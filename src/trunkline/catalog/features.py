"""What a request may use beside a plain prompt, as data in `features.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.catalog.read import read_file


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something a request may use that a provider's terms treat apart.

    Attributes:
        questions: the controls on which a claim must cover this feature by name; without one they are unknown.
    """

    meaning: str
    questions: tuple[str, ...]


FEATURES: Final[Mapping[str, Feature]] = MappingProxyType(read_file("features.yaml", dict[str, Feature]))
"""Every feature by its name."""
