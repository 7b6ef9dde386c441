"""What the exchange itself keeps, as data in `stores.yaml`: the same claims as any deployment, made by the exchange."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.catalog.read import read_file


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the exchange's own stores.

    Attributes:
        keeps: what it is for.
        tables: of the store's database that are this store's.
        files: patterns of the paths below the data folder that are.
        content: whether prompts, answers and what an upstream says of them can be written there at all.
        controls: what the exchange says of it. A control that is absent is unknown and satisfies nothing.
    """

    keeps: str
    content: bool
    controls: dict[str, ControlValue] = {}
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


STORES: Final[Mapping[str, Store]] = MappingProxyType(read_file("stores.yaml", dict[str, Store]))
"""Every store by its name."""
