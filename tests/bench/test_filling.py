from __future__ import annotations

from pathlib import Path

from bench.filling import DAY, START, fill

from trunkline.metering.ports import Span
from trunkline.store.open import open_store


def test_what_the_bench_fills_in_is_what_the_store_would_have_booked(tmp_path: Path) -> None:
    place = str(tmp_path / "trunkline.db")
    fill(place, 2_000, keys=300)
    with open_store(place) as store:
        assert store.verify().differences == ()
        (whole,) = store.sums([], Span())
        assert (whole.calls, whole.attempts) == (2_000, 2_040)
        (of_a_month,) = store.sums([], Span(START, START + 30 * DAY))
        assert 0 < of_a_month.calls < whole.calls
        (newest,) = store.tail(1)
        (line,) = store.lines(newest.request)
        assert (line.amount, line.kind.word) == (newest.cost, "settle")
