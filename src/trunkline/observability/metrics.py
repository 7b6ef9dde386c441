"""Counts, kept as plain integers: the data path only adds; `scrape` turns them into text when somebody asks.

Labels are bounded. Units, use cases and deployments come from the estate, codes and states from the code; statuses
that an upstream invents and label sets beyond the bound are folded into one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from trunkline.messages import Usage

MOST_SERIES = 10_000
MOST_OUTCOMES = 64
OTHER = "other"

_MILLISECOND = 1_000_000

DURATION_BOUNDS = tuple(
    bound * _MILLISECOND
    for bound in (10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 40_960, 81_920)
)
"""Upper bounds in nanoseconds: those that OpenTelemetry advises for `gen_ai.client.operation.duration`."""

FIRST_BYTE_BOUNDS = tuple(
    bound * _MILLISECOND for bound in (1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
)
"""Upper bounds in nanoseconds: those that OpenTelemetry advises for `gen_ai.server.time_to_first_token`."""


WAIT_BOUNDS = tuple(bound * _MILLISECOND for bound in (1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000))
"""Upper bounds in nanoseconds of how long calls wait for room."""

PRIORITIES = ("low", "normal", "high")
"""Those of the estate, in their order."""


class UpstreamState(StrEnum):
    """How a deployment stands."""

    READY = "ready"
    STARTING = "starting"
    NOT_CONFIGURED = "not_configured"
    DOWN = "down"


class Reload(StrEnum):
    """How a try to read the estate again ended."""

    APPLIED = "applied"
    REFUSED = "refused"


class Histogram:
    """Durations, counted in buckets; nanoseconds. The last count is of those above every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def observe(self, nanos: int) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, nanos)] += 1
        self.total += nanos


class Timing:
    """The two histograms of a deployment's operation. Fewer labels than `Series`, for a histogram is many lines."""

    __slots__ = ("duration", "first_byte")

    def __init__(self) -> None:
        self.duration = Histogram(DURATION_BOUNDS)
        self.first_byte = Histogram(FIRST_BYTE_BOUNDS)


class Series:
    """What is counted under one set of labels. Money in billionths of the estate's currency."""

    __slots__ = (
        "_timing",
        "cache_write",
        "cached",
        "cost",
        "estimated",
        "input",
        "outcomes",
        "output",
        "reasoning",
    )

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.outcomes: dict[tuple[str, int], int] = {}
        self.input = 0
        self.cached = 0
        self.cache_write = 0
        self.output = 0
        self.reasoning = 0
        self.estimated = 0
        self.cost = 0

    def attempt(
        self, status: str, http_status: int, usage: Usage, cost: int, latency: int, first_byte: int | None
    ) -> None:
        """Count one settled attempt: how it ended, its usage and cost, its durations in nanoseconds from the intent."""
        outcomes = self.outcomes
        outcome = (status, http_status)
        if outcome in outcomes:
            outcomes[outcome] += 1
        else:
            if len(outcomes) >= MOST_OUTCOMES:
                outcome = (status, 0)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        self.input += usage.input
        self.cached += usage.cached
        self.cache_write += usage.cache_write
        self.output += usage.output
        self.reasoning += usage.reasoning
        if usage.estimated:
            self.estimated += 1
        self.cost += cost
        timing = self._timing
        timing.duration.observe(latency)
        if first_byte is not None:
            timing.first_byte.observe(first_byte)


class BudgetReading(msgspec.Struct, frozen=True):
    """How a budget stands in the period that is now, in billionths of the currency."""

    limit: int
    settled: int
    leased: int
    frozen: int
    warned: int
    warned_before: int = 0


class LimitReading(msgspec.Struct, frozen=True):
    """How a limit stands: what is used in its window, or the calls under way; and how often it left no room."""

    limit: int
    used: int
    refused: int


class UpstreamLoad(msgspec.Struct, frozen=True, array_like=True):
    """What is under way at a deployment, and in how many processes it is left out, by why.

    Attributes:
        tokens: the most that the calls under way can use.
        out: processes by reason: `open`, `half_open` or `paused`.
        waiting: calls that wait for room there.
        limit: how many calls at once it bears, as far as it told of overload; 0 where it did not.
    """

    deployment: str
    calls: int = 0
    tokens: int = 0
    out: dict[str, int] = {}
    waiting: int = 0
    limit: int = 0


class Readings(msgspec.Struct, frozen=True):
    """What others know and a scrape asks them for. Each default says nothing or zero.

    Attributes:
        upstreams: the state of each deployment.
        connections: client connections open now.
        journal_lag: records in journals that the store has not booked yet.
        store_away: processes for which the store takes nothing at the moment.
        drained: records that the store has booked since the start.
        engine_restarts: for each deployment with an engine, how often it was started again.
        claims: seconds until a deployment's claim on a control expires, negative once it has. Keep it bounded.
        budgets: how each budget stands.
        limits: how each limit stands.
        estate: the version of the estate that is in force; empty where none is.
        workers: processes that answer.
        loads: what is under way at each deployment that was called.
    """

    upstreams: Callable[[], Mapping[str, UpstreamState]] = dict
    connections: Callable[[], int] = int
    journal_lag: Callable[[], int] = int
    store_away: Callable[[], int] = int
    drained: Callable[[], int] = int
    engine_restarts: Callable[[], Mapping[str, int]] = dict
    claims: Callable[[], Mapping[tuple[str, str], float]] = dict
    budgets: Callable[[], Mapping[str, BudgetReading]] = dict
    limits: Callable[[], Mapping[str, LimitReading]] = dict
    estate: Callable[[], str] = str
    workers: Callable[[], int] = lambda: 1
    loads: Callable[[], tuple[UpstreamLoad, ...]] = tuple


SeriesLabels = tuple[str, str, str, str, str, bool]
TimingLabels = tuple[str, str, str, bool]


class Metrics:
    """All counts of one worker.

    Attributes:
        currency: what costs are counted in.
        reloads: how often the estate was read again, by result.
        worker_restarts: how often a worker was started again.
        folded: how often a label set beyond the bound was asked for; those calls are counted under `other`.
    """

    __slots__ = (
        "_most_series",
        "all_series",
        "currency",
        "folded",
        "in_flight",
        "incidents",
        "readings",
        "refusals",
        "reloads",
        "requests",
        "timings",
        "tokens",
        "upstream_events",
        "waits",
        "webhooks",
        "worker_restarts",
    )

    def __init__(self, currency: str, readings: Readings | None = None, *, most_series: int = MOST_SERIES) -> None:
        self.currency = currency
        self.readings = readings if readings is not None else Readings()
        self.all_series: dict[SeriesLabels, Series] = {}
        self.timings: dict[TimingLabels, Timing] = {}
        self.requests: dict[tuple[int, str], int] = {}
        self.refusals: dict[tuple[str, int], int] = {}
        self.incidents: dict[tuple[str, str], int] = {}
        self.upstream_events: dict[tuple[str, str], int] = {}
        self.webhooks: dict[tuple[str, str], int] = {}
        self.tokens: dict[tuple[str, str], int] = {}
        self.waits: dict[tuple[str, str], Histogram] = {}
        self.reloads = dict.fromkeys(Reload, 0)
        self.worker_restarts = 0
        self.in_flight = 0
        self.folded = 0
        self._most_series = most_series

    def series(
        self,
        unit: str,
        use_case: str,
        deployment: str,
        pattern: str,
        operation: str,
        stream: bool,  # noqa: FBT001
    ) -> Series:
        """Return the series with these labels, made at first use; beyond the bound, the one for all others."""
        labels = (unit, use_case, deployment, pattern, operation, stream)
        found = self.all_series.get(labels)
        if found is not None:
            return found
        if len(self.all_series) >= self._most_series:
            self.folded += 1
            labels = (OTHER, OTHER, OTHER, OTHER, operation, stream)
            found = self.all_series.get(labels)
            if found is not None:
                return found
        return self._make(labels)

    def use_currency(self, currency: str) -> None:
        """Count costs in another currency from now on, from nothing: sums of both would mean neither."""
        if currency != self.currency:
            self.currency = currency
            for series in self.all_series.values():
                series.cost = 0

    def request(self, status: int, operation: str) -> None:
        """Count one answered request by its HTTP status; `operation` is empty where the path names none."""
        labels = (status, operation)
        self.requests[labels] = self.requests.get(labels, 0) + 1

    def refused(self, code: str, status: int) -> None:
        """Count one refusal by its stable code."""
        labels = (code, status)
        self.refusals[labels] = self.refusals.get(labels, 0) + 1

    def incident(self, kind: str, deployment: str) -> None:
        """Count one incident at a deployment."""
        labels = (kind, deployment)
        self.incidents[labels] = self.incidents.get(labels, 0) + 1

    def upstream_event(self, event: str, deployment: str) -> None:
        """Count something that happened to a deployment's health."""
        labels = (event, deployment)
        self.upstream_events[labels] = self.upstream_events.get(labels, 0) + 1

    def token(self, chain: str, outcome: str) -> None:
        """Count one try to fetch a token of a cloud's own chain of credentials."""
        labels = (chain, outcome)
        self.tokens[labels] = self.tokens.get(labels, 0) + 1

    def webhook(self, name: str, outcome: str) -> None:
        """Count one message to a webhook: taken, tried in vain, or given up."""
        labels = (name, outcome)
        self.webhooks[labels] = self.webhooks.get(labels, 0) + 1

    def waited(self, priority: int, outcome: str, nanos: int) -> None:
        """Count one call that wanted room: its priority, how its waiting ended, and how long it took."""
        labels = (PRIORITIES[priority], outcome)
        waits = self.waits.get(labels)
        if waits is None:
            waits = self.waits[labels] = Histogram(WAIT_BOUNDS)
        waits.observe(nanos)

    def enter(self) -> None:
        """Count a call in."""
        self.in_flight += 1

    def leave(self) -> None:
        """Count a call out."""
        self.in_flight -= 1

    def timing(self, labels: TimingLabels) -> Timing:
        """Return the histograms with these labels, made at first use."""
        return self.timings.setdefault(labels, Timing())

    def _make(self, labels: SeriesLabels) -> Series:
        made = self.all_series[labels] = Series(self.timing(labels[2:]))
        return made
