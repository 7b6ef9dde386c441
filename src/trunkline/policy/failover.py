"""Which of the allowed deployments may take a call over from each other: those of its model, and named substitutes.

A model is never replaced by another one unsaid. What stands for a call is the model of the first deployment that is
allowed and can be called. An engine that is starting keeps its place, so that a restart changes no model.
"""

from __future__ import annotations

import msgspec

from trunkline.estate.decisions import Decision
from trunkline.estate.endpoints import Endpoint
from trunkline.messages import Operation

Tiers = tuple[tuple[Endpoint, ...], ...]


def line_up(decision: Decision) -> Decision:
    """Return a decision whose tiers are those of its allowed endpoints that may follow each other.

    Where it is an arm's, the arm goes first; one of which nothing is left is none any more.
    """
    if decision.arm:
        return _line_up_arm(decision)
    fit = _fitting(decision)
    tiers = decision.allowed if fit is None else _keep(decision.allowed, fit)
    return decision if tiers is decision.tiers else msgspec.structs.replace(decision, tiers=tiers)


def without(decision: Decision, deployments: frozenset[str]) -> Decision:
    """Return a decision that allows these deployments no more, lined up anew."""
    allowed = tuple(
        kept for tier in decision.allowed if (kept := tuple(one for one in tier if one.deployment not in deployments))
    )
    unconfigured = tuple(one for one in decision.unconfigured if one.deployment not in deployments)
    # Tiers go with what is allowed: a decision without any may not fall back to those it had.
    return line_up(msgspec.structs.replace(decision, allowed=allowed, tiers=allowed, unconfigured=unconfigured))


def apart(decision: Decision) -> tuple[Endpoint, ...]:
    """Return the endpoints that are allowed and can be called, but are of a model that may not take the call over."""
    kept = {endpoint.deployment for endpoint in decision.endpoints}
    return tuple(endpoint for endpoint in decision.all_allowed if endpoint.deployment not in kept)


def as_configured(decision: Decision) -> Decision:
    """Return a decision as it would be with all configured that policy allows: what an estate means by itself."""
    standing = {one.deployment: one for one in (*decision.all_allowed, *decision.unconfigured)}
    order = (*(name for name in decision.pools if name in standing), *standing)
    allowed = tuple((standing[name],) for name in dict.fromkeys(order))
    return line_up(msgspec.structs.replace(decision, allowed=allowed, tiers=allowed, unconfigured=()))


def _fitting(decision: Decision) -> frozenset[str] | None:
    """The deployments of models that may follow; None where all are of one."""
    standing = {one.deployment: one for one in decision.all_allowed}
    standing |= {one.deployment: one for one in decision.unconfigured if one.engine}
    if len({one.exactly for one in standing.values()}) <= 1:
        return None
    order = [standing[name] for name in decision.pools if name in standing] if decision.pools else [*standing.values()]
    fit: set[str] = set()
    for operation in Operation:
        able = [one for one in order if operation in one.operations]
        led = _leading(decision, able)
        named = decision.substitutes or ()
        fit.update(one.deployment for one in able if one.exactly in led or _is_named(one, named))
    return frozenset(fit)


def _line_up_arm(decision: Decision) -> Decision:
    arm = decision.arm
    first = frozenset(one.deployment for one in decision.all_allowed if arm in {one.deployment, one.model, one.exactly})
    if not first:
        return line_up(msgspec.structs.replace(decision, arm="", trial=""))
    models = {one.exactly for one in decision.all_allowed if one.deployment in first}
    named = decision.substitutes or ()
    others = frozenset(
        one.deployment
        for one in decision.all_allowed
        if one.deployment not in first and (one.exactly in models or _is_named(one, named))
    )
    tiers = (*_keep(decision.allowed, first), *_keep(decision.allowed, others))
    return msgspec.structs.replace(decision, tiers=tiers)


def _leading(decision: Decision, able: list[Endpoint]) -> set[str]:
    """The first model; where no substitutes are named, also the first of each further pool."""
    if decision.substitutes is not None:
        return {able[0].exactly} if able else set()
    led: dict[str, str] = {}
    for one in able:
        led.setdefault(decision.pools.get(one.deployment, ""), one.exactly)
    return set(led.values())


def _is_named(endpoint: Endpoint, names: tuple[str, ...]) -> bool:
    return endpoint.model in names or endpoint.exactly in names


def _keep(tiers: Tiers, fit: frozenset[str]) -> Tiers:
    return tuple(kept for tier in tiers if (kept := tuple(one for one in tier if one.deployment in fit)))
