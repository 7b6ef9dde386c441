"""Operator rules that never take anything away: misspelt, or left over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

from trunkline.estate.estate import Estate
from trunkline.estate.expressions import read_expression
from trunkline.estate.rules import Effect
from trunkline.policy.rules import of_data_class, of_deployment, of_use_case

MOST_TRIED = 20_000
"""A rule with more combinations than these to try is left alone."""


def idle_rules(estate: Estate) -> Iterator[str]:
    """Yield the rules that refuse no deployment to any use case under any data class, whoever calls with whatever."""
    deployments = [of_deployment(estate, name) for name in estate.deployments]
    use_cases = [of_use_case(estate, name) for name in estate.use_cases]
    classes = [of_data_class(name, level) for level, name in enumerate(estate.data_classes)]
    for name, rule in estate.rules.items():
        expression = read_expression(rule.when)
        idle = rule.effect is Effect.ALLOW_ONLY
        alike = [_distinct(each, expression.names) for each in (deployments, use_cases, classes)]
        # Of a call nothing is known: what could come out either way may refuse.
        if 0 < prod(map(len, alike)) <= MOST_TRIED and all(
            expression.holds({key: value for part in parts for key, value in part.items()}) is idle
            for parts in product(*alike)
        ):
            yield name


def _distinct(things: Iterable[dict[str, object]], names: frozenset[str]) -> list[dict[str, object]]:
    """What an expression that speaks of these names can tell apart."""
    seen = {tuple((name, thing[name]) for name in sorted(names & thing.keys())) for thing in things}
    return [dict(one) for one in sorted(seen)]
