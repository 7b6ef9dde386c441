from __future__ import annotations

import pytest
from bench.report import Figure, table


def test_a_ratio_is_the_median_of_the_runs_ratios() -> None:
    figure = Figure("x", "us", ours=(20.0, 40.0, 90.0), beside=(10.0, 10.0, 30.0), must=3.0, aim=2.0, ratio=True)
    assert figure.verdict_value == 3.0
    assert figure.verdict == "met"


@pytest.mark.parametrize(("ours", "verdict"), [(1.0, "aim met"), (1.5, "met"), (2.5, "MISSED")])
def test_a_figure_is_held_against_its_budget(ours: float, verdict: str) -> None:
    assert Figure("x", "s", ours=(ours,), must=2.0, aim=1.0).verdict == verdict


def test_a_figure_says_what_stands_beside_it() -> None:
    line = table([Figure("x", "us", ours=(11.0,), beside=(10.0,), must=1.1, ratio=True, against="one worker")])
    assert "| one worker 10.0" in line
    assert "| 1.10 x" in line
    assert "| met" in line
    assert "nginx" not in line


def test_a_table_names_every_figure_with_its_range_and_budget() -> None:
    text = table([Figure("ready", "s", ours=(0.2, 0.4, 0.3), must=1.5, places=2)])
    assert "| ready " in text
    assert "0.30 (0.20-0.40)" in text
    assert "1.5 s" in text
