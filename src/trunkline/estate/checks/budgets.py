"""Budgets and limits: what they bind, and that a unit is not promised more than what stands above it."""

from __future__ import annotations

from trunkline.config.faults import Faults
from trunkline.config.zones import describe_unknown_zone, find_zone
from trunkline.estate.budgets import Budget, Node
from trunkline.estate.declared import Declared


def check_budgets(declared: Declared, faults: Faults) -> None:
    """Hold budgets and limits against their rules."""
    for index, budget in declared.budgets.items():
        _check_node(declared, faults, ("budgets", index, "on"), budget.on)
        if budget.time_zone is not None and find_zone(budget.time_zone) is None:
            faults.add(declared.place("budgets", index, "time_zone"), describe_unknown_zone(budget.time_zone))
        _check_above(declared, faults, index, budget)
    for index, limit in declared.limits.items():
        _check_node(declared, faults, ("limits", index, "on"), limit.on)
        if all(value is None for value in (limit.tpm, limit.rpm, limit.tpd, limit.rpd, limit.concurrency)):
            message = "a limit needs at least one of tpm, rpm, tpd, rpd, concurrency"
            faults.add(declared.place("limits", index), message)


def _check_node(declared: Declared, faults: Faults, path: tuple[str | int, ...], node: Node) -> None:
    kinds = node.__struct_fields__
    given = [kind for kind in kinds if getattr(node, kind) is not None]
    if len(given) != 1:
        message = f"`on` is empty; write one of {', '.join(kinds)}"
        if given:
            message = f"`on` names exactly one thing; this has {' and '.join(given)}"
        faults.add(declared.place(*path), message)


def _check_above(declared: Declared, faults: Faults, index: int, budget: Budget) -> None:
    """A hard budget larger than a hard one above it could never be used up: someone was promised too much."""
    if not budget.hard or budget.on.unit is None:
        return
    above = declared.lineage(budget.on.unit)[1:]
    for other in declared.budgets.values():
        if other.hard and other.per == budget.per and other.on.unit in above and other.amount < budget.amount:
            message = (
                f'{budget.amount} a {budget.per} is more than the {other.amount} that "{other.on.unit}" above it has; '
                "lower one or raise the other"
            )
            faults.add(declared.place("budgets", index, "amount"), message)
