from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from trunkline.estate.names import Group, UnitName


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node of the organisation tree: company, division or team. The one without a parent is the root.

    May be written as its cost centre alone. Where capacity is short, a unit of `weight` 3 gets three times as much of
    it as one of weight 1; units below it have weights of their own.
    """

    short_form: ClassVar[str] = "cost_centre"

    cost_centre: str
    parent: UnitName | None = None
    name: str | None = None
    groups: tuple[Group, ...] = ()
    weight: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
