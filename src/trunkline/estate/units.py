from __future__ import annotations

from typing import ClassVar

import msgspec

from trunkline.estate.names import Group, UnitName


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node of the organisation tree: company, division or team. The one without a parent is the root.

    May be written as its cost centre alone.
    """

    short_form: ClassVar[str] = "cost_centre"

    cost_centre: str
    parent: UnitName | None = None
    name: str | None = None
    groups: tuple[Group, ...] = ()
