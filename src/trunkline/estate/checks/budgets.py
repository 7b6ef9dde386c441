"""Budgets and limits: what they bind, and that a unit is not promised more than what stands above it."""

from __future__ import annotations

from trunkline.config.faults import Faults
from trunkline.config.zones import describe_unknown_zone, find_zone
from trunkline.estate.budgets import Budget, Limit, Node
from trunkline.estate.declared import Declared
from trunkline.estate.moments import begins, ends
from trunkline.money import MOST_UNITS

WITHIN = {
    "day": frozenset({"day", "week", "month", "quarter"}),
    "week": frozenset({"week"}),
    "month": frozenset({"month", "quarter"}),
    "quarter": frozenset({"quarter"}),
}
"""The kinds of periods within one of which each kind lies."""

MEASURES = ("tpm", "rpm", "tpd", "rpd", "concurrency")


def check_budgets(declared: Declared, faults: Faults) -> None:
    """Hold budgets and limits against their rules."""
    for index, budget in declared.budgets.items():
        _check_node(declared, faults, ("budgets", index, "on"), budget.on)
        if budget.time_zone is not None and find_zone(budget.time_zone) is None:
            faults.add(declared.place("budgets", index, "time_zone"), describe_unknown_zone(budget.time_zone))
        if budget.amount > MOST_UNITS:
            message = f"amount is {budget.amount}; a budget has at most {MOST_UNITS:,}"
            faults.add(declared.place("budgets", index, "amount"), message)
        if _check_period(declared, faults, index, budget):
            _check_above(declared, faults, index, budget)
            _check_twice(declared, faults, index, budget)
    for index, limit in declared.limits.items():
        _check_node(declared, faults, ("limits", index, "on"), limit.on)
        if all(getattr(limit, field) is None for field in MEASURES):
            message = f"a limit needs at least one of {', '.join(MEASURES)}"
            faults.add(declared.place("limits", index), message)
        _check_limited_twice(declared, faults, index, limit)
    for name, boundary in declared.boundaries.items():
        used = {one.model for one in declared.deployments.values() if one.boundary == name}
        for model in boundary.quota.models if boundary.quota is not None else ():
            if model not in used and declared.deployments:
                place = declared.place_of_name("boundaries", name, "quota", "models", model)
                faults.add(place, f'no deployment in boundary "{name}" has the model {model}; its quota binds nothing')


def _check_limited_twice(declared: Declared, faults: Faults, index: int, limit: Limit) -> None:
    """Two limits of one kind on one node would both be the one: which is meant cannot be told."""
    for earlier, other in declared.limits.items():
        if earlier >= index:
            return
        twice = [field for field in MEASURES if None not in {getattr(limit, field), getattr(other, field)}]
        if other.on == limit.on and twice:
            message = (
                f"the same node has {' and '.join(twice)} already, at {declared.place('limits', earlier)}; keep one"
            )
            faults.add(declared.place("limits", index, twice[0]), message)


def _check_node(declared: Declared, faults: Faults, path: tuple[str | int, ...], node: Node) -> None:
    kinds = node.__struct_fields__
    given = [kind for kind in kinds if getattr(node, kind) is not None]
    if len(given) != 1:
        message = f"`on` is empty; write one of {', '.join(kinds)}"
        if given:
            message = f"`on` names exactly one thing; this has {' and '.join(given)}"
        faults.add(declared.place(*path), message)


def _check_period(declared: Declared, faults: Faults, index: int, budget: Budget) -> bool:
    """Say whether the budget has one period: either one that begins anew, or two dates in their order."""
    fixed = budget.since is not None or budget.until is not None
    message = ""
    if budget.per is None and (budget.since is None or budget.until is None):
        message = "a budget needs a period: `per: month`, or two dates, `from` and `until`"
    elif budget.per is not None and fixed:
        message = "a budget has either `per`, or `from` and `until`; take one of them out"
    elif budget.since is not None and budget.until is not None and begins(budget.since) >= ends(budget.until):
        message = "`until` lies before `from`"
    if message:
        faults.add(declared.place("budgets", index, "until" if fixed else "per"), message)
    return not message


def _check_twice(declared: Declared, faults: Faults, index: int, budget: Budget) -> None:
    """Two budgets on one node whose periods overlap would both be the one: which is meant cannot be told."""
    for earlier, other in declared.budgets.items():
        if earlier >= index:
            return
        if other.on == budget.on and other.per == budget.per and _overlap(other, budget):
            place = declared.place("budgets", earlier)
            what = f"this budget a {budget.per}" if budget.per else "a budget in some of this time"
            message = f"the same node has {what} already, at {place}; keep one of them"
            faults.add(declared.place("budgets", index), message)


def _overlap(one: Budget, other: Budget) -> bool:
    if one.since is None or one.until is None or other.since is None or other.until is None:
        return True
    return begins(one.since) < ends(other.until) and begins(other.since) < ends(one.until)


def _check_above(declared: Declared, faults: Faults, index: int, budget: Budget) -> None:
    """A hard budget larger than a hard one above it could never be used up: someone was promised too much."""
    if not budget.hard or budget.on.unit is None:
        return
    above = declared.lineage(budget.on.unit)[1:]
    for other in declared.budgets.values():
        if other.hard and other.on.unit in above and other.amount < budget.amount and _lies_within(budget, other):
            message = (
                f"{budget.amount} {_period(budget)} is more than the {other.amount} {_period(other)} that "
                f'"{other.on.unit}" above it has; lower one or raise the other'
            )
            faults.add(declared.place("budgets", index, "amount"), message)


def _lies_within(budget: Budget, other: Budget) -> bool:
    """Whether each period of a budget lies within one of another's. Weeks lie across the ends of months."""
    if budget.per is not None:
        return other.per in WITHIN[budget.per]
    if budget.since is None or budget.until is None or other.since is None or other.until is None:
        return False
    return begins(other.since) <= begins(budget.since) and ends(budget.until) <= ends(other.until)


def _period(budget: Budget) -> str:
    return f"a {budget.per}" if budget.per is not None else "in its time"
