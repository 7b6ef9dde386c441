"""The estate, compiled: every decision that a request could ask for, made once.

Each deployment is held against each data class once; decisions over the same pools share their parts, and units share
their offers, so that the work and the memory grow with what is declared, not with its products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from trunkline.estate.decisions import Copy, Decision, Denial
from trunkline.estate.deployments import Pattern
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Gone, Offer, Snapshot
from trunkline.estate.use_cases import Keeper, Keeping, Priority, State, UseCase, days_kept
from trunkline.estate.zones import known_zones
from trunkline.messages import SHADOW, Operation
from trunkline.policy.failover import line_up
from trunkline.policy.life import stand
from trunkline.policy.own_stores import RETENTION, SEALED, stores_good_until, weigh_keeping, weigh_stores
from trunkline.policy.reach import reach
from trunkline.policy.rules import Rules
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.trials import changes_at, holds, share_out
from trunkline.policy.verdicts import Verdicts
from trunkline.policy.watches import Watches

PRIORITIES = tuple(Priority)
Features = dict[str, dict[str, Denial]]
Sorted = tuple[tuple[tuple[Endpoint, ...], ...], tuple[Denial, ...], tuple[Endpoint, ...], Features]
"""The tiers that are allowed and configured, the denials, what is allowed but not configured, and what a request must
not use at those that are allowed."""


def compile_estate(estate: Estate, surroundings: Surroundings, now: int) -> Snapshot:
    """Compile a checked estate as it stands at `now`, in nanoseconds since 1970.

    The snapshot holds until its `good_until`; then a claim in it runs out and it must be compiled again.
    """
    return _Compilation(estate, surroundings, now).snapshot()


class _Compilation:
    """One run of the compiler, with what it remembers on the way."""

    def __init__(self, estate: Estate, surroundings: Surroundings, now: int) -> None:
        self._estate = estate
        self._now = now
        self._classes = tuple(estate.data_classes)
        self._warnings: list[str] = []
        self._endpoints = reach(estate, surroundings)
        self._verdicts = Verdicts(estate, surroundings.vendors, self._endpoints, now)
        self._standings = {name: stand(name, estate.use_cases, now) for name in estate.use_cases}
        self._stores = weigh_stores(
            estate.data_classes,
            now,
            known_zones(estate.zones),
            estate.stores,
            database_here=surroundings.database_here,
        )
        self._held = {
            name: frozenset(store for store, against in self._stores.items() if not against[name])
            for name in self._classes
        }
        self._surroundings = surroundings
        self._unkept: dict[int, dict[str, tuple[Denial, ...]]] = {}
        self._watches = Watches()
        self._rules = Rules(estate)
        self._tiers: dict[tuple[str, ...], tuple[tuple[Endpoint, ...], ...]] = {}
        self._sorted: dict[tuple[object, ...], Sorted] = {}
        self._pools: dict[tuple[str, ...], dict[str, str]] = {}
        self._lined: dict[tuple[object, ...], tuple[tuple[Endpoint, ...], ...]] = {}

    def snapshot(self) -> Snapshot:
        estate = self._estate
        on_offer = {name: use_case for name, use_case in estate.use_cases.items() if self._is_on_offer(name, use_case)}
        offers = {name: self._offer(name, name, use_case, None) for name, use_case in on_offer.items()}
        direct = {
            name: {model: self._offer(model, name, use_case, model) for model in use_case.direct}
            for name, use_case in on_offer.items()
            if use_case.direct
        }
        units, keys = self._by_audience(on_offer, offers, direct)
        return Snapshot(
            version=estate.version,
            currency=estate.currency,
            root=estate.root,
            classes=self._classes,
            offers=units,
            key_offers=keys,
            cost_centres={name: unit.cost_centre for name, unit in estate.units.items()},
            endpoints=self._endpoints,
            good_until=min(
                self._verdicts.good_until,
                stores_good_until(estate.data_classes, self._now, estate.stores),
                *(one.until for one in self._standings.values()),
                *(
                    changes_at((*one.splits.values(), *one.shadows.values()), self._now)
                    for one in on_offer.values()
                    if one.splits or one.shadows
                ),
            ),
            owners={name: use_case.owner for name, use_case in on_offer.items()},
            direct=direct,
            warnings=tuple(self._warnings),
            retired={
                name: Gone(owner=estate.use_cases[name].owner, successor=standing.successor)
                for name, standing in self._standings.items()
                if standing.state is State.RETIRED
            },
            stores=self._stores,
            narrow=self._rules.narrow(),
            weights={name: unit.weight for name, unit in estate.units.items() if unit.weight != 1},
        )

    def _is_on_offer(self, name: str, use_case: UseCase) -> bool:
        state = self._standings[name].state
        if state is State.DRAFT:
            self._warnings.append(f"use case {name} is a draft: only unit {use_case.owner}, its owner, is offered it")
        if state is State.RETIRED:
            self._warnings.append(f"use case {name} is retired: nobody is offered it")
        return state is not State.RETIRED

    def _by_audience(
        self, on_offer: dict[str, UseCase], offers: dict[str, Offer], direct: dict[str, dict[str, Offer]]
    ) -> tuple[dict[str, dict[str, Offer]], dict[str, dict[str, Offer]]]:
        """What each unit may name, and what each key named in an audience may name beyond its unit."""
        below = _units_below(self._estate)
        units: dict[str, dict[str, Offer]] = {unit: {} for unit in self._estate.units}
        keys: dict[str, dict[str, Offer]] = {}
        members = {
            name: [units[use_case.owner]]
            if self._standings[name].state is State.DRAFT
            else _members(use_case, below, units, keys)
            for name, use_case in on_offer.items()
        }
        for name in on_offer:
            for named in members[name]:
                named[name] = offers[name]
        # Models come after all use cases, so that a model never hides a use case of the same name.
        doubled: dict[tuple[str, str, str], None] = {}
        for name, models in direct.items():
            for named in members[name]:
                for model, offer in models.items():
                    first = named.setdefault(model, offer)
                    if first is not offer:
                        doubled[model, first.use_case, name] = None
        self._warnings.extend(
            f"model {model} is direct in use cases {first} and {second}, whose audiences meet: there it means {first}"
            for model, first, second in doubled
        )
        return units, keys

    def _offer(self, name: str, use_case_name: str, use_case: UseCase, model: str | None) -> Offer:
        own = self._classes.index(use_case.data_class)
        decisions: dict[str, Decision] = {}
        by_operation: dict[Operation, dict[str, Decision]] = {}
        for index in range(own, len(self._classes)):
            whole = self._decide(use_case_name, use_case, index, (model, None))
            decisions[whole.data_class] = whole
            for operation in Operation:
                part = self._decide(use_case_name, use_case, index, (model, operation))
                if part.tiers or part.denials or part.unconfigured:
                    # One object serves both where all deployments do the same.
                    by_operation.setdefault(operation, {})[part.data_class] = whole if part == whole else part
        return Offer(
            name=name,
            use_case=use_case_name,
            data_class=use_case.data_class,
            decisions=decisions,
            by_operation=by_operation,
        )

    def _decide(self, name: str, use_case: UseCase, index: int, only: tuple[str | None, Operation | None]) -> Decision:
        # Denials over patterns name the use case, so those are not shared.
        named = None if use_case.patterns is None else name
        key = (use_case.pools, named, index, only, self._rules.mark(name))
        if key not in self._sorted:
            self._sorted[key] = self._sort(name, use_case, index, only)
        tiers, denials, unconfigured, features = self._sorted[key]
        data_class, standing = self._classes[index], self._standings[name]
        decision = Decision(
            use_case=name,
            owner=use_case.owner,
            data_class=data_class,
            tiers=tiers,
            allowed=tiers,
            pools=self._pools_of(use_case.pools),
            substitutes=use_case.substitutes,
            min_healthy={name: float(self._estate.pools[name].min_healthy) for name in use_case.pools},
            denials=denials,
            unconfigured=unconfigured,
            instructions=use_case.instructions,
            version="" if use_case.version is None else str(use_case.version),
            warning=standing.warning,
            deprecated=standing.deprecated,
            sunset=standing.sunset,
            successor=standing.successor if standing.warning else None,
            parameters=use_case.parameters,
            features=features,
            watched=self._watches.watch(features, use_case.parameters),
            stores=self._held[data_class],
            drops_uncarried=use_case.uncarried == "drop",
            weights=self._weights(use_case.pools),
            keeps=use_case.keeps,
            unkept=self._keep(use_case.keeps)[data_class],
            priority=PRIORITIES.index(use_case.priority),
            wait=use_case.wait,
        )
        if (lined := self._lined.get((key, use_case.substitutes))) is None:
            lined = self._lined[key, use_case.substitutes] = line_up(decision).tiers
        if lined is not tiers:
            decision = msgspec.structs.replace(decision, tiers=lined)
        if use_case.splits:
            decision = share_out(decision, use_case.splits, self._now)
        if use_case.shadows:
            refused: dict[str, Denial] = {}
            copies = tuple(self._copies((name, use_case), index, only[1], refused))
            branches = {arm: _with_copies(branch, copies) for arm, branch in decision.branches.items()}
            decision = msgspec.structs.replace(decision, copies=copies, branches=branches, refused=refused)
        return decision

    def _copies(
        self, named: tuple[str, UseCase], index: int, operation: Operation | None, refused: dict[str, Denial]
    ) -> Iterator[Copy]:
        """The shadows that hold and that policy lets have the calls of this use case and class; the others say why."""
        name, use_case = named
        for called, shadow in use_case.shadows.items():
            endpoint = self._endpoints[shadow.to]
            if not holds(shadow, self._now) or endpoint.missing:
                continue
            if operation is not None and operation not in endpoint.operations:
                continue
            if against := self._against(endpoint, name, use_case, index, operation):
                refused[called] = against[0]
                continue
            barred = self._verdicts.features(shadow.to, index, operation)
            features = {shadow.to: barred} if barred else {}
            decision = Decision(
                use_case=name,
                owner=use_case.owner,
                data_class=self._classes[index],
                tiers=((endpoint,),),
                instructions=use_case.instructions,
                version="" if use_case.version is None else str(use_case.version),
                parameters=use_case.parameters,
                features=features,
                watched=self._watches.watch(features, use_case.parameters),
                stores=self._held[self._classes[index]],
                drops_uncarried=use_case.uncarried == "drop",
                trial=f"{SHADOW}{called}",
            )
            yield Copy(called, shadow.share, shadow.at_once, decision)

    def _against(
        self, endpoint: Endpoint, name: str, use_case: UseCase, index: int, operation: Operation | None
    ) -> tuple[Denial, ...]:
        """All that policy has against an endpoint for a use case under a class."""
        return (
            *_deny_pattern(endpoint, name, use_case.patterns),
            *self._rules.deny(endpoint.deployment, name, self._classes[index]),
            *self._verdicts.deny(endpoint.deployment, index, operation),
        )

    def _keep(self, keeps: Keeping | None) -> Mapping[str, tuple[Denial, ...]]:
        """For each data class, why the exchange may not keep answers of it."""
        if keeps is None or keeps.by is not Keeper.EXCHANGE:
            return dict.fromkeys(self._classes, ())
        days = days_kept(keeps)
        if days not in self._unkept:
            estate = self._estate
            self._unkept[days] = weigh_keeping(
                estate.data_classes,
                self._now,
                known_zones(estate.zones),
                estate.stores,
                known={RETENTION: days, **(SEALED if self._surroundings.content_sealed else {})},
                database_here=self._surroundings.database_here,
            )
        return self._unkept[days]

    def _sort(self, name: str, use_case: UseCase, index: int, only: tuple[str | None, Operation | None]) -> Sorted:
        model, operation = only
        tiers: list[tuple[Endpoint, ...]] = []
        denials: list[Denial] = []
        unconfigured: list[Endpoint] = []
        features: Features = {}
        for declared in self._declared_tiers(use_case.pools):
            tier: list[Endpoint] = []
            for endpoint in declared:
                if model not in (None, endpoint.model) or not (operation is None or operation in endpoint.operations):
                    continue
                deployment = endpoint.deployment
                if against := self._against(endpoint, name, use_case, index, operation):
                    denials.extend(against)
                    continue
                if barred := self._verdicts.features(deployment, index, operation):
                    features[deployment] = barred
                (unconfigured if endpoint.missing else tier).append(endpoint)
            if tier:
                tiers.append(tuple(tier))
        return tuple(tiers), tuple(denials), tuple(unconfigured), features

    def _weights(self, pools: tuple[str, ...]) -> dict[str, int]:
        """The declared weights of deployments; one counts where it stands first."""
        weights: dict[str, int] = {}
        seen: set[str] = set()
        for pool in pools:
            for tier in self._estate.pools[pool].tiers:
                if isinstance(tier, dict):
                    weights |= {name: weight for name, weight in tier.items() if name not in seen}
                seen.update(tier)
        return weights

    def _pools_of(self, pools: tuple[str, ...]) -> dict[str, str]:
        """For each deployment in the pools, the first one it stands in."""
        if pools not in self._pools:
            found: dict[str, str] = {}
            for pool in pools:
                for tier in self._estate.pools[pool].tiers:
                    for name in tier:
                        found.setdefault(name, pool)
            self._pools[pools] = found
        return self._pools[pools]

    def _declared_tiers(self, pools: tuple[str, ...]) -> tuple[tuple[Endpoint, ...], ...]:
        """The pools' tiers one after the other; a deployment counts where it stands first."""
        if pools not in self._tiers:
            seen: set[str] = set()
            tiers = []
            for pool in pools:
                for tier in self._estate.pools[pool].tiers:
                    fresh = [name for name in dict.fromkeys(tier) if name not in seen]
                    seen.update(fresh)
                    tiers.append(tuple(self._endpoints[name] for name in fresh))
            self._tiers[pools] = tuple(tiers)
        return self._tiers[pools]


def _with_copies(decision: Decision, copies: tuple[Copy, ...]) -> Decision:
    return msgspec.structs.replace(decision, copies=copies)


def _deny_pattern(endpoint: Endpoint, use_case: str, patterns: tuple[Pattern, ...] | None) -> tuple[Denial, ...]:
    if patterns is None or endpoint.pattern in patterns:
        return ()
    allowed = ", ".join(patterns) or "none"
    return (
        Denial(
            deployment=endpoint.deployment,
            rule=f"use case {use_case} allows the patterns {allowed}",
            claim=f"its pattern is {endpoint.pattern}",
        ),
    )


def _units_below(estate: Estate) -> dict[str, tuple[str, ...]]:
    """For each unit, itself and all below it."""
    below: dict[str, list[str]] = {name: [] for name in estate.units}
    for name in estate.units:
        for above in estate.lineage(name):
            below[above].append(name)
    return {name: tuple(units) for name, units in below.items()}


def _members(
    use_case: UseCase,
    below: dict[str, tuple[str, ...]],
    units: dict[str, dict[str, Offer]],
    keys: dict[str, dict[str, Offer]],
) -> list[dict[str, Offer]]:
    """The tables of all whom the audience names: units with those below them, and keys."""
    names = dict.fromkeys(unit for entry in use_case.audience for unit in below.get(entry, ()))
    others = (entry.removeprefix("key:") for entry in use_case.audience if entry not in below)
    return [*(units[name] for name in names), *(keys.setdefault(other, {}) for other in others)]
