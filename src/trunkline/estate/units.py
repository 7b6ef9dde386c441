from __future__ import annotations

import msgspec


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node of the organisation tree: company, division or team. The one without a parent is the root."""

    cost_centre: str
    parent: str | None = None
    name: str | None = None
    groups: tuple[str, ...] = ()
