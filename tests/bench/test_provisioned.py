"""The simulation of provisioned capacity: the product's own router against a model of a provider, on made-up traces."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bench.provisioned import Arrival, Units, ideal, read_trace, report, simulate

UNITS = Units(per_minute=60_000, ratio=4)


def bursty(calls: int) -> list[Arrival]:
    drawn = random.Random(7)  # noqa: S311 - a trace that is the same each time
    at, trace = 0.0, []
    for _ in range(calls):
        at += drawn.expovariate(8 if int(at / 60) % 2 else 2)
        trace.append(Arrival(at, drawn.randint(50, 600), drawn.randint(10, 200)))
    return trace


def test_what_the_units_can_carry_they_carry_all() -> None:
    trace = [Arrival(number / 2, 200, 50) for number in range(300)]  # 800 tokens a second, of a thousand that fit.
    served = simulate(trace, UNITS)
    assert (served.share, served.refused, served.foreseen, served.spilled) == (1.0, 0, 0, 0.0)
    assert ideal(trace, UNITS) == 1.0


def test_beyond_that_calls_spill_and_come_back_and_no_choice_in_hindsight_is_much_better() -> None:
    trace = bursty(3_000)
    best = ideal(trace, UNITS)
    served = simulate(trace, UNITS)
    assert 0.3 < served.share <= best < 1
    assert best - served.share < 0.05
    assert served.spilled > 0
    assert served.calls == 3_000


def test_foresight_saves_most_of_the_429s_and_none_of_the_capacity() -> None:
    trace = bursty(3_000)
    blind, foresees = simulate(trace, UNITS, foresees=False), simulate(trace, UNITS)
    assert blind.foreseen == 0
    assert foresees.refused < blind.refused / 2
    assert abs(foresees.share - blind.share) < 0.02


def test_a_trace_is_read_in_order_of_time_and_reported_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:51.9951690,396,109\n"
        "2023-11-16 18:15:50.6805900,374,44\n"
    )
    trace = read_trace(path)
    assert [(one.input, one.output) for one in trace] == [(374, 44), (396, 109)]
    assert trace[1].at == pytest.approx(1.314579)
    lines = list(report(trace, "openai/gpt-4.1-mini", [1], 60))
    assert lines[-1].startswith("| 1 | foreseen | 100.0% |")
