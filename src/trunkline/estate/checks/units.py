from __future__ import annotations

from trunkline.config.faults import Faults
from trunkline.estate.declared import Declared


def check_units(declared: Declared, faults: Faults) -> None:
    """Units are one tree: exactly one root, no circles."""
    if not declared.count("units"):
        if "units" in declared.unread:
            return
        faults.add(
            declared.place("units"), "the estate lacks units; declare at least the root, such as `units: {acme: CC-1}`"
        )
        return
    if not _check_circles(declared, faults):
        _check_root(declared, faults)


def _check_root(declared: Declared, faults: Faults) -> None:
    roots = [name for name, unit in declared.units.items() if unit.parent is None]
    if not roots and len(declared.units) == declared.count("units"):
        faults.add(declared.place("units"), "every unit has a parent; exactly one, the root, must have none")
    for name in roots[1:]:
        message = (
            f'unit "{name}" has no parent, nor has "{roots[0]}"; exactly one unit is the root: give this one a parent'
        )
        faults.add(declared.place_of_name("units", name), message)


def _check_circles(declared: Declared, faults: Faults) -> bool:
    """Report each circle once; say whether there is one."""
    seen: set[str] = set()
    circles = False
    for name in declared.units:
        if name in seen:
            continue
        lineage = declared.lineage(name)
        above = declared.units[lineage[-1]].parent
        if above in lineage:
            circle = lineage[lineage.index(above) :]
            if not seen.intersection(circle):
                circles = True
                way = " > ".join((*circle, circle[0]))
                faults.add(declared.place("units", circle[0], "parent"), f"parents go in a circle: {way}")
        seen.update(lineage)
    return circles
