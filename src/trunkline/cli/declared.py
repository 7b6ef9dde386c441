"""The estate that names are held against: the one given, else the one last applied in the data folder."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from trunkline.app.applied import applied_estate
from trunkline.estate.estate import Estate
from trunkline.estate.load import load


class Declared(msgspec.Struct, frozen=True):
    """An estate, or none where none is known; and the zone its dates are in (None: this machine's)."""

    estate: Estate | None = None

    @property
    def zone(self) -> tzinfo | None:
        """The zone of the estate."""
        return ZoneInfo(self.estate.time_zone) if self.estate is not None else None


def read_declared(data: Path, estate: Path | None) -> Declared:
    """Read the estate at a path, or the one last applied in the data folder, where there is one.

    Raises:
        errors.BadEstate: it has faults.
    """
    if estate is not None:
        return Declared(load(estate.expanduser()).estate)
    path = applied_estate(data)
    return Declared(load(path).estate) if path is not None else Declared()
