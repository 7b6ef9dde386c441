"""Operator rules at work: decided ahead wherever they speak of neither caller nor request, else for each call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from trunkline.estate.decisions import Decision, Denial
from trunkline.estate.estate import Estate
from trunkline.estate.expressions import Expression, read_expression
from trunkline.estate.rules import Effect, Rule
from trunkline.estate.snapshot import Narrow
from trunkline.messages import Asked
from trunkline.policy.failover import without
from trunkline.tenancy.callers import Caller

LATER = ("caller.", "request.")
"""What is known only once a call is there."""

UNBOUNDED = frozenset({"caller.key", "request.output_limit", "request.bytes"})
"""What takes so many values that an answer is not worth remembering."""

MOST_REMEMBERED = 10_000
SHOWN = 120

Values = Mapping[str, object]


class Pending(msgspec.Struct, frozen=True):
    """A rule that could not be decided ahead, held against one deployment as far as a call is known.

    Attributes:
        words: the rule as refusals name it.
        hangs_on: what it still has to know of the call; empty where it is decided.
        denial: what it refuses the deployment with; None where it does not, or not yet.
    """

    name: str
    words: str
    when: str
    hangs_on: tuple[str, ...] = ()
    denial: Denial | None = None


class _Held(msgspec.Struct, frozen=True):
    """A rule, checked, with the words it refuses in."""

    name: str
    rule: Rule
    expression: Expression

    def refuses(self, values: Values) -> bool:
        """Whether it refuses a deployment; it does where that cannot be worked out."""
        holds = self.expression.holds(values)
        if holds is None:
            return True
        return holds if self.rule.effect is Effect.DENY else not holds

    def denial(self, deployment: str) -> Denial:
        """Say so."""
        when = self.rule.when if len(self.rule.when) <= SHOWN else self.rule.when[:SHOWN] + "..."
        truth = "is true" if self.rule.effect is Effect.DENY else "is not true"
        return Denial(deployment=deployment, rule=rule_words(self.name, self.rule), claim=f"`{when}` {truth} of it")


class Rules:
    """The rules of an estate, held against its deployments and use cases.

    Raises:
        BadExpression: a rule cannot be used; a checked estate has none.
    """

    def __init__(self, estate: Estate) -> None:
        held = [_Held(name, rule, read_expression(rule.when)) for name, rule in estate.rules.items()]
        self._ahead = [one for one in held if not _later(one)]
        self._later = tuple(one for one in held if _later(one))
        self._estate = estate
        self._deployments = {name: of_deployment(estate, name) for name in estate.deployments} if held else {}
        self._use_cases = {name: of_use_case(estate, name) for name in estate.use_cases} if held else {}
        self._classes = {name: of_data_class(name, level) for level, name in enumerate(estate.data_classes)}
        self._answers: dict[tuple[object, ...], bool] = {}

    def mark(self, use_case: str) -> tuple[object, ...]:
        """Return all that the rules decided ahead look at in a use case; those alike are decided alike."""
        return tuple(
            self._use_cases[use_case].get(name) for one in self._ahead for name in sorted(one.expression.names)
        )

    def deny(self, deployment: str, use_case: str, data_class: str) -> tuple[Denial, ...]:
        """Return what the rules have against a deployment, as far as it can be decided ahead."""
        if not self._ahead:
            return ()
        values = {**self._deployments[deployment], **self._use_cases[use_case], **self._classes[data_class]}
        return tuple(one.denial(deployment) for one in self._ahead if self._refuses(one, values))

    def pending(self, deployment: str, use_case: str, data_class: str, call: Values) -> Iterator[Pending]:
        """Yield the rules that are left for the call, held against a deployment as far as `call` tells.

        One that comes out the same whatever the rest of the call is hangs on nothing more.
        """
        if not self._later:
            return
        values = {**self._deployments[deployment], **self._use_cases[use_case], **self._classes[data_class], **call}
        for one in self._later:
            words = rule_words(one.name, one.rule)
            unknown = tuple(sorted(name for name in one.expression.names if name not in values))
            if unknown and one.expression.holds(values) is None:
                yield Pending(one.name, words, one.rule.when, hangs_on=unknown)
            else:
                denial = one.denial(deployment) if one.refuses(values) else None
                yield Pending(one.name, words, one.rule.when, denial=denial)

    def narrow(self) -> Narrow | None:
        """Return what decides the rest once a call is there; None where nothing is left."""
        return _Narrow(self._later, self).decide if self._later else None

    def values(self, deployment: str, decision: Decision) -> dict[str, object]:
        """Return all that is known ahead of a deployment under a decision."""
        known = self._use_cases[decision.use_case]
        return {**self._deployments[deployment], **known, **self._classes[decision.data_class]}

    def of_caller(self, caller: Caller) -> dict[str, object]:
        """Return what expressions may know of a caller. A unit that is not declared has nothing above it."""
        unit = caller.unit
        return {
            "caller.unit": unit,
            "caller.units": list(self._estate.lineage(unit)) if unit in self._estate.units else [],
            "caller.cost_centre": caller.cost_centre,
            "caller.key": caller.key,
        }

    def _refuses(self, one: _Held, values: Values) -> bool:
        key = (one.name, *(values.get(name) for name in sorted(one.expression.names)))
        if key not in self._answers:
            self._answers[key] = one.refuses(values)
        return self._answers[key]


class _Narrow:
    """The rules that look at the caller or the request, with what was answered so far."""

    def __init__(self, held: tuple[_Held, ...], rules: Rules) -> None:
        self._held = held
        self._rules = rules
        names = frozenset(name for one in held for name in one.expression.names)
        self._asked_of = tuple(sorted(name for name in names if name.startswith(LATER)))
        self._remembers = not names & UNBOUNDED
        self._answers: dict[tuple[object, ...], tuple[Decision, Decision]] = {}

    def decide(self, decision: Decision, caller: Caller, asked: Asked) -> Decision:
        """Take from a decision what the rules refuse this caller or this request."""
        values = {**self._rules.of_caller(caller), **of_request(asked)}
        if not self._remembers:
            return self._without(decision, values)
        key = (id(decision), *(str(values[name]) for name in self._asked_of))
        found = self._answers.get(key)
        if found is None:
            if len(self._answers) >= MOST_REMEMBERED:
                self._answers.clear()
            # The decision is kept beside the answer, so that its identity stays its own.
            found = self._answers[key] = (decision, self._without(decision, values))
        return found[1]

    def _without(self, decision: Decision, call: Values) -> Decision:
        against: list[Denial] = []
        for endpoint in (*decision.all_allowed, *decision.unconfigured):
            values = {**self._rules.values(endpoint.deployment, decision), **call}
            against += [one.denial(endpoint.deployment) for one in self._held if one.refuses(values)]
        if not against:
            return decision
        left = without(decision, frozenset(denial.deployment for denial in against))
        return msgspec.structs.replace(left, denials=(*decision.denials, *against))


def rule_words(name: str, rule: Rule) -> str:
    """Return a rule as refusals name it."""
    return f"rule {name} ({rule.message})" if rule.message else f"rule {name}"


def _later(one: _Held) -> bool:
    return any(name.startswith(LATER) for name in one.expression.names)


def of_deployment(estate: Estate, name: str) -> dict[str, object]:
    """Return what expressions may know of a deployment."""
    deployment = estate.deployments[name]
    boundary = estate.boundaries[deployment.boundary]
    return {
        "deployment.name": name,
        "deployment.model": deployment.model,
        "deployment.vendor": deployment.model.partition("/")[0],
        "deployment.pattern": deployment.pattern.value,
        "deployment.boundary": deployment.boundary,
        "deployment.provider": boundary.provider,
        "deployment.region": boundary.region or "",
        "deployment.sku": deployment.sku or "",
        "deployment.owner": deployment.owner or boundary.owner,
    }


def of_use_case(estate: Estate, name: str) -> dict[str, object]:
    """Return what expressions may know of a use case."""
    use_case = estate.use_cases[name]
    return {
        "use_case.name": name,
        "use_case.owner": use_case.owner,
        "use_case.data_class": use_case.data_class,
        "use_case.version": "" if use_case.version is None else str(use_case.version),
    }


def of_data_class(name: str, level: int) -> dict[str, object]:
    """Return what expressions may know of the data class that counts; the loosest has level 0."""
    return {"data_class.name": name, "data_class.level": level}


def of_request(asked: Asked) -> dict[str, object]:
    """Return what expressions may know of a request."""
    return {
        "request.operation": asked.operation.value,
        "request.dialect": asked.dialect,
        "request.stream": asked.stream,
        "request.answers": asked.answers,
        "request.output_limit": asked.output_limit or 0,
        "request.bytes": asked.prompt_bound,
    }
