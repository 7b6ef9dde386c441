"""The counts as Prometheus or OpenMetrics text."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from trunkline import __version__
from trunkline.clock import NANOS_PER_SECOND
from trunkline.money import NANOS_PER_UNIT
from trunkline.observability import families
from trunkline.observability.metrics import (
    BudgetReading,
    Histogram,
    LimitReading,
    Metrics,
    Series,
    SeriesLabels,
    TimingLabels,
    UpstreamState,
)


def render(metrics: Metrics, accept: str = "", processes: tuple[int, ...] = ()) -> tuple[bytes, str]:
    """Return all metrics and their content type, in the format that the `Accept` header asks for.

    It may run in a thread beside the data path: it reads copies and changes nothing. `processes` are those of the whole
    exchange, whose `process_*` metrics are added up; none given means this one alone.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(metrics))
    if processes:
        registry.register(Processes(processes))
    else:
        ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Exposition(Collector):
    """Turns the counts into the library's samples, one family after the other."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield every family of `families.FAMILIES` in its order."""
        yield from self._requests()
        yield from self._calls()
        yield from self._timings()
        yield from self._readings()

    def _requests(self) -> Iterator[Metric]:
        requests = families.REQUESTS.empty()
        for (status, operation), count in tuple(self._metrics.requests.items()):
            requests.add_metric((operation, str(status)), count)
        refusals = families.REFUSALS.empty()
        for (code, status), count in tuple(self._metrics.refusals.items()):
            refusals.add_metric((code, str(status)), count)
        yield requests
        yield refusals
        incidents = families.INCIDENTS.empty()
        for (kind, deployment), count in tuple(self._metrics.incidents.items()):
            incidents.add_metric((kind, deployment), count)
        yield incidents
        webhooks = families.WEBHOOKS.empty()
        for labels, count in tuple(self._metrics.webhooks.items()):
            webhooks.add_metric(labels, count)
        yield webhooks
        fetched = families.CREDENTIAL_TOKENS.empty()
        for labels, count in tuple(self._metrics.tokens.items()):
            fetched.add_metric(labels, count)
        yield fetched

    def _calls(self) -> Iterator[Metric]:
        attempts, estimated, tokens, cost = (
            families.ATTEMPTS.empty(),
            families.ESTIMATED.empty(),
            families.TOKENS.empty(),
            families.COST.empty(),
        )
        for labels, series in tuple(self._metrics.all_series.items()):
            call = _words(labels)
            for (status, http_status), count in tuple(series.outcomes.items()):
                attempts.add_metric((*call, status, str(http_status)), count)
            estimated.add_metric(call, series.estimated)
            for kind, count in _by_kind(series):
                tokens.add_metric((*call, kind), count)
            cost.add_metric((*call, self._metrics.currency), series.cost / NANOS_PER_UNIT)
        yield from (attempts, estimated, tokens, cost)

    def _timings(self) -> Iterator[Metric]:
        duration, first_byte = families.DURATION.empty(), families.FIRST_BYTE.empty()
        for labels, timing in tuple(self._metrics.timings.items()):
            timed = _words(labels)
            duration.add_metric(timed, *_buckets(timing.duration))
            first_byte.add_metric(timed, *_buckets(timing.first_byte))
        yield duration
        yield first_byte

    def _upstreams(self) -> Iterator[Metric]:
        events = families.UPSTREAM_EVENTS.empty()
        for (event, deployment), count in tuple(self._metrics.upstream_events.items()):
            events.add_metric((deployment, event), count)
        yield events
        calls, tokens, out, waiting, limits = (
            families.UPSTREAM_CALLS.empty(),
            families.UPSTREAM_TOKENS.empty(),
            families.UPSTREAM_OUT.empty(),
            families.UPSTREAM_WAITING.empty(),
            families.UPSTREAM_LIMIT.empty(),
        )
        for load in self._metrics.readings.loads():
            calls.add_metric((load.deployment,), load.calls)
            tokens.add_metric((load.deployment,), load.tokens)
            waiting.add_metric((load.deployment,), load.waiting)
            if load.limit:
                limits.add_metric((load.deployment,), load.limit)
            for reason, workers in load.out.items():
                out.add_metric((load.deployment, reason), workers)
        waits = families.WAITS.empty()
        for labels, histogram in tuple(self._metrics.waits.items()):
            waits.add_metric(labels, *_buckets(histogram))
        yield from (calls, tokens, out, waiting, limits, waits)

    def _readings(self) -> Iterator[Metric]:
        readings = self._metrics.readings
        yield _single(families.IN_FLIGHT, self._metrics.in_flight)
        yield _single(families.CONNECTIONS, readings.connections())
        states = families.UPSTREAM_STATE.empty()
        for deployment, current in readings.upstreams().items():
            for state in UpstreamState:
                states.add_metric((deployment, state), int(state == current))
        yield states
        yield from self._upstreams()
        restarts = families.ENGINE_RESTARTS.empty()
        for deployment, count in readings.engine_restarts().items():
            restarts.add_metric((deployment,), count)
        yield restarts
        claims = families.CLAIM_EXPIRES.empty()
        for claim, seconds in readings.claims().items():
            claims.add_metric(claim, seconds)
        yield claims
        yield from _budgets(readings.budgets())
        yield from _limits(readings.limits())
        yield _single(families.JOURNAL_LAG, readings.journal_lag())
        yield _single(families.STORE_AWAY, readings.store_away())
        yield _single(families.DRAINED, readings.drained())
        yield _single(families.FOLDED, self._metrics.folded)
        reloads = families.RELOADS.empty()
        for result, count in self._metrics.reloads.items():
            reloads.add_metric((result,), count)
        yield reloads
        estate = families.ESTATE.empty()
        if version := readings.estate():
            estate.add_metric((version,), 1)
        yield estate
        yield _single(families.WORKERS, readings.workers())
        yield _single(families.WORKER_RESTARTS, self._metrics.worker_restarts)
        build = families.BUILD.empty()
        build.add_metric((__version__, platform.python_version()), 1)
        yield build


class Processes(Collector):
    """The `process_*` metrics of several processes: added up, but for start and limit, which are the first one's."""

    def __init__(self, processes: tuple[int, ...]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once."""
        found: dict[str, Metric] = {}
        for process in self._processes:
            for metric in ProcessCollector(pid=partial(int, process), registry=None).collect():
                first = found.setdefault(metric.name, metric)
                if first is not metric and metric.name not in _FIRST_ONES:
                    first.samples = [
                        one._replace(value=one.value + other.value)
                        for one, other in zip(first.samples, metric.samples, strict=True)
                    ]
        yield from found.values()


_FIRST_ONES = {"process_start_time_seconds", "process_max_fds"}


def _single(family: families.Family[CounterMetricFamily] | families.Family[GaugeMetricFamily], value: int) -> Metric:
    metric = family.empty()
    metric.add_metric((), value)
    return metric


def _budgets(readings: Mapping[str, BudgetReading]) -> Iterator[Metric]:
    budgets, warnings = families.BUDGET.empty(), families.BUDGET_WARNINGS.empty()
    before = families.BUDGET_WARNINGS_BEFORE.empty()
    for name, one in readings.items():
        left = one.limit - one.settled - one.leased
        for what in ("limit", "settled", "leased", "frozen"):
            budgets.add_metric((name, what), getattr(one, what) / NANOS_PER_UNIT)
        budgets.add_metric((name, "left"), left / NANOS_PER_UNIT)
        warnings.add_metric((name,), one.warned)
        before.add_metric((name,), one.warned_before)
    yield budgets
    yield warnings
    yield before


def _limits(readings: Mapping[str, LimitReading]) -> Iterator[Metric]:
    limits, refused = families.LIMIT.empty(), families.LIMIT_REFUSED.empty()
    for name, one in readings.items():
        limits.add_metric((name, "limit"), one.limit)
        limits.add_metric((name, "used"), one.used)
        refused.add_metric((name,), one.refused)
    yield limits
    yield refused


def _words(labels: SeriesLabels | TimingLabels) -> tuple[str, ...]:
    """Labels as text; the last, `stream`, as `true` or `false`."""
    return (*labels[:-1], "true" if labels[-1] else "false")


def _by_kind(series: Series) -> tuple[tuple[str, int], ...]:
    return (
        ("input", series.input),
        ("cached", series.cached),
        ("cache_write", series.cache_write),
        ("output", series.output),
        ("reasoning", series.reasoning),
    )


def _buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """The cumulative counts by upper bound in seconds, and the sum in seconds."""
    counts = tuple(histogram.counts)
    reached = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(histogram.bounds, counts, strict=False):
        reached += count
        buckets.append((str(bound / NANOS_PER_SECOND), reached))
    buckets.append(("+Inf", reached + counts[-1]))
    return buckets, histogram.total / NANOS_PER_SECOND
