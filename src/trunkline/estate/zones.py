"""Where zones lie in one another: those of the catalogue, and those that the estate declares beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from trunkline.catalog.controls import ZONES


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zone of the estate's own, which residency may speak of like any other.

    With `contains` it is made of these zones and nothing else: they lie in it, and it lies in all that all of them lie
    in. Without, it is a place of its own, such as a data centre, that lies `within` what is said. Beside `contains`,
    `within` is held against what it contains.
    """

    within: str | tuple[str, ...] = ()
    contains: tuple[str, ...] = ()

    @property
    def around(self) -> tuple[str, ...]:
        """What `within` names, as a list."""
        return (self.within,) if isinstance(self.within, str) else self.within


class Zones:
    """All zones there are for an estate. What a zone that is made of others lies in is worked out, never believed."""

    def __init__(self, own: Mapping[str, Zone] | None = None) -> None:
        self._own = own or {}
        self._around: dict[str, tuple[str, ...]] = dict(ZONES)
        for name, zone in self._own.items():
            # A name of the catalogue's keeps its meaning.
            if name not in ZONES:
                self._around[name] = () if zone.contains else zone.around
        for name, zone in self._own.items():
            for part in zone.contains:
                if part in self._around and name not in ZONES:
                    self._around[part] = (*self._around[part], name)
        self._found: dict[str, frozenset[str]] = {}
        self._widen()

    @property
    def names(self) -> tuple[str, ...]:
        """Every zone's name."""
        return tuple(self._around)

    def lies_in(self, zone: str, other: str) -> bool:
        """Whether all of a zone lies in another; one that nobody knows lies nowhere."""
        return zone in self._around and other in self.around(zone)

    def around(self, zone: str) -> frozenset[str]:
        """Return all zones that a zone lies in, itself included."""
        if zone not in self._found:
            found, waiting = {zone}, [zone]
            while waiting:
                fresh = set(self._around.get(waiting.pop(), ())) - found
                found |= fresh
                waiting += fresh
            self._found[zone] = frozenset(found)
        return self._found[zone]

    def _widen(self) -> None:
        """Let what is made of others lie wherever all of them lie, until nothing more follows."""
        made = {name: zone.contains for name, zone in self._own.items() if zone.contains and name not in ZONES}
        widened = True
        while widened:
            widened = False
            for name, parts in made.items():
                if more := self._shared(parts) - self.around(name):
                    self._around[name] = (*self._around[name], *sorted(more))
                    self._found.clear()
                    widened = True

    def _shared(self, parts: Iterable[str]) -> frozenset[str]:
        around = [self.around(part) for part in parts]
        return frozenset.intersection(*around)


CATALOGUE: Final = Zones()
"""The zones of an estate that declares none of its own."""


def known_zones(own: Mapping[str, Zone]) -> Zones:
    """Return all zones that an estate with these of its own knows."""
    return Zones(own) if own else CATALOGUE
