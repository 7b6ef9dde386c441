from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.path.exchange import deployment, estate, write

from trunkline.cli.rates import Look, rates, read
from trunkline.cli.top import picture
from trunkline.cli.trial_rates import trial_rates
from trunkline.estate.estate import Estate
from trunkline.estate.load import load
from trunkline.messages import Usage
from trunkline.observability.metrics import Metrics, Readings, UpstreamLoad, UpstreamState
from trunkline.observability.scrape import render

SECOND = 1_000_000_000


def metrics() -> Metrics:
    return Metrics(
        "EUR",
        Readings(
            upstreams=lambda: {"gpt": UpstreamState.READY, "spare": UpstreamState.READY},
            loads=lambda: (UpstreamLoad("gpt", 3, 900, {"open": 1, "paused": 1}), UpstreamLoad("spare")),
        ),
    )


def look(counted: Metrics, at: float) -> Look:
    return read(render(counted)[0].decode(), at)


def call(counted: Metrics, deployment: str, status: str, cost: int = SECOND) -> None:
    series = counted.series("finance", "chat", deployment, "saas", "chat", True)
    series.attempt(status, 200, Usage(input=10, output=5, cached=4), cost, SECOND, SECOND // 2)


@pytest.fixture
def looks() -> tuple[Look, Look]:
    counted = metrics()
    call(counted, "spare", "ok")
    before = look(counted, 10.0)
    for status in ("ok", "ok", "failed", "broken"):
        call(counted, "gpt", status)
    return before, look(counted, 12.0)


def test_rates_are_what_happened_between_two_looks(looks: tuple[Look, Look]) -> None:
    gpt, spare = rates(*looks, "deployment")
    assert (gpt.name, gpt.calls, gpt.failed, gpt.tokens) == ("gpt", 2.0, 1.0, 30.0)
    assert gpt.money == pytest.approx(4 / 2 * 60)
    assert gpt.first_byte == pytest.approx(0.5)
    assert (spare.name, spare.calls, spare.first_byte) == ("spare", 0.0, None)


def test_the_gravest_reason_is_the_state(looks: tuple[Look, Look]) -> None:
    gpt, spare = rates(*looks, "deployment")
    assert (gpt.state, gpt.outstanding, spare.state) == ("open", 3, "ready")


def test_counts_that_fell_with_a_worker_are_no_negative_rates(looks: tuple[Look, Look]) -> None:
    before, now = looks
    assert all(one.calls >= 0 and one.money >= 0 for one in rates(now, before, "deployment"))


def test_the_picture_names_what_matters_at_any_width(looks: tuple[Look, Look]) -> None:
    for width in (60, 100, 200):
        shown = Console(width=width, record=True, file=StringIO())
        shown.print(picture(*looks, None, width))
        text = shown.export_text()
        assert "gpt" in text
        assert "open" in text
        assert "chat" in text


@pytest.fixture
def tried(tmp_path: Path) -> Estate:
    """A use case that shares its calls out among two models, and copies them to a third deployment."""
    deployments = {
        "old": deployment("http://127.0.0.1:9/v1"),
        "new": deployment("http://127.0.0.1:9/v1", model="openai/gpt-4.1"),
        "next": deployment("http://127.0.0.1:9/v1"),
    }
    made = estate(deployments, {"chat": [["old", "new"]]})
    made["use_cases"]["chat"] |= {
        "splits": {"newer": {"shares": {"openai/gpt-4.1": 3, "old": 1}}},
        "shadows": {"try": {"to": "next", "share": 0.5}},
    }
    return load(write(tmp_path, made)).estate


def test_trials_are_counted_by_arm_and_apart_from_what_else_goes_on_there(tried: Estate) -> None:
    counted = metrics()
    before = look(counted, 10.0)
    for name, use_case, times in (("new", "chat", 6), ("old", "chat", 2), ("next", "chat shadow try", 4)):
        series = counted.series("finance", use_case, name, "saas", "chat", True)
        for _ in range(times):
            series.attempt("ok", 200, Usage(input=10, output=5), SECOND, SECOND, SECOND // 2)
    call(counted, "next", "ok")
    for event in ("copied", "not_copied", "not_copied"):
        counted.upstream_event(event, "next")
    now = look(counted, 12.0)
    found = [(one.trial, one.arm, one.share, one.rate.calls, one.left_out) for one in trial_rates(before, now, tried)]
    assert found == [
        ("split newer", "openai/gpt-4.1", 0.75, 3.0, 0.0),
        ("split newer", "old", 0.25, 1.0, 0.0),
        ("shadow try", "next", 0.5, 2.0, 1.0),
    ]


def test_the_picture_shows_trials_also_before_anything_was_called(tried: Estate) -> None:
    counted = metrics()
    shown = Console(width=120, record=True, file=StringIO())
    shown.print(picture(look(counted, 1.0), look(counted, 2.0), tried, 120))
    text = shown.export_text()
    assert "split newer" in text
    assert "shadow try" in text
    assert "75%" in text
