"""The counts as Prometheus or OpenMetrics text. `FAMILIES` is the whole list: the reference page is written from it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Generic, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from trunkline import __version__
from trunkline.clock import NANOS_PER_SECOND
from trunkline.money import NANOS_PER_UNIT
from trunkline.observability.metrics import (
    DURATION_BOUNDS,
    FIRST_BYTE_BOUNDS,
    BudgetReading,
    Histogram,
    LimitReading,
    Metrics,
    Series,
    SeriesLabels,
    TimingLabels,
    UpstreamState,
)

_CALL = ("unit", "use_case", "deployment", "pattern", "operation", "stream")
_TIMED = ("deployment", "pattern", "operation", "stream")


Kind = TypeVar("Kind", CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily)


class Family(msgspec.Struct, Generic[Kind], frozen=True):
    """One metric. A counter's name goes without `_total`, as OpenMetrics has it; the text shows it with."""

    name: str
    kind: type[Kind]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""

    def empty(self) -> Kind:
        """Return the library's form, without samples."""
        return self.kind(self.name, self.help, labels=self.labels, unit=self.unit)


AnyFamily = Family[CounterMetricFamily] | Family[GaugeMetricFamily] | Family[HistogramMetricFamily]

REQUESTS = Family(
    "trunkline_requests", CounterMetricFamily, "Requests answered, by HTTP status.", ("operation", "status")
)
REFUSALS = Family(
    "trunkline_refusals", CounterMetricFamily, "Requests that the exchange refused, by stable code.", ("code", "status")
)
INCIDENTS = Family(
    "trunkline_incidents",
    CounterMetricFamily,
    "Incidents at a deployment, by kind; each took it out for a while.",
    ("kind", "deployment"),
)
ATTEMPTS = Family(
    "trunkline_attempts",
    CounterMetricFamily,
    "Settled attempts at a deployment, by how they ended and the upstream's HTTP status (0: none).",
    (*_CALL, "status", "http_status"),
)
ESTIMATED = Family(
    "trunkline_estimated_attempts",
    CounterMetricFamily,
    "Settled attempts whose usage was counted here, because the upstream gave none.",
    _CALL,
)
TOKENS = Family(
    "trunkline_tokens",
    CounterMetricFamily,
    "Tokens by kind. `input` includes `cached` and `cache_write`; `output` includes `reasoning`.",
    (*_CALL, "kind"),
)
COST = Family(
    "trunkline_cost",
    CounterMetricFamily,
    "Cost in the estate's currency, as a float: for exact sums ask the ledger.",
    (*_CALL, "currency"),
)
DURATION = Family(
    "trunkline_request_duration_seconds",
    HistogramMetricFamily,
    "From before an attempt is sent until its answer ended.",
    _TIMED,
    "seconds",
)
FIRST_BYTE = Family(
    "trunkline_time_to_first_byte_seconds",
    HistogramMetricFamily,
    "From before an attempt is sent until the first byte of its answer.",
    _TIMED,
    "seconds",
)
IN_FLIGHT = Family("trunkline_in_flight", GaugeMetricFamily, "Calls that are being answered now.")
CONNECTIONS = Family("trunkline_connections", GaugeMetricFamily, "Client connections that are open now.")
UPSTREAM_STATE = Family(
    "trunkline_upstream_state",
    GaugeMetricFamily,
    "1 for the state a deployment is in, 0 for the others.",
    ("deployment", "state"),
)
UPSTREAM_EVENTS = Family(
    "trunkline_upstream_events",
    CounterMetricFamily,
    "What happened at a deployment: its breaker `opened`, was `probed` or `closed`; it `paused` calls, or was "
    "`ejected` after an incident; calls were `retried` there, `not_retried` for lack of budget, or `failed_over` to "
    "another one.",
    ("deployment", "event"),
)
UPSTREAM_CALLS = Family(
    "trunkline_upstream_outstanding_calls", GaugeMetricFamily, "Attempts under way at a deployment.", ("deployment",)
)
UPSTREAM_TOKENS = Family(
    "trunkline_upstream_outstanding_tokens",
    GaugeMetricFamily,
    "The most tokens that the attempts under way at a deployment can use.",
    ("deployment",),
)
UPSTREAM_OUT = Family(
    "trunkline_upstream_out",
    GaugeMetricFamily,
    "Workers that leave a deployment alone: its breaker is `open` or `half_open`, or it asked to be spared (`paused`).",
    ("deployment", "reason"),
)
ENGINE_RESTARTS = Family(
    "trunkline_engine_restarts",
    CounterMetricFamily,
    "How often an engine that the exchange runs was started again.",
    ("deployment",),
)
CLAIM_EXPIRES = Family(
    "trunkline_claim_expires_in_seconds",
    GaugeMetricFamily,
    "Until a deployment's claim expires, negative once it has; of many claims those that expire first.",
    ("deployment", "control"),
    "seconds",
)
BUDGET = Family(
    "trunkline_budget",
    GaugeMetricFamily,
    "A budget in its period, in the estate's currency, as floats: its `limit` with temporary increases, what is "
    "`settled`, what is `leased` for calls under way and ahead of them, what of that is `frozen` with a worker that is "
    "gone, and what is `left`.",
    ("budget", "what"),
)
LIMIT = Family(
    "trunkline_limit",
    GaugeMetricFamily,
    "A limit or a quota: its `limit`, and what is `used` of it in its window, or how many calls are under way.",
    ("limit", "what"),
)
LIMIT_REFUSED = Family(
    "trunkline_limit_refused",
    CounterMetricFamily,
    "How often a limit or a quota left no room for an attempt.",
    ("limit",),
)
BUDGET_WARNINGS = Family(
    "trunkline_budget_warnings",
    GaugeMetricFamily,
    "How many of its thresholds a budget has passed in its period.",
    ("budget",),
)
JOURNAL_LAG = Family(
    "trunkline_journal_lag_records",
    GaugeMetricFamily,
    "Journal records that the store has not booked yet.",
    unit="records",
)
STORE_AWAY = Family(
    "trunkline_store_away",
    GaugeMetricFamily,
    "Processes for which the store takes nothing at the moment; calls go on, and their journals keep them.",
)
DRAINED = Family(
    "trunkline_ledger_records", CounterMetricFamily, "Journal records booked in the store since the start."
)
FOLDED = Family(
    "trunkline_folded_series",
    CounterMetricFamily,
    "Calls counted under `other`, because there are too many label sets.",
)
RELOADS = Family(
    "trunkline_estate_reload",
    CounterMetricFamily,
    "How often the estate was read again: `applied`, or `refused` for a fault; then the one before goes on.",
    ("result",),
)
ESTATE = Family("trunkline_estate_info", GaugeMetricFamily, "1, with the version of the estate in force.", ("version",))
WORKERS = Family("trunkline_workers", GaugeMetricFamily, "Processes that answer.")
WORKER_RESTARTS = Family(
    "trunkline_worker_restarts", CounterMetricFamily, "How often a worker that had ended was replaced."
)
BUILD = Family("trunkline_build_info", GaugeMetricFamily, "1, with the running version.", ("version", "python"))

FAMILIES: tuple[AnyFamily, ...] = (
    REQUESTS,
    REFUSALS,
    INCIDENTS,
    ATTEMPTS,
    ESTIMATED,
    TOKENS,
    COST,
    DURATION,
    FIRST_BYTE,
    IN_FLIGHT,
    CONNECTIONS,
    UPSTREAM_STATE,
    UPSTREAM_EVENTS,
    UPSTREAM_CALLS,
    UPSTREAM_TOKENS,
    UPSTREAM_OUT,
    ENGINE_RESTARTS,
    CLAIM_EXPIRES,
    BUDGET,
    BUDGET_WARNINGS,
    LIMIT,
    LIMIT_REFUSED,
    JOURNAL_LAG,
    STORE_AWAY,
    DRAINED,
    FOLDED,
    RELOADS,
    ESTATE,
    WORKERS,
    WORKER_RESTARTS,
    BUILD,
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
        """Yield every family of FAMILIES in its order."""
        yield from self._requests()
        yield from self._calls()
        yield from self._timings()
        yield from self._readings()

    def _requests(self) -> Iterator[Metric]:
        requests = REQUESTS.empty()
        for (status, operation), count in tuple(self._metrics.requests.items()):
            requests.add_metric((operation, str(status)), count)
        refusals = REFUSALS.empty()
        for (code, status), count in tuple(self._metrics.refusals.items()):
            refusals.add_metric((code, str(status)), count)
        yield requests
        yield refusals
        incidents = INCIDENTS.empty()
        for (kind, deployment), count in tuple(self._metrics.incidents.items()):
            incidents.add_metric((kind, deployment), count)
        yield incidents

    def _calls(self) -> Iterator[Metric]:
        attempts, estimated, tokens, cost = ATTEMPTS.empty(), ESTIMATED.empty(), TOKENS.empty(), COST.empty()
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
        duration, first_byte = DURATION.empty(), FIRST_BYTE.empty()
        for labels, timing in tuple(self._metrics.timings.items()):
            timed = _words(labels)
            duration.add_metric(timed, *_buckets(timing.duration))
            first_byte.add_metric(timed, *_buckets(timing.first_byte))
        yield duration
        yield first_byte

    def _upstreams(self) -> Iterator[Metric]:
        events = UPSTREAM_EVENTS.empty()
        for (event, deployment), count in tuple(self._metrics.upstream_events.items()):
            events.add_metric((deployment, event), count)
        yield events
        calls, tokens, out = UPSTREAM_CALLS.empty(), UPSTREAM_TOKENS.empty(), UPSTREAM_OUT.empty()
        for load in self._metrics.readings.loads():
            calls.add_metric((load.deployment,), load.calls)
            tokens.add_metric((load.deployment,), load.tokens)
            for reason, workers in load.out.items():
                out.add_metric((load.deployment, reason), workers)
        yield from (calls, tokens, out)

    def _readings(self) -> Iterator[Metric]:
        readings = self._metrics.readings
        yield _single(IN_FLIGHT, self._metrics.in_flight)
        yield _single(CONNECTIONS, readings.connections())
        states = UPSTREAM_STATE.empty()
        for deployment, current in readings.upstreams().items():
            for state in UpstreamState:
                states.add_metric((deployment, state), int(state == current))
        yield states
        yield from self._upstreams()
        restarts = ENGINE_RESTARTS.empty()
        for deployment, count in readings.engine_restarts().items():
            restarts.add_metric((deployment,), count)
        yield restarts
        claims = CLAIM_EXPIRES.empty()
        for claim, seconds in readings.claims().items():
            claims.add_metric(claim, seconds)
        yield claims
        yield from _budgets(readings.budgets())
        yield from _limits(readings.limits())
        yield _single(JOURNAL_LAG, readings.journal_lag())
        yield _single(STORE_AWAY, readings.store_away())
        yield _single(DRAINED, readings.drained())
        yield _single(FOLDED, self._metrics.folded)
        reloads = RELOADS.empty()
        for result, count in self._metrics.reloads.items():
            reloads.add_metric((result,), count)
        yield reloads
        estate = ESTATE.empty()
        if version := readings.estate():
            estate.add_metric((version,), 1)
        yield estate
        yield _single(WORKERS, readings.workers())
        yield _single(WORKER_RESTARTS, self._metrics.worker_restarts)
        build = BUILD.empty()
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


def _single(family: Family[CounterMetricFamily] | Family[GaugeMetricFamily], value: int) -> Metric:
    metric = family.empty()
    metric.add_metric((), value)
    return metric


def _budgets(readings: Mapping[str, BudgetReading]) -> Iterator[Metric]:
    budgets, warnings = BUDGET.empty(), BUDGET_WARNINGS.empty()
    for name, one in readings.items():
        left = one.limit - one.settled - one.leased
        for what in ("limit", "settled", "leased", "frozen"):
            budgets.add_metric((name, what), getattr(one, what) / NANOS_PER_UNIT)
        budgets.add_metric((name, "left"), left / NANOS_PER_UNIT)
        warnings.add_metric((name,), one.warned)
    yield budgets
    yield warnings


def _limits(readings: Mapping[str, LimitReading]) -> Iterator[Metric]:
    limits, refused = LIMIT.empty(), LIMIT_REFUSED.empty()
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


def reference() -> str:
    """Return the reference page of all metrics, in Markdown: `docs/reference/metrics.md`."""
    rows = "".join(
        f"| `{_shown(family)}` | {_KINDS[family.kind]} | {', '.join(f'`{name}`' for name in family.labels) or '-'} "
        f"| {family.help} |\n"
        for family in FAMILIES
    )
    return _REFERENCE.format(rows=rows, seconds=_bounds(DURATION_BOUNDS), first=_bounds(FIRST_BYTE_BOUNDS))


_KINDS = {CounterMetricFamily: "counter", GaugeMetricFamily: "gauge", HistogramMetricFamily: "histogram"}

_REFERENCE = """\
# Metrics

`GET /metrics` answers in Prometheus text, or in OpenMetrics where the `Accept` header asks for it. Beside these stand
the usual `process_*` metrics.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
{rows}
Labels are bounded: their values come from the estate and from the code, never from a request. Beyond 10,000 sets of
call labels, further ones are counted under `other`, and `trunkline_folded_series_total` says how often.

Buckets, in seconds, as OpenTelemetry advises for `gen_ai.client.operation.duration` and
`gen_ai.server.time_to_first_token`:

- duration: {seconds}
- first byte: {first}
"""


def _shown(family: AnyFamily) -> str:
    return family.name + ("_total" if family.kind is CounterMetricFamily else "")


def _bounds(bounds: tuple[int, ...]) -> str:
    return ", ".join(f"{bound / NANOS_PER_SECOND:g}" for bound in bounds)
