"""Pools and use cases: what is offered to whom."""

from __future__ import annotations

from trunkline.config.faults import Faults, suggestion
from trunkline.estate.declared import Declared
from trunkline.estate.use_cases import Keeper, State, UseCase


def check_pools(declared: Declared, faults: Faults) -> None:
    """A deployment stands once in a pool; guarantees do not promise more than there is."""
    for name, pool in declared.pools.items():
        seen: set[str] = set()
        for tier, deployments in enumerate(pool.tiers):
            for index, deployment in enumerate(deployments):
                if deployment in seen:
                    place = declared.place("pools", name, "tiers", tier, index)
                    faults.add(place, f'deployment "{deployment}" is in this pool already')
                seen.add(deployment)
        promised = sum(share.guarantee for share in pool.shares.values())
        if promised > 1:
            message = f"the guarantees of this pool add up to {promised}; there is only 1 to share"
            faults.add(declared.place("pools", name, "shares"), message)


def check_use_cases(declared: Declared, faults: Faults) -> None:
    """A direct model is one that the use case's own pools serve; a successor is another use case."""
    for name, use_case in declared.use_cases.items():
        for field in ("audience", "pools", "direct", "patterns"):
            _check_repeats(declared, faults, name, field, getattr(use_case, field) or ())
        _check_direct(declared, faults, name, use_case)
        _check_trials(declared, faults, name, use_case)
        _check_life(declared, faults, name, use_case)
        if use_case.keeps is not None and use_case.keeps.by is Keeper.DEPLOYMENT and use_case.keeps.days is not None:
            message = (
                "how long a deployment keeps answers is its provider's to say: take `days` out, or let the exchange"
            )
            faults.add(declared.place("use_cases", name, "keeps", "days"), f"{message} keep them")
        for index, who in enumerate(use_case.audience):
            if who in {"oidc:", "group:", "key:"}:
                place = declared.place("use_cases", name, "audience", index)
                faults.add(place, f"audience wants a name after `{who}`")


def _check_repeats(declared: Declared, faults: Faults, name: str, field: str, values: tuple[str, ...]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            faults.add(declared.place("use_cases", name, field, index), f'{field} has "{value}" already')


def _check_life(declared: Declared, faults: Faults, name: str, use_case: UseCase) -> None:
    way = [name]
    step = use_case.successor
    while step is not None and step not in way and step in declared.use_cases:
        way.append(step)
        step = declared.use_cases[step].successor
    if step == name:
        message = "a use case cannot be its own successor"
        if len(way) > 1:
            message = f"successors go in a circle: {' > '.join((*way, name))}; take one of them out"
        faults.add(declared.place("use_cases", name, "successor"), message)
    since, ends = use_case.deprecated_at, use_case.retires
    if since is not None and use_case.state not in {State.DEPRECATED, State.RETIRED}:
        message = f"only a deprecated use case has a day since when it is so; this one is {use_case.state}"
        faults.add(declared.place("use_cases", name, "deprecated_at"), message)
    if since is not None and ends is not None and ends < since:
        faults.add(declared.place("use_cases", name, "retires"), "the use case retires before it is deprecated")
    if ends is not None and use_case.state is not State.DEPRECATED:
        message = f"only a deprecated use case has a day on which it retires; this one is {use_case.state}"
        faults.add(declared.place("use_cases", name, "retires"), message)


def _check_trials(declared: Declared, faults: Faults, name: str, use_case: UseCase) -> None:
    """An arm is a deployment of the use case's pools, or a model of one; what ends begins before."""
    used = {
        deployment
        for pool in use_case.pools
        if pool in declared.pools
        for tier in declared.pools[pool].tiers
        for deployment in tier
        if deployment in declared.deployments
    }
    known = {*used, *(declared.deployments[one].model for one in used)}
    known |= {f"{one.model}@{one.version}" for one in map(declared.deployments.__getitem__, used) if one.version}
    for split, one in use_case.splits.items():
        for arm in one.shares:
            if arm not in known:
                place = declared.place("use_cases", name, "splits", split, "shares", arm)
                message = f'"{arm}" is no deployment of these pools, nor a model of one{suggestion(arm, sorted(known))}'
                faults.add(place, message)
    for section, trials in (("splits", use_case.splits), ("shadows", use_case.shadows)):
        for trial, each in trials.items():
            if each.from_ is not None and each.until is not None and each.until < each.from_:
                place = declared.place("use_cases", name, section, trial, "until")
                faults.add(place, "it ends before it begins")


def _check_direct(declared: Declared, faults: Faults, name: str, use_case: UseCase) -> None:
    if not use_case.direct:
        return
    used = [
        deployment
        for pool in use_case.pools
        if pool in declared.pools
        for tier in declared.pools[pool].tiers
        for deployment in tier
    ]
    if any(pool not in declared.pools for pool in use_case.pools) or any(
        each not in declared.deployments for each in used
    ):
        return  # they have faults of their own, so what they serve is not known
    models = list(dict.fromkeys(declared.deployments[each].model for each in used))
    for index, model in enumerate(use_case.direct):
        if model not in models:
            place = declared.place("use_cases", name, "direct", index)
            faults.add(place, f'model "{model}" is in none of these pools{suggestion(model, models)}')
