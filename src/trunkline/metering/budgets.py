"""The estate's budgets, compiled: which of them stand above a call, and what each is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, tzinfo
from functools import partial

import msgspec

from trunkline.clock import as_nanos
from trunkline.config.zones import find_zone
from trunkline.estate.budgets import Budget, Node
from trunkline.estate.estate import Estate
from trunkline.estate.moments import begins, ends
from trunkline.metering.leases import Covers
from trunkline.metering.periods import Period, period_at
from trunkline.metering.purse import Account
from trunkline.money import Nano, to_nano

WORDS = {"end_customer": "end customer", "use_case": "use case"}
UNITS = "unit"


class Stands(msgspec.Struct, frozen=True):
    """A budget in force.

    Attributes:
        account: its allowance; money in billionths of the currency.
        kind: what it binds: a field of `Node`.
        node: the name of that.
        per: how often it begins anew.
        zone: by whose clocks.
        owner: the unit to ask for more; empty where the estate names none.
        fixed: the only period it has, where it does not begin anew: outside of it nothing is bound.
        warn_at: the amounts at which the operator is told.
    """

    account: Account
    kind: str
    node: str
    per: str
    zone: str
    currency: str
    owner: str = ""
    warn_at: tuple[Nano, ...] = ()
    fixed: Period | None = None

    def has(self, period: Period) -> bool:
        """Whether it is a period of its own: not one that was declared before, by other clocks or other hours."""
        return self.account.period_at(period.starts) == period

    @property
    def words(self) -> str:
        """What it binds, in words: `unit "marketing"`."""
        return f'{WORDS.get(self.kind, self.kind)} "{self.node}"'


class Budgets(msgspec.Struct, frozen=True):
    """All budgets of an estate.

    Attributes:
        of: the budgets of each node, by its kind and name.
        lineage: for each unit, itself and all above it.
    """

    of: dict[tuple[str, str], tuple[Stands, ...]]
    lineage: dict[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[Stands]:
        for several in self.of.values():
            yield from several

    def __bool__(self) -> bool:
        return bool(self.of)

    def above(self, unit: str, use_case: str, deployment: str, boundary: str) -> tuple[Stands, ...]:
        """Return the budgets above a unit's calls of a use case at a deployment; those at the root last."""
        nodes = [("deployment", deployment), ("boundary", boundary), ("use_case", use_case)]
        nodes += [(UNITS, name) for name in self.lineage.get(unit, (unit,))]
        return tuple(one for node in nodes for one in self.of.get(node, ()))

    def on(self, kind: str, name: str) -> tuple[Stands, ...]:
        """Return the budgets of one node."""
        return self.of.get((kind, name), ())


def compile_budgets(estate: Estate, declared_at: int) -> Budgets:
    """Return the budgets of a checked estate, in force from `declared_at`, as the store says."""
    of: dict[tuple[str, str], tuple[Stands, ...]] = {}
    for budget in estate.budgets:
        kind, name = node_of(budget.on)
        of[kind, name] = (*of.get((kind, name), ()), _stand(estate, budget, declared_at))
    return Budgets(of, {name: estate.lineage(name) for name in estate.units})


def node_of(node: Node) -> tuple[str, str]:
    """Return the kind and the name of what a budget or limit binds."""
    return next((kind, name) for kind in node.__struct_fields__ if (name := getattr(node, kind)) is not None)


def _stand(estate: Estate, budget: Budget, declared_at: int) -> Stands:
    kind, name = node_of(budget.on)
    zone = budget.time_zone or estate.time_zone
    amount = to_nano(budget.amount)
    fixed = _fixed(budget)
    account = Account(
        name=f"{kind}:{name}/{_named(budget)}/{estate.currency}",
        limit=amount,
        hard=budget.hard,
        declared_at=declared_at,
        period_at=partial(_period, budget.per, find_zone(zone) or UTC) if fixed is None else partial(_always, fixed),
        covers=_covers(estate, kind, name),
    )
    return Stands(
        account=account,
        kind=kind,
        node=name,
        per=_named(budget),
        fixed=fixed,
        zone=zone,
        currency=estate.currency,
        owner=owner_of(estate, kind, name),
        warn_at=tuple(sorted(to_nano(budget.amount * portion) for portion in budget.warn_at)),
    )


def _covers(estate: Estate, kind: str, name: str) -> Covers:
    """Which attempts it is of."""
    names = [one for one in estate.units if name in estate.lineage(one)] if kind == UNITS else [name]
    return Covers(kind, tuple(names), estate.currency)


def _fixed(budget: Budget) -> Period | None:
    if budget.since is None or budget.until is None:
        return None
    return Period(as_nanos(begins(budget.since)), as_nanos(ends(budget.until)))


def _named(budget: Budget) -> str:
    """How often it begins anew, or its dates."""
    if budget.since is None or budget.until is None:
        return budget.per or ""
    return f"{_date(budget.since, first=True)}..{_date(budget.until, first=False)}"


def _date(moment: datetime, *, first: bool) -> str:
    """A date where the period begins or ends with it, else the moment: several may lie on one day."""
    whole = moment.time() == time.max or (first and moment.time() == time.min)
    return str(moment.date()) if whole else moment.isoformat()


def _always(period: Period, _: int) -> Period:
    return period


def _period(per: str | None, zone: tzinfo, moment: int) -> Period:
    return period_at(per or "", zone, moment)


def owner_of(estate: Estate, kind: str, name: str) -> str:
    """Return the unit to ask: that of the thing; above a unit, the one that shares out. Empty where there is none."""
    match kind:
        case "unit":
            return estate.units[name].parent or name
        case "use_case":
            return estate.use_cases[name].owner
        case "boundary":
            return estate.boundaries[name].owner
        case "deployment":
            deployment = estate.deployments[name]
            return deployment.owner or estate.boundaries[deployment.boundary].owner
    return ""
