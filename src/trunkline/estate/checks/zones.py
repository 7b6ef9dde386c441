from __future__ import annotations

from trunkline.catalog.controls import ZONES
from trunkline.config.faults import Faults, suggestion
from trunkline.estate.declared import Declared
from trunkline.estate.zones import Zone, Zones


def check_zones(declared: Declared, faults: Faults) -> None:
    """A zone of the estate's own goes by zones there are, never by itself, and its parts lie in what it lies within."""
    known = (*ZONES, *declared.names("zones"))
    for name, zone in declared.zones.items():
        if name in ZONES:
            message = f'"{name}" is a zone that everybody knows; give yours another name'
            faults.add(declared.place_of_name("zones", name), message)
        if not zone.around and not zone.contains:
            message = f'zone "{name}" says neither what it lies `within` nor what it `contains`; write one of them'
            faults.add(declared.place_of_name("zones", name), message)
        for field, names in (("within", zone.around), ("contains", zone.contains)):
            for index, one in enumerate(names):
                if one not in known:
                    path = (index,) if isinstance(getattr(zone, field), tuple) else ()
                    message = f'zone "{one}" is not known{suggestion(one, known)}'
                    faults.add(declared.place("zones", name, field, *path), message)
    if not _check_circles(declared, faults):
        _check_parts(declared, faults)


def _check_circles(declared: Declared, faults: Faults) -> bool:
    """Report each circle once; say whether there is one."""
    seen: set[str] = set()
    circles = False
    for name in declared.zones:
        circle = _circle(declared.zones, (name,))
        if circle:
            circles = True
            if not seen.intersection(circle):
                way = " > ".join(circle)
                faults.add(declared.place_of_name("zones", circle[0]), f"zones go in a circle: {way}")
            seen.update(circle)
    return circles


def _circle(zones: dict[str, Zone], way: tuple[str, ...]) -> tuple[str, ...]:
    """The circle that a way through what zones are declared by ends in; empty where it ends in none."""
    zone = zones.get(way[-1])
    for step in (*zone.around, *zone.contains) if zone is not None else ():
        if step in way:
            return (*way[way.index(step) :], step)
        if circle := _circle(zones, (*way, step)):
            return circle
    return ()


def _check_parts(declared: Declared, faults: Faults) -> None:
    zones = Zones(declared.zones)
    for name, zone in declared.zones.items():
        for index, part in enumerate(zone.contains):
            outside = [one for one in zone.around if part in zones.names and not zones.lies_in(part, one)]
            if outside and all(one in zones.names for one in outside):
                message = f'"{part}" does not lie in {outside[0]}; take it out, or write another `within`'
                faults.add(declared.place("zones", name, "contains", index), message)
