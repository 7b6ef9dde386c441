"""The estate's limits and quotas, compiled: which of them stand above a call, and what each is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

import msgspec

from trunkline.catalog.units import THROUGHPUTS, UnitThroughput
from trunkline.clock import NANOS_PER_SECOND
from trunkline.config.zones import find_zone
from trunkline.estate.boundaries import Quota, Rates
from trunkline.estate.budgets import Limit
from trunkline.estate.deployments import Capacity, Deployment
from trunkline.estate.estate import Estate
from trunkline.metering.budgets import UNITS, WORDS, node_of, owner_of
from trunkline.metering.periods import FOREVER, Period, period_at

MINUTE = 60 * NANOS_PER_SECOND
TOKENS = "tokens"
REQUESTS = "requests"
CALLS = "calls at once"
PROVISIONED = "tokens of its units"
REQUESTS_AT_ONCE = "requests at once"
TOKENS_AT_ONCE = "tokens at once"
REQUESTS_BURST = 1
FEWEST_REQUESTS = 10
"""Seconds' worth of a quota of requests that may go at once, and how many at least: providers count them in windows of
one to ten seconds (Azure OpenAI, "Manage Azure OpenAI Service quota": understanding rate limits)."""
TOKENS_BURST = 10
"""The same for tokens, which providers count by the minute, or in a bucket of a minute's that fills evenly."""
UNIT_SECONDS = 60
"""How many seconds' worth of its units a deployment is taken to give at once; providers do not publish it."""
MEASURES = {
    "rpm": (REQUESTS, "minute"),
    "tpm": (TOKENS, "minute"),
    "rpd": (REQUESTS, "day"),
    "tpd": (TOKENS, "day"),
    "concurrency": (CALLS, ""),
}
"""What each field of a limit counts, and in which windows; calls at once have none."""


class Rate(msgspec.Struct, frozen=True):
    """One limit in force.

    Attributes:
        name: the same for all workers: what it binds, and the field that says it.
        words: what it binds, in words.
        counts: `TOKENS`, `REQUESTS` or `CALLS`; of buckets `PROVISIONED`, `REQUESTS_AT_ONCE` or `TOKENS_AT_ONCE`.
        per: `minute`, `day`, or nothing.
        zone: whose days they are.
        owner: the unit to ask for more; empty where the estate names none.
        provided: whether it says what a provider or a deployment can take, so that another one may be tried.
        drains: of a bucket, by how much per minute what is used ebbs away; its limit is then how much fits into it.
        ratio: of units, how many input tokens a token of output counts as.
        burst: of a quota that is used evenly, how many nanoseconds' worth of it may go at once; 0 for all of it.
    """

    name: str
    words: str
    counts: str
    limit: int
    per: str = ""
    zone: tzinfo = UTC
    owner: str = ""
    provided: bool = False
    drains: int = 0
    ratio: int = 1
    burst: int = 0

    def window(self, moment: int) -> Period:
        """Return the window in which a moment lies: minutes of the clock, days of the zone."""
        if self.per == "minute":
            starts = moment - moment % MINUTE
            return Period(starts, starts + MINUTE)
        return period_at("day", self.zone, moment) if self.per else Period(0, FOREVER)


class Limits(msgspec.Struct, frozen=True):
    """All limits of an estate.

    Attributes:
        of: those of each node that calls come from, by its kind and name.
        at: those of each deployment, its boundary and its model there.
        lineage: for each unit, itself and all above it.
    """

    of: dict[tuple[str, str], tuple[Rate, ...]]
    at: dict[str, tuple[Rate, ...]]
    lineage: dict[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[Rate]:
        yield from {rate.name: rate for several in (*self.of.values(), *self.at.values()) for rate in several}.values()

    def __bool__(self) -> bool:
        return bool(self.of or self.at)

    def above(self, unit: str, use_case: str, key: str, person: str, customer: str) -> tuple[Rate, ...]:
        """Return the limits above a caller's calls of a use case; those at the root last."""
        nodes = [("key", key), ("person", person), ("end_customer", customer), ("use_case", use_case)]
        nodes += [(UNITS, name) for name in self.lineage.get(unit, (unit,))]
        return tuple(rate for node in nodes for rate in self.of.get(node, ()))


def compile_limits(estate: Estate) -> Limits:
    """Return the limits of a checked estate."""
    zone = find_zone(estate.time_zone) or UTC
    of: dict[tuple[str, str], tuple[Rate, ...]] = {}
    for limit in estate.limits:
        kind, name = node_of(limit.on)
        of[kind, name] = (*of.get((kind, name), ()), *_rates(estate, limit, kind, name, zone))
    at: dict[str, tuple[Rate, ...]] = {}
    for name, deployment in estate.deployments.items():
        rates = (
            *of.get(("deployment", name), ()),
            *of.get(("boundary", deployment.boundary), ()),
            *_capacity(name, deployment, owner_of(estate, "deployment", name)),
            *_quotas(estate.boundaries[deployment.boundary].quota, estate, deployment.boundary, deployment.model),
        )
        if rates:
            at[name] = rates
    callers = {node: rates for node, rates in of.items() if node[0] not in {"deployment", "boundary"}}
    return Limits(callers, at, {name: estate.lineage(name) for name in estate.units})


def throughput(model: str, capacity: Capacity) -> UnitThroughput | None:
    """Return what a unit of a deployment takes, as the estate says, else the catalogue; None where nobody does."""
    known = THROUGHPUTS.get(model)
    tpm = capacity.input_tpm or (known.input_tpm if known else None)
    ratio = capacity.output_ratio or (known.output_ratio if known else None)
    return None if tpm is None or ratio is None else UnitThroughput(tpm, ratio)


def _capacity(name: str, deployment: Deployment, owner: str) -> Iterator[Rate]:
    """What a deployment is declared to carry."""
    capacity = deployment.capacity
    if capacity is None:
        return
    where, words = f"deployment:{name}/capacity", f'deployment "{name}"'
    yield from _quota(where, words, Rates(tpm=capacity.tpm, rpm=capacity.rpm), owner)
    yield from _units(name, deployment.model, capacity, owner)
    if capacity.concurrency is not None:
        yield Rate(f"{where}/concurrency", words, CALLS, capacity.concurrency, owner=owner, provided=True)


def _units(name: str, model: str, capacity: Capacity, owner: str) -> Iterator[Rate]:
    """The units of a deployment: a bucket that fills with what calls use and drains as fast as the units work.

    Source: azure-ai-docs, foundry/openai, concepts/provisioned-throughput: calls are accepted while utilisation is
    below 100 %.
    """
    each = throughput(model, capacity) if capacity.ptu is not None else None
    if each is None or capacity.ptu is None:
        return
    drains = capacity.ptu * each.input_tpm
    words = f'the {capacity.ptu} units of deployment "{name}"'
    most = drains * UNIT_SECONDS // 60
    yield Rate(
        f"deployment:{name}/capacity/ptu",
        words,
        PROVISIONED,
        most,
        owner=owner,
        provided=True,
        drains=drains,
        ratio=each.output_ratio,
    )


def _rates(estate: Estate, limit: Limit, kind: str, name: str, zone: tzinfo) -> Iterator[Rate]:
    words = f'{WORDS.get(kind, kind)} "{name}"'
    owner = owner_of(estate, kind, name)
    for field, (counts, per) in MEASURES.items():
        most = getattr(limit, field)
        if most is not None:
            provided = kind in {"deployment", "boundary"}
            yield Rate(f"{kind}:{name}/{field}", words, counts, most, per, zone, owner, provided)


def _quotas(quota: Quota | None, estate: Estate, boundary: str, model: str) -> Iterator[Rate]:
    """What the provider allows in a boundary as a whole, and there for one model."""
    if quota is None:
        return
    owner = owner_of(estate, "boundary", boundary)
    yield from quota_rates(f"boundary:{boundary}/quota", f'boundary "{boundary}"', quota, owner)
    if (said := quota.models.get(model)) is not None:
        of_model = Quota(said.tpm, said.rpm, burst=quota.burst)
        words = f'{model} in boundary "{boundary}"'
        yield from quota_rates(f"boundary:{boundary}/quota/{model}", words, of_model, owner)


def _quota(name: str, words: str, said: Rates | Quota, owner: str) -> Iterator[Rate]:
    for field in ("rpm", "tpm"):
        most = getattr(said, field)
        if most is not None:
            counts, per = MEASURES[field]
            yield Rate(f"{name}/{field}", words, counts, most, per, owner=owner, provided=True)


def quota_rates(name: str, words: str, quota: Quota, owner: str) -> Iterator[Rate]:
    """Yield what a provider allows of all that is bound together, each with the bucket by which it is used evenly."""
    for rate in _quota(name, words, quota, owner):
        requests = rate.counts == REQUESTS
        if quota.burst is not None:
            at_once = rate.limit * quota.burst // 60
        elif requests:
            at_once = max(rate.limit * REQUESTS_BURST // 60, FEWEST_REQUESTS)
        else:
            at_once = rate.limit * TOKENS_BURST // 60
        at_once = max(at_once, 1)
        if at_once >= rate.limit:
            yield rate
            continue
        yield msgspec.structs.replace(rate, burst=MINUTE * at_once // rate.limit if requests else 0)
        counts = REQUESTS_AT_ONCE if requests else TOKENS_AT_ONCE
        yield msgspec.structs.replace(
            rate, name=f"{rate.name}/burst", counts=counts, limit=at_once, per="", drains=rate.limit
        )
