"""The counts of one process as a value that can be sent to another, and added up."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from trunkline.observability.metrics import (
    WAIT_BOUNDS,
    Histogram,
    Metrics,
    Reload,
    SeriesLabels,
    TimingLabels,
    UpstreamLoad,
)


class SeriesCounts(msgspec.Struct, frozen=True, array_like=True):
    """What `Series` counts; `outcomes` holds status, HTTP status and count."""

    labels: SeriesLabels
    outcomes: tuple[tuple[str, int, int], ...]
    tokens: tuple[int, int, int, int, int]
    estimated: int
    cost: int


class TimingCounts(msgspec.Struct, frozen=True, array_like=True):
    """What `Timing` counts; each histogram as its counts and its total."""

    labels: TimingLabels
    duration: tuple[tuple[int, ...], int]
    first_byte: tuple[tuple[int, ...], int]


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """The counts of one process, or of several added up. What is open now comes last: it ends with the process."""

    currency: str
    requests: tuple[tuple[int, str, int], ...] = ()
    refusals: tuple[tuple[str, int, int], ...] = ()
    incidents: tuple[tuple[str, str, int], ...] = ()
    series: tuple[SeriesCounts, ...] = ()
    timings: tuple[TimingCounts, ...] = ()
    reloads: dict[str, int] = {}
    worker_restarts: int = 0
    folded: int = 0
    drained: int = 0
    in_flight: int = 0
    connections: int = 0
    journal_lag: int = 0
    store_away: int = 0
    upstream_events: tuple[tuple[str, str, int], ...] = ()
    loads: tuple[UpstreamLoad, ...] = ()
    webhooks: tuple[tuple[str, str, int], ...] = ()
    tokens: tuple[tuple[str, str, int], ...] = ()
    waits: tuple[tuple[str, str, tuple[tuple[int, ...], int]], ...] = ()


def take(metrics: Metrics) -> Tally:
    """Return the counts of this moment. It may run in a thread beside the data path."""
    readings = metrics.readings
    return Tally(
        currency=metrics.currency,
        requests=tuple((*labels, count) for labels, count in tuple(metrics.requests.items())),
        refusals=tuple((*labels, count) for labels, count in tuple(metrics.refusals.items())),
        incidents=tuple((*labels, count) for labels, count in tuple(metrics.incidents.items())),
        series=tuple(
            SeriesCounts(
                labels,
                tuple((*outcome, count) for outcome, count in tuple(one.outcomes.items())),
                (one.input, one.cached, one.cache_write, one.output, one.reasoning),
                one.estimated,
                one.cost,
            )
            for labels, one in tuple(metrics.all_series.items())
        ),
        timings=tuple(
            TimingCounts(labels, _counts(one.duration), _counts(one.first_byte))
            for labels, one in tuple(metrics.timings.items())
        ),
        reloads={result.value: count for result, count in metrics.reloads.items()},
        worker_restarts=metrics.worker_restarts,
        folded=metrics.folded,
        drained=readings.drained(),
        in_flight=metrics.in_flight,
        connections=readings.connections(),
        journal_lag=readings.journal_lag(),
        store_away=readings.store_away(),
        upstream_events=tuple((*labels, count) for labels, count in tuple(metrics.upstream_events.items())),
        loads=readings.loads(),
        tokens=tuple((*labels, count) for labels, count in tuple(metrics.tokens.items())),
        webhooks=tuple((*labels, count) for labels, count in tuple(metrics.webhooks.items())),
        waits=tuple((*labels, _counts(waits)) for labels, waits in tuple(metrics.waits.items())),
    )


def lasting(tally: Tally) -> Tally:
    """Return what goes on to count when the process has ended."""
    return msgspec.structs.replace(tally, in_flight=0, connections=0, journal_lag=0, store_away=0, loads=())


def add(metrics: Metrics, tally: Tally) -> None:
    """Add counts to others. Costs in another currency are left out: such a sum would mean nothing."""
    for status, operation, count in tally.requests:
        metrics.requests[status, operation] = metrics.requests.get((status, operation), 0) + count
    for code, status, count in tally.refusals:
        metrics.refusals[code, status] = metrics.refusals.get((code, status), 0) + count
    for kind, deployment, count in tally.incidents:
        metrics.incidents[kind, deployment] = metrics.incidents.get((kind, deployment), 0) + count
    for event, deployment, count in tally.upstream_events:
        metrics.upstream_events[event, deployment] = metrics.upstream_events.get((event, deployment), 0) + count
    for chain, outcome, count in tally.tokens:
        metrics.tokens[chain, outcome] = metrics.tokens.get((chain, outcome), 0) + count
    for webhook, outcome, count in tally.webhooks:
        metrics.webhooks[webhook, outcome] = metrics.webhooks.get((webhook, outcome), 0) + count
    _add_waits(metrics, tally)
    for counted in tally.series:
        _add_series(metrics, counted, costs=tally.currency == metrics.currency)
    for timed in tally.timings:
        timing = metrics.timing(timed.labels)
        _add_histogram(timing.duration, timed.duration)
        _add_histogram(timing.first_byte, timed.first_byte)
    for result, count in tally.reloads.items():
        metrics.reloads[Reload(result)] += count
    metrics.worker_restarts += tally.worker_restarts
    metrics.folded += tally.folded
    metrics.in_flight += tally.in_flight


def add_up(tallies: Iterable[Tally], currency: str) -> Tally:
    """Return the sum of several, with costs in one currency."""
    tallies = tuple(tallies)
    total = Metrics(currency)
    for tally in tallies:
        add(total, tally)
    return msgspec.structs.replace(
        take(total),
        drained=sum(one.drained for one in tallies),
        connections=sum(one.connections for one in tallies),
        journal_lag=sum(one.journal_lag for one in tallies),
        store_away=sum(one.store_away for one in tallies),
        loads=_add_loads(load for one in tallies for load in one.loads),
    )


def _add_loads(loads: Iterable[UpstreamLoad]) -> tuple[UpstreamLoad, ...]:
    sums: dict[str, UpstreamLoad] = {}
    for load in loads:
        before = sums.get(load.deployment, UpstreamLoad(load.deployment))
        out = {why: before.out.get(why, 0) + load.out.get(why, 0) for why in (*before.out, *load.out)}
        sums[load.deployment] = UpstreamLoad(
            load.deployment,
            before.calls + load.calls,
            before.tokens + load.tokens,
            out,
            before.waiting + load.waiting,
            before.limit + load.limit,
        )
    return tuple(sums.values())


def _add_waits(metrics: Metrics, tally: Tally) -> None:
    for priority, outcome, counts in tally.waits:
        _add_histogram(metrics.waits.setdefault((priority, outcome), Histogram(WAIT_BOUNDS)), counts)


def _counts(histogram: Histogram) -> tuple[tuple[int, ...], int]:
    return tuple(histogram.counts), histogram.total


def _add_series(metrics: Metrics, counted: SeriesCounts, *, costs: bool) -> None:
    series = metrics.series(*counted.labels)
    for status, http_status, count in counted.outcomes:
        outcome = (status, http_status)
        series.outcomes[outcome] = series.outcomes.get(outcome, 0) + count
    read, cached, cache_write, output, reasoning = counted.tokens
    series.input += read
    series.cached += cached
    series.cache_write += cache_write
    series.output += output
    series.reasoning += reasoning
    series.estimated += counted.estimated
    if costs:
        series.cost += counted.cost


def _add_histogram(histogram: Histogram, counts: tuple[tuple[int, ...], int]) -> None:
    each, total = counts
    histogram.counts = [one + other for one, other in zip(histogram.counts, each, strict=True)]
    histogram.total += total
