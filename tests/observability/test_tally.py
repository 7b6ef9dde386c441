from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trunkline.messages import Usage
from trunkline.observability.metrics import Metrics, Readings, Reload
from trunkline.observability.scrape import render
from trunkline.observability.tally import Tally, add, add_up, lasting, take

UNITS = st.sampled_from(["finance", "marketing"])
ATTEMPT = st.tuples(UNITS, st.sampled_from([("ok", 200), ("failed", 0)]), st.integers(0, 10**6), st.booleans())
ATTEMPTS = st.lists(st.tuples(st.integers(0, 2), ATTEMPT), max_size=30)


def count(metrics: Metrics, unit: str, outcome: tuple[str, int], tokens: int, streamed: bool) -> None:
    status, http_status = outcome
    usage = Usage(input=tokens, output=tokens, estimated=streamed)
    series = metrics.series(unit, "chat", "gpt", "saas", "chat", streamed)
    series.attempt(status, http_status, usage, tokens, tokens * 1_000, tokens if streamed else None)
    metrics.request(http_status, "chat")
    if not http_status:
        metrics.refused("upstream_failed", 502)


def text(metrics: Metrics) -> list[str]:
    lines = render(metrics)[0].decode().splitlines()
    return sorted(line for line in lines if not line.startswith(("#", "process_")))


@given(ATTEMPTS)
def test_the_sum_of_all_workers_is_what_one_would_have_counted(attempts: list[tuple[int, tuple[object, ...]]]) -> None:
    alone, workers = Metrics("EUR"), [Metrics("EUR") for _ in range(3)]
    for worker, attempt in attempts:
        count(alone, *attempt)  # type: ignore[arg-type]
        count(workers[worker], *attempt)  # type: ignore[arg-type]
    sent = [msgspec.msgpack.decode(msgspec.msgpack.encode(take(one)), type=Tally) for one in workers]
    shown = Metrics("EUR")
    add(shown, add_up(sent, "EUR"))
    assert text(shown) == text(alone)


def test_what_is_open_ends_with_its_process_and_what_was_counted_does_not() -> None:
    readings = Readings(connections=lambda: 3, journal_lag=lambda: 4, drained=lambda: 5)
    metrics = Metrics("EUR", readings)
    metrics.enter()
    metrics.request(200, "chat")
    metrics.reloads[Reload.APPLIED] += 1
    kept = lasting(take(metrics))
    assert (kept.in_flight, kept.connections, kept.journal_lag) == (0, 0, 0)
    assert (kept.requests, kept.drained, kept.reloads["applied"]) == (((200, "chat", 1),), 5, 1)


def test_costs_in_another_currency_are_no_part_of_a_sum() -> None:
    euros, dollars = Metrics("EUR"), Metrics("USD")
    for metrics in (euros, dollars):
        count(metrics, "finance", ("ok", 200), 7, False)
    total = add_up([take(euros), take(dollars)], "EUR")
    assert [(one.cost, one.tokens[0]) for one in total.series] == [(7, 14)]


def test_another_currency_counts_from_nothing() -> None:
    metrics = Metrics("EUR")
    count(metrics, "finance", ("ok", 200), 7, False)
    metrics.use_currency("EUR")
    assert [one.cost for one in metrics.all_series.values()] == [7]
    metrics.use_currency("USD")
    assert [one.cost for one in metrics.all_series.values()] == [0]
