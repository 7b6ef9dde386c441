from __future__ import annotations

from trunkline.config.faults import Faults, suggestion
from trunkline.estate.budgets import Node
from trunkline.estate.declared import Declared
from trunkline.estate.merge import Owned


def check_ownership(declared: Declared, owned: tuple[Owned, ...], faults: Faults) -> None:
    """A file with `owner: UNIT` sets budgets and limits only on that unit, the units below it, and what these own."""
    for file in owned:
        owner = file.owner.text
        if owner not in declared.names("units"):
            message = f'unit "{owner}" is not declared{suggestion(owner, declared.names("units"))}'
            faults.add(file.owner.place, message)
            continue
        for section, index in file.entries:
            bound = (declared.budgets if section == "budgets" else declared.limits).get(index)
            unit = None if bound is None else _unit_of(declared, bound.on)
            if bound is not None and (unit is None or owner not in declared.lineage(unit)):
                message = f'this file belongs to "{owner}"; `on` names that unit, one below it, or what they own'
                faults.add(declared.place(section, index, "on"), message)


def _unit_of(declared: Declared, node: Node) -> str | None:
    """Return the unit that a budget's node belongs to, as far as the estate says."""
    if node.unit is not None:
        return node.unit
    if node.use_case in declared.use_cases:
        return declared.use_cases[node.use_case].owner
    if node.boundary in declared.boundaries:
        return declared.boundaries[node.boundary].owner
    if node.deployment in declared.deployments:
        deployment = declared.deployments[node.deployment]
        boundary = declared.boundaries.get(deployment.boundary)
        return deployment.owner or (boundary.owner if boundary is not None else None)
    return None
