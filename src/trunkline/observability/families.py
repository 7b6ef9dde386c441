"""The metrics: `FAMILIES` is the whole list, and the reference page is written from it."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from trunkline.clock import NANOS_PER_SECOND
from trunkline.observability.metrics import DURATION_BOUNDS, FIRST_BYTE_BOUNDS, WAIT_BOUNDS

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
CREDENTIAL_TOKENS = Family(
    "trunkline_credential_tokens",
    CounterMetricFamily,
    "Tries to fetch a token of a cloud's own chain of credentials: `fetched`, or `failed`; then the one before goes on "
    "until its end.",
    ("chain", "outcome"),
)
WEBHOOKS = Family(
    "trunkline_webhook_messages",
    CounterMetricFamily,
    "Messages to a webhook: `taken` by it, tried in vain (`failed`; they are tried again), or `given_up` after three "
    "days.",
    ("webhook", "outcome"),
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
    "`ejected` after an incident; another exchange was `heard` to say so; the copy of a call was sent there (`copied`) "
    "or left out (`not_copied`); calls were `retried` there, `not_retried` for lack of budget, or `failed_over` to "
    "another one; it was `throttled`, because it told of overload.",
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
UPSTREAM_WAITING = Family(
    "trunkline_upstream_waiting_calls",
    GaugeMetricFamily,
    "Calls that wait for room at a deployment; one that may go to several counts at each.",
    ("deployment",),
)
UPSTREAM_LIMIT = Family(
    "trunkline_upstream_adaptive_limit",
    GaugeMetricFamily,
    "Calls at once that a deployment bears, as found out from its refusals and latency summed over workers; "
    "absent while nothing tells of overload.",
    ("deployment",),
)
WAITS = Family(
    "trunkline_wait_seconds",
    HistogramMetricFamily,
    "How long calls waited for room, by the priority of their use case and how it ended: `served`, `expired` after all "
    "the time it may wait, `shed` at once or for a higher priority, `left` by the caller, or `refused` at the gate, "
    "because the exchange itself had too much to do.",
    ("priority", "outcome"),
    "seconds",
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
BUDGET_WARNINGS_BEFORE = Family(
    "trunkline_budget_warnings_before",
    GaugeMetricFamily,
    "How many of its thresholds a budget passed in the period before, also by what was booked after its end.",
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
    WEBHOOKS,
    CREDENTIAL_TOKENS,
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
    UPSTREAM_WAITING,
    UPSTREAM_LIMIT,
    WAITS,
    ENGINE_RESTARTS,
    CLAIM_EXPIRES,
    BUDGET,
    BUDGET_WARNINGS,
    BUDGET_WARNINGS_BEFORE,
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


def reference() -> str:
    """Return the reference page of all metrics, in Markdown: `docs/reference/metrics.md`."""
    rows = "".join(
        f"| `{_shown(family)}` | {_KINDS[family.kind]} | {', '.join(f'`{name}`' for name in family.labels) or '-'} "
        f"| {family.help} |\n"
        for family in FAMILIES
    )
    return _REFERENCE.format(
        rows=rows, seconds=_bounds(DURATION_BOUNDS), first=_bounds(FIRST_BYTE_BOUNDS), wait=_bounds(WAIT_BOUNDS)
    )


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

and of one's own choice, for waiting: {wait}
"""


def _shown(family: AnyFamily) -> str:
    return family.name + ("_total" if family.kind is CounterMetricFamily else "")


def _bounds(bounds: tuple[int, ...]) -> str:
    return ", ".join(f"{bound / NANOS_PER_SECOND:g}" for bound in bounds)
