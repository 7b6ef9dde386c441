"""Every deployment under one use case and data class: allowed or refused, by which rule and claim, and what would help.

The compiler decides. Explaining compiles the use case over all deployments of the estate, also those outside its
pools, and finds for each rule the claim it was held against.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from trunkline.estate.decisions import Decision
from trunkline.estate.estate import Estate
from trunkline.estate.pools import Pool
from trunkline.estate.use_cases import State, UseCase
from trunkline.estate.zones import known_zones
from trunkline.messages import Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.explanation import Check, Explanation, Row, denials_by_deployment, reasons_apart
from trunkline.policy.keeping import kept_under
from trunkline.policy.reach import reach
from trunkline.policy.remedy import Required, remedy
from trunkline.policy.rules import rule_words
from trunkline.policy.satisfy import describe_claim, describe_requirement, satisfies
from trunkline.policy.sources import ClaimId, Sourced, trace
from trunkline.policy.surroundings import Surroundings

EVERYTHING = "every deployment"
"""The name of the pool that explaining adds; a blank can stand in no declared name."""


class Question(msgspec.Struct, frozen=True):
    """What is to be explained, at a time in nanoseconds since 1970.

    Attributes:
        data_class: what a caller would raise it to; empty for the use case's own.
        verified: which claims of the estate come from a later verification.
        operation: what is asked for; without it a claim counts that holds for all that a deployment does.
    """

    use_case: str
    now: int
    data_class: str = ""
    verified: Collection[ClaimId] = ()
    operation: Operation | None = None


def explain(estate: Estate, surroundings: Surroundings, question: Question) -> Explanation:
    """Explain what a use case may use under a data class: its own, or a stricter one.

    Rows come in the order of attempts, then what is allowed and not configured, then what is refused, then what stands
    outside the use case's pools.
    """
    declared = estate.use_cases[question.use_case]
    # A looser class than the use case's own is ignored, as it is in a request.
    under = max(question.data_class or declared.data_class, declared.data_class, key=tuple(estate.data_classes).index)
    question = msgspec.structs.replace(question, data_class=under)
    inside, everything = _decide(estate, surroundings, question)
    writer = _Writer(estate, surroundings, question)
    return Explanation(
        use_case=question.use_case,
        owner=declared.owner,
        own_class=declared.data_class,
        data_class=under,
        closed=_closed(estate, surroundings, question),
        rows=(*writer.inside(inside), *writer.outside(everything)),
        kept=kept_under(inside),
    )


def pool_of_all(estate: Estate) -> Pool:
    """Return a pool of all deployments of an estate."""
    return Pool(owner=estate.root, tiers=(tuple(estate.deployments),))


def _decide(estate: Estate, surroundings: Surroundings, question: Question) -> tuple[Decision, Decision]:
    """What policy decides over the use case's own pools, and over all deployments."""
    name = question.use_case
    declared = estate.use_cases[name]
    decisions = []
    for pools in (declared.pools, (EVERYTHING,)):
        use_case = msgspec.structs.replace(
            declared, state=State.ACTIVE, audience=(estate.root,), direct=(), pools=pools
        )
        alone = msgspec.structs.replace(
            estate, use_cases={name: use_case}, pools={**estate.pools, EVERYTHING: pool_of_all(estate)}
        )
        offer = compile_estate(alone, surroundings, question.now).offers[estate.root][name]
        anything = offer.decisions[question.data_class]
        asked = offer.by_operation.get(question.operation) if question.operation is not None else None
        decisions.append(anything if asked is None else _join(asked[question.data_class], anything))
    return decisions[0], decisions[1]


def _join(asked: Decision, whole: Decision) -> Decision:
    """What is decided for an operation, and beside it of the deployments that do not do it what is decided anyway."""
    known = {one.deployment for one in (*asked.all_allowed, *asked.unconfigured)}
    known |= {denial.deployment for denial in asked.denials}
    others = tuple(one for one in whole.endpoints if one.deployment not in known)
    further = (others,) if others else ()
    return msgspec.structs.replace(
        asked,
        tiers=(*asked.tiers, *further),
        allowed=(*asked.allowed, *further),
        denials=(*asked.denials, *(one for one in whole.denials if one.deployment not in known)),
        unconfigured=(*asked.unconfigured, *(one for one in whole.unconfigured if one.deployment not in known)),
    )


class _Writer:
    """Writes the rows of one use case under one class."""

    def __init__(self, estate: Estate, surroundings: Surroundings, question: Question) -> None:
        self._estate = estate
        self._surroundings = surroundings
        self._question = question
        self._use_case = estate.use_cases[question.use_case]
        self._places = dict(_places(estate, self._use_case))
        self._endpoints = reach(estate, surroundings)
        self._zones = known_zones(estate.zones)
        classes = tuple(estate.data_classes)
        self._classes = classes[: classes.index(question.data_class) + 1]

    def inside(self, decision: Decision) -> Iterator[Row]:
        """The rows of what stands in the use case's pools."""
        for order, endpoint in enumerate(decision.endpoints, start=1):
            yield self._row(endpoint.deployment, self._checks(endpoint.deployment, {}), allowed=True, order=order)
        for name, why in reasons_apart(decision).items():
            yield self._row(name, self._checks(name, {}), allowed=True, apart=why)
        for endpoint in decision.unconfigured:
            yield self._row(endpoint.deployment, self._checks(endpoint.deployment, {}), allowed=True)
        for name, denials in denials_by_deployment(decision).items():
            yield self._row(name, self._checks(name, denials), allowed=False)

    def outside(self, decision: Decision) -> Iterator[Row]:
        """The rows of all others, with what else stands against them."""
        denials = denials_by_deployment(decision)
        for name in self._estate.deployments:
            if name not in self._places:
                checks = (self._elsewhere(name), *self._checks(name, denials.get(name, {})))
                yield self._row(name, checks, allowed=False)

    def _row(
        self, name: str, checks: tuple[Check, ...], *, allowed: bool, order: int | None = None, apart: str = ""
    ) -> Row:
        endpoint = self._endpoints[name]
        pool, tier = self._places.get(name, (None, None))
        return Row(
            deployment=name,
            pattern=endpoint.pattern,
            boundary=endpoint.boundary,
            model=endpoint.model,
            operations=endpoint.operations,
            pool=pool,
            tier=tier,
            order=order,
            allowed=allowed,
            missing=endpoint.missing,
            checks=checks,
            apart=apart,
        )

    def _where(self, words: str) -> tuple[str, ...]:
        """Where a rule stands that a denial names; empty where it is none of the estate's rules."""
        named = (("rules", name) for name, rule in self._estate.rules.items() if rule_words(name, rule) == words)
        return next(named, ())

    def _elsewhere(self, name: str) -> Check:
        pools = ", ".join(self._use_case.pools)
        others = [pool for pool, each in self._estate.pools.items() if any(name in tier for tier in each.tiers)]
        return Check(
            rule=f"use case {self._question.use_case} uses the pools {pools}",
            met=False,
            claim=f"it stands in {', '.join(others)}" if others else "it stands in no pool",
            would_allow=f"add {name} to a tier of {pools}, or a pool that holds it to the use case",
        )

    def _checks(self, name: str, denials: dict[str, str]) -> tuple[Check, ...]:
        """What was denied for other reasons, then every requirement in order; unmet are those among the denials."""
        question = self._question
        does, asked = self._endpoints[name].operations, question.operation
        operations = (asked,) if asked in does else does
        claims = trace(self._estate, name, self._surroundings.vendors, question.now, question.verified, operations)
        checks: dict[str, Check] = {}
        for data_class in self._classes:
            for control, requirement in self._estate.data_classes[data_class].requires.items():
                rule = f"data class {data_class} requires {describe_requirement(control, requirement)}"
                required = Required(name, control, requirement, self._zones)
                check = _check(rule, required, claims.get(control, ()), question.now, met=rule not in denials)
                checks[rule] = msgspec.structs.replace(check, at=("data_classes", data_class, "requires", control))
        others = (
            Check(
                rule=rule, met=False, claim=claim, would_allow=f"the rule has to change: {rule}", at=self._where(rule)
            )
            for rule, claim in denials.items()
            if rule not in checks
        )
        return (*others, *checks.values())


def _check(rule: str, required: Required, held: tuple[Sourced, ...], now: int, *, met: bool) -> Check:
    control, requirement = required.control, required.requirement
    short = next((one for one in held if not satisfies(control, one.claim, requirement, now, required.zones)), None)
    shown = short if short is not None else next(iter(held), None)
    if shown is None:
        return Check(
            rule=rule,
            met=met,
            claim=describe_claim(required.control, None, now),
            control=required.control,
            would_allow="" if met else remedy(required, None, now),
        )
    claim = shown.claim
    return Check(
        rule=rule,
        met=met,
        claim=describe_claim(required.control, claim, now),
        would_allow="" if met else remedy(required, shown, now),
        control=required.control,
        value=claim.value,
        basis=claim.basis,
        evidence=claim.evidence,
        verified_at=claim.verified_at,
        verified_by=claim.verified_by,
        expires=claim.expires,
        source=shown.source,
    )


def _places(estate: Estate, use_case: UseCase) -> Iterator[tuple[str, tuple[str, int]]]:
    """Each deployment of the use case's pools with pool and tier; the first of several places comes last."""
    for pool in reversed(use_case.pools):
        for number, tier in reversed(tuple(enumerate(estate.pools[pool].tiers, start=1))):
            for name in tier:
                yield name, (pool, number)


def _closed(estate: Estate, surroundings: Surroundings, question: Question) -> str:
    """Why the use case is not on offer; empty when it is."""
    use_case = estate.use_cases[question.use_case]
    alone = msgspec.structs.replace(estate, use_cases={question.use_case: use_case})
    if question.use_case in compile_estate(alone, surroundings, question.now).owners:
        return ""
    successor = f"; its successor is {use_case.successor}" if use_case.successor else ""
    return f"it is {use_case.state}: nobody is offered it{successor}"
