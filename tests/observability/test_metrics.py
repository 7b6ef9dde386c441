from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from trunkline.messages import Usage
from trunkline.observability.families import FAMILIES
from trunkline.observability.metrics import OTHER, Histogram, Metrics, Readings, UpstreamState
from trunkline.observability.scrape import render

Ask = Callable[..., float | None]
CALL = ("marketing", "general-chat", "gpt-saas", "saas", "chat", True)
SECOND = 1_000_000_000


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = render(metrics)[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    wanted = set(labels.items())
    found = [count for (known, has), count in samples(metrics).items() if known == name and wanted <= has]
    return sum(found) if found else None


def test_an_attempt_is_counted_under_its_labels_with_its_tokens_and_cost() -> None:
    metrics = Metrics("EUR")
    usage = Usage(input=12, cached=4, cache_write=1, output=7, reasoning=2, estimated=True)
    metrics.series(*CALL).attempt("ok", 200, usage, 1_250_000_000, 3 * SECOND, SECOND // 2)
    metrics.series(*CALL).attempt("failed", 503, Usage(), 0, SECOND, None)

    assert value(metrics, "trunkline_attempts_total", status="ok", http_status="200", stream="true") == 1
    assert value(metrics, "trunkline_attempts_total", status="failed", http_status="503", unit="marketing") == 1
    assert value(metrics, "trunkline_tokens_total", kind="input") == 12
    assert value(metrics, "trunkline_tokens_total", kind="cached") == 4
    assert value(metrics, "trunkline_tokens_total", kind="cache_write") == 1
    assert value(metrics, "trunkline_tokens_total", kind="output") == 7
    assert value(metrics, "trunkline_tokens_total", kind="reasoning") == 2
    assert value(metrics, "trunkline_cost_total", currency="EUR", use_case="general-chat") == 1.25
    assert value(metrics, "trunkline_estimated_attempts_total") == 1
    assert value(metrics, "trunkline_request_duration_seconds_count", deployment="gpt-saas") == 2
    assert value(metrics, "trunkline_request_duration_seconds_sum") == 4
    assert value(metrics, "trunkline_time_to_first_byte_seconds_count") == 1
    assert value(metrics, "trunkline_time_to_first_byte_seconds_bucket", le="0.5") == 1
    assert value(metrics, "trunkline_time_to_first_byte_seconds_bucket", le="0.25") == 0


def test_requests_and_refusals_are_counted_by_what_was_answered() -> None:
    metrics = Metrics("EUR")
    metrics.request(200, "chat")
    metrics.request(200, "chat")
    metrics.request(404, "")
    metrics.refused("unknown_model", 404)
    assert value(metrics, "trunkline_requests_total", operation="chat", status="200") == 2
    assert value(metrics, "trunkline_requests_total", operation="", status="404") == 1
    assert value(metrics, "trunkline_refusals_total", code="unknown_model", status="404") == 1


def test_what_others_know_is_asked_for_at_each_scrape() -> None:
    states = {"smol": UpstreamState.STARTING, "gpt-saas": UpstreamState.NOT_CONFIGURED}
    metrics = Metrics(
        "EUR",
        Readings(
            upstreams=lambda: states,
            connections=lambda: 3,
            journal_lag=lambda: 5,
            drained=lambda: 7,
            engine_restarts=lambda: {"smol": 2},
        ),
    )
    metrics.enter()
    metrics.enter()
    metrics.leave()
    assert value(metrics, "trunkline_upstream_state", deployment="smol", state="starting") == 1
    states["smol"] = UpstreamState.READY
    assert value(metrics, "trunkline_upstream_state", deployment="smol", state="starting") == 0
    assert value(metrics, "trunkline_upstream_state", deployment="smol", state="ready") == 1
    assert value(metrics, "trunkline_upstream_state", deployment="gpt-saas", state="not_configured") == 1
    assert value(metrics, "trunkline_connections") == 3
    assert value(metrics, "trunkline_journal_lag_records") == 5
    assert value(metrics, "trunkline_ledger_records_total") == 7
    assert value(metrics, "trunkline_engine_restarts_total", deployment="smol") == 2
    assert value(metrics, "trunkline_in_flight") == 1


def test_label_sets_beyond_the_bound_are_folded_into_one_and_counted() -> None:
    metrics = Metrics("EUR", most_series=2)
    for name in ("one", "two", "three", "four"):
        series = metrics.series("acme", name, "gpt", "saas", "chat", False)
        series.attempt("ok", 200, Usage(input=1), 1, 1, None)
    assert value(metrics, "trunkline_tokens_total", use_case="one", kind="input") == 1
    assert value(metrics, "trunkline_tokens_total", use_case=OTHER, kind="input") == 2
    assert value(metrics, "trunkline_tokens_total", kind="input") == 4
    assert metrics.folded == 2
    assert value(metrics, "trunkline_folded_series_total") == 2


def test_statuses_that_an_upstream_invents_do_not_grow_without_end() -> None:
    metrics = Metrics("EUR")
    series = metrics.series(*CALL)
    for status in range(100, 1000):
        series.attempt("rejected", status, Usage(), 0, 1, None)
    assert len(series.outcomes) < 100
    assert value(metrics, "trunkline_attempts_total", status="rejected") == 900


@given(st.lists(st.integers(min_value=0, max_value=200 * SECOND)))
def test_every_duration_is_in_exactly_one_bucket_at_or_above_it(durations: list[int]) -> None:
    histogram = Histogram((10, SECOND, 60 * SECOND))
    for nanos in durations:
        histogram.observe(nanos)
    assert histogram.total == sum(durations)
    assert sum(histogram.counts) == len(durations)
    reached = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        reached += count
        assert reached == sum(nanos <= bound for nanos in durations)


def test_open_metrics_text_is_given_to_who_asks_for_it() -> None:
    text, content_type = render(Metrics("EUR"), "application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert b"# UNIT trunkline_request_duration_seconds seconds" in text
    plain, content_type = render(Metrics("EUR"), "*/*")
    assert content_type.startswith("text/plain")
    assert b"# TYPE trunkline_requests_total counter" in plain


def test_the_exposition_holds_every_family_once() -> None:
    text = render(Metrics("EUR"))[0].decode()
    names = [family.name for family in text_string_to_metric_families(text) if family.name.startswith("trunkline_")]
    assert names == [family.name for family in FAMILIES]


def test_importing_the_scrape_starts_nothing_and_the_data_path_does_not_load_it() -> None:
    script = (
        "import sys, threading; import trunkline.observability.metrics;"
        "assert 'prometheus_client' not in sys.modules;"
        "import trunkline.observability.scrape;"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
