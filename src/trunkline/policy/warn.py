"""What is legal in an estate but unwise: each with where it stands, so that it can be mended or meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from trunkline.catalog.controls import CONTROLS, ControlValue
from trunkline.catalog.vendor import Vendor
from trunkline.clock import as_nanos
from trunkline.estate.claims import Requirement
from trunkline.estate.decisions import Decision
from trunkline.estate.estate import Estate
from trunkline.estate.pools import Pool
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.use_cases import Keeper, State, UseCase
from trunkline.estate.zones import Zones, known_zones
from trunkline.policy.compile import compile_estate
from trunkline.policy.explain import EVERYTHING, pool_of_all
from trunkline.policy.failover import apart, as_configured
from trunkline.policy.idle_rules import idle_rules
from trunkline.policy.keeping import kept_under
from trunkline.policy.reach import UNPRICED
from trunkline.policy.remedy import write
from trunkline.policy.satisfy import DAY, describe_claim
from trunkline.policy.sources import expiring, trace, trace_all
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.trials import holds
from trunkline.policy.verified import fits, requirements_on

Path = tuple[str | int, ...]

GROUPS = ("oidc:", "group:")
NAMED = 4
"""How many names a message lists."""


class Unwise(msgspec.Struct, frozen=True):
    """One thing worth a look, and its path in the estate's file."""

    path: Path
    message: str


def warn(estate: Estate, surroundings: Surroundings, snapshot: Snapshot, now: int) -> tuple[Unwise, ...]:
    """Return what is legal but unwise in an estate, compiled at `now` into the snapshot."""
    decisions = _own_decisions(estate, snapshot)
    return (
        *_classes_out_of_reach(estate, surroundings, now),
        *_routes(estate, decisions),
        *_models(decisions),
        *_trials(estate, decisions, now),
        *_keeping(decisions),
        *_audiences(estate),
        *_priceless(estate, snapshot),
        *_webhooks(estate, surroundings),
        *_mixed_claims(estate, surroundings.vendors, decisions, now),
        *_patterns(estate),
        *_never_used(estate, decisions),
        *_unused(estate),
        *_idle(estate),
        *_expiring(estate, surroundings.vendors, now),
    )


def _own_decisions(estate: Estate, snapshot: Snapshot) -> dict[str, Decision]:
    """What each use case that serves callers may use under its own data class."""
    return {
        name: offer.decisions[offer.data_class]
        for offered in (*snapshot.offers.values(), *snapshot.key_offers.values())
        for name, offer in offered.items()
        if name == offer.use_case and estate.use_cases[name].state is not State.DRAFT
    }


def _allowed(decision: Decision) -> tuple[str, ...]:
    """What policy allows, be it configured or not."""
    return tuple(endpoint.deployment for endpoint in (*decision.all_allowed, *decision.unconfigured))


def _classes_out_of_reach(estate: Estate, surroundings: Surroundings, now: int) -> Iterator[Unwise]:
    if not estate.data_classes:
        return
    loosest = next(iter(estate.data_classes))
    whole = UseCase(owner=estate.root, audience=(estate.root,), data_class=loosest, pools=(EVERYTHING,))
    alone = msgspec.structs.replace(
        estate,
        pools={EVERYTHING: pool_of_all(estate)},
        use_cases={EVERYTHING: whole},
    )
    offer = compile_estate(alone, surroundings, now).offers[estate.root][EVERYTHING]
    for name, decision in offer.decisions.items():
        if not _allowed(decision):
            yield Unwise(("data_classes", name), f"no deployment satisfies data class {name}: all calls under it fail")


def _routes(estate: Estate, decisions: dict[str, Decision]) -> Iterator[Unwise]:
    for name, decision in decisions.items():
        allowed = _allowed(decision)
        path = ("use_cases", name)
        under = f"under its data class {decision.data_class}"
        if not allowed:
            yield Unwise(path, f"use case {name} may use no deployment of its pools {under}: every call is refused")
        elif len(allowed) == 1 and estate.use_cases[name].state is not State.DEPRECATED:
            yield Unwise(path, f"use case {name} has a single route {under}: nothing stands in for {allowed[0]}")


def _models(decisions: dict[str, Decision]) -> Iterator[Unwise]:
    """Use cases of several models: which of them no call goes to, and which follow although nobody names them."""
    for name, decision in decisions.items():
        meant = as_configured(decision)
        if not meant.tiers:
            continue
        first = meant.tiers[0][0].exactly
        left = apart(meant)
        others = dict.fromkeys(one.exactly for one in left)
        if left:
            yield Unwise(
                ("use_cases", name, "substitutes"),
                f"use case {name} never goes to {_list(one.deployment for one in left)}: nothing stands in for {first} "
                f"unsaid. Name {_list(others)} in its `substitutes`",
            )
        following = [one for one in dict.fromkeys(one.exactly for one in meant.endpoints) if one != first]
        if following and decision.substitutes is None:
            yield Unwise(
                ("use_cases", name, "substitutes"),
                f"use case {name} goes on from {first} to {_list(following)}, because its pools do. Name the models "
                "that may stand in under `substitutes`, or write `substitutes: []` for none",
            )


def _trials(estate: Estate, decisions: dict[str, Decision], now: int) -> Iterator[Unwise]:
    """Splits and shadows that hold now, and that policy leaves without effect."""
    for name, decision in decisions.items():
        use_case = estate.use_cases[name]
        allowed = {one for tier in as_configured(decision).allowed for one in tier}
        names = {known for one in allowed for known in (one.deployment, one.model, one.exactly)}
        for split, each in use_case.splits.items():
            if holds(each, now) and (idle := [arm for arm in each.shares if arm not in names]):
                message = f"split {split} of use case {name} gives no calls to {_list(idle)}: policy allows none there"
                yield Unwise(("use_cases", name, "splits", split), message)
        for shadow, one in use_case.shadows.items():
            denied = decision.refused.get(shadow)
            if holds(one, now) and denied is not None:
                message = f"shadow {shadow} of use case {name} copies nothing: {denied.rule}, but {denied.claim}"
                yield Unwise(("use_cases", name, "shadows", shadow), message)


def _keeping(decisions: dict[str, Decision]) -> Iterator[Unwise]:
    """Use cases whose deployments keep answers: where a conversation cannot go on, and where nobody keeps any."""
    for name, decision in decisions.items():
        kept, path = kept_under(decision), ("use_cases", name, "keeps")
        if decision.keeps is None:
            continue
        if kept.by is None:
            message = f"use case {name} declares `keeps`, but none of its answers is kept: {kept.refused[0]}"
            yield Unwise(path, message)
        elif kept.by is Keeper.DEPLOYMENT:
            goes = tuple(dict.fromkeys(one.deployment for one in as_configured(decision).endpoints))
            if len(goes) > 1:
                yield Unwise(
                    path,
                    f"use case {name} has its deployment keep answers, and goes to {_list(goes)}: a conversation "
                    "cannot go on at another one. Leave it one of them, or let the exchange keep them: `keeps: {}`",
                )


def _priceless(estate: Estate, snapshot: Snapshot) -> Iterator[Unwise]:
    """Deployments whose calls a hard budget cannot hold, or would hold at nothing."""
    if not any(budget.hard for budget in estate.budgets):
        return
    for name, deployment in estate.deployments.items():
        price, endpoint = deployment.price, snapshot.endpoints[name]
        path = ("deployments", name, "price") if price is not None else ("deployments", name)
        by_token = price is not None and (price.input_mtok is not None or price.output_mtok is not None)
        if price is not None and not by_token and price.internal_rate is None:
            message = f"{name} has a fixed price without `internal_rate`: its calls count as nothing in hard budgets"
            yield Unwise(path, message)
        elif not endpoint.missing and not endpoint.price.known and endpoint.price != UNPRICED:
            yield Unwise(path, f"{name} has no known price: under a hard budget its calls are refused")


def _webhooks(estate: Estate, surroundings: Surroundings) -> Iterator[Unwise]:
    for name, webhook in estate.webhooks.items():
        for field, reference in (("url", webhook.url), ("secret", webhook.secret)):
            value, why = surroundings.resolve(reference)
            if value is None:
                yield Unwise(("webhooks", name, field), f"webhook {name} is told nothing: {why}")


def _audiences(estate: Estate) -> Iterator[Unwise]:
    groups = {group for unit in estate.units.values() for group in unit.groups}
    for name, use_case in estate.use_cases.items():
        for place, who in enumerate(use_case.audience):
            if who.startswith(GROUPS) and who not in groups:
                yield Unwise(("use_cases", name, "audience", place), f"nobody is in {who}: no unit has that group")


def _mixed_claims(
    estate: Estate, vendors: dict[str, Vendor], decisions: dict[str, Decision], now: int
) -> Iterator[Unwise]:
    """Use cases whose data may go to deployments of which some, by their claims, could have stricter data too."""
    asked = {control for data_class in estate.data_classes.values() for control in data_class.requires}
    claims = {one: trace(estate, one, vendors, now) for one in estate.deployments}
    requirements = {control: tuple(one for _, one in requirements_on(estate, control)) for control in asked}
    zones = known_zones(estate.zones)
    for name, decision in decisions.items():
        allowed = tuple(dict.fromkeys(_allowed(decision)))
        mixed: dict[str, dict[str, list[str]]] = {}
        for control in (one for one in CONTROLS if one in asked):
            values = {one: tuple(held.claim.value for held in claims[one].get(control, ())) for one in allowed}
            if len({_worth(control, value, requirements[control], zones) for value in values.values()}) > 1:
                for one, value in values.items():
                    said = " and ".join(map(write, value)) or "not claimed"
                    mixed.setdefault(control, {}).setdefault(said, []).append(one)
        if mixed:
            control, by_value = next(iter(mixed.items()))
            said = "; ".join(f"{value} at {_list(names)}" for value, names in by_value.items())
            others = f"; so do {_list(tuple(mixed)[1:])}" if len(mixed) > 1 else ""
            message = f"use case {name} goes to deployments whose claims differ: {control} is {said}{others}"
            yield Unwise(("use_cases", name, "pools"), message)


def _worth(
    control: str, values: tuple[ControlValue, ...], requirements: Iterable[Requirement], zones: Zones
) -> tuple[bool, ...]:
    """Which requirements on the control these values could meet."""
    return tuple(
        bool(values) and all(fits(control, value, requirement, zones) for value in values)
        for requirement in requirements
    )


def _patterns(estate: Estate) -> Iterator[Unwise]:
    for name, use_case in estate.use_cases.items():
        there = {estate.deployments[one].pattern for pool in use_case.pools for one in _members(estate.pools[pool])}
        for place, pattern in enumerate(use_case.patterns or ()):
            if pattern not in there:
                message = f"use case {name} allows the pattern {pattern}, which nothing in its pools has"
                yield Unwise(("use_cases", name, "patterns", place), message)


def _never_used(estate: Estate, decisions: dict[str, Decision]) -> Iterator[Unwise]:
    """Deployments in a pool that every use case of the pool must refuse, and places that an earlier one hides."""
    users: dict[str, list[str]] = {}
    for name, use_case in estate.use_cases.items():
        for pool in use_case.pools if name in decisions else ():
            users.setdefault(pool, []).append(name)
    allowed = {name: frozenset(_allowed(decision)) for name, decision in decisions.items()}
    for pool, names in users.items():
        seen: set[str] = set()
        for tier, members in enumerate(estate.pools[pool].tiers):
            for place, deployment in enumerate(members):
                path = ("pools", pool, "tiers", tier, place)
                if deployment in seen:
                    yield Unwise(path, f"{deployment} stands in pool {pool} before: here it is never tried")
                elif not any(deployment in allowed[name] for name in names):
                    why = _why(decisions, names, deployment)
                    yield Unwise(path, f"no use case may ever use {deployment} in pool {pool}: {why}")
                seen.add(deployment)


def _why(decisions: dict[str, Decision], names: Iterable[str], deployment: str) -> str:
    for name in names:
        for denial in decisions[name].denials:
            if denial.deployment == deployment:
                return f"{denial.rule}, but {denial.claim}"
    return "its model does not do what they need"


def _unused(estate: Estate) -> Iterator[Unwise]:
    pooled = {name for pool in estate.pools.values() for name in _members(pool)}
    used = {pool for use_case in estate.use_cases.values() for pool in use_case.pools}
    paid = {deployment.boundary for deployment in estate.deployments.values()}
    for name in estate.deployments:
        if name not in pooled:
            yield Unwise(("deployments", name), f"deployment {name} is unused: it stands in no pool")
    for name in estate.pools:
        if name not in used:
            yield Unwise(("pools", name), f"pool {name} is unused: no use case names it")
    for name in estate.boundaries:
        if name not in paid:
            yield Unwise(("boundaries", name), f"boundary {name} is unused: no deployment stands in it")


def _idle(estate: Estate) -> Iterator[Unwise]:
    for name in idle_rules(estate):
        yield Unwise(("rules", name), f"rule {name} refuses no deployment to any use case: it has no effect")


def _expiring(estate: Estate, vendors: dict[str, Vendor], now: int) -> Iterator[Unwise]:
    for one in expiring(trace_all(estate, vendors, now), now):
        if one.claim.expires is not None and (left := as_nanos(one.claim.expires) - now) > 0:
            said = describe_claim(one.control, one.claim, now)
            days = left // DAY
            message = f"a claim of {one.deployment} expires in {days} day{'' if days == 1 else 's'}: {said}"
            yield Unwise(("deployments", one.deployment, "controls", one.control), message)


def _members(pool: Pool) -> Iterator[str]:
    for tier in pool.tiers:
        yield from tier


def _list(names: Iterable[str]) -> str:
    named = list(names)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
