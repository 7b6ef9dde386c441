"""What happens in a running exchange, from two looks at its metrics."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from prometheus_client.parser import text_string_to_metric_families

GRAVEST_FIRST = ("open", "half_open", "paused")
MINUTE = 60.0


class Rate(msgspec.Struct, frozen=True):
    """What one deployment, use case or unit does.

    Attributes:
        calls: settled attempts per second, of which so many `failed` or broke.
        tokens: in and out per second.
        money: in the estate's currency, per minute.
        first_byte: seconds on average; None where there was none.
        state: how a deployment stands; empty for others.
        outstanding: attempts under way at a deployment.
    """

    name: str
    calls: float = 0.0
    failed: float = 0.0
    tokens: float = 0.0
    money: float = 0.0
    first_byte: float | None = None
    state: str = ""
    outstanding: int = 0


class Look(msgspec.Struct, frozen=True):
    """One look: the value of every sample, by metric and labels, and when it was taken, in seconds."""

    at: float
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str, at: float) -> Look:
    """Read a scrape in Prometheus text."""
    return Look(
        at,
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        },
    )


def total(look: Look, name: str) -> float:
    """Return a metric's sum over its labels."""
    return sum(value for (metric, _), value in look.samples.items() if metric == name)


def rates(before: Look, now: Look, label: str) -> tuple[Rate, ...]:
    """Return what happened between two looks by one label, such as `deployment` or `use_case`, the busiest first."""
    seconds = max(now.at - before.at, 1e-9)
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (metric, labels), value in now.samples.items():
        known = dict(labels)
        if label in known and (kind := _kind(metric, known)):
            # A worker that was replaced may count less than it did.
            sums[known[label]][kind] += max(0.0, value - before.samples.get((metric, labels), 0.0)) / seconds
    standing = _standing(now) if label == "deployment" else {}
    names = [*sums, *(name for name in standing if name not in sums)]
    found = [_rate(name, sums[name], *standing.get(name, ("", 0))) for name in names]
    return tuple(sorted(found, key=lambda one: (-one.calls, one.name)))


def _kind(metric: str, labels: dict[str, str]) -> str:
    match metric:
        case "trunkline_attempts_total":
            return "failed" if labels.get("status") in {"failed", "broken", "lost"} else "well"
        case "trunkline_tokens_total":
            return "tokens" if labels.get("kind") in {"input", "output"} else ""
        case "trunkline_cost_total":
            return "money"
        case "trunkline_time_to_first_byte_seconds_sum":
            return "waited"
        case "trunkline_time_to_first_byte_seconds_count":
            return "heard"
        case _:
            return ""


def _rate(name: str, sums: dict[str, float], state: str, outstanding: int) -> Rate:
    heard = sums["heard"]
    return Rate(
        name=name,
        calls=sums["well"] + sums["failed"],
        failed=sums["failed"],
        tokens=sums["tokens"],
        money=sums["money"] * MINUTE,
        first_byte=sums["waited"] / heard if heard else None,
        state=state,
        outstanding=outstanding,
    )


def _standing(look: Look) -> dict[str, tuple[str, int]]:
    states: dict[str, str] = {}
    outstanding: dict[str, int] = {}
    for metric, labels in look.samples:
        value, known = look.samples[metric, labels], dict(labels)
        if metric == "trunkline_upstream_state" and value:
            states.setdefault(known["deployment"], known["state"])
        elif metric == "trunkline_upstream_outstanding_calls":
            outstanding[known["deployment"]] = int(value)
    states |= dict(_out(look))
    return {name: (state, outstanding.get(name, 0)) for name, state in states.items()}


def _out(look: Look) -> list[tuple[str, str]]:
    """Deployments that are left alone, with the reason; the gravest comes last."""
    found = []
    for (metric, labels), value in look.samples.items():
        if metric == "trunkline_upstream_out" and value:
            known = dict(labels)
            found.append((known["deployment"], known["reason"]))
    return sorted(found, key=lambda one: -GRAVEST_FIRST.index(one[1]))
