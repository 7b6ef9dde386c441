"""What a soak finds, and a soak of some seconds; the long one is in the slow set."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.soak import Look, Soaked, drift, slope, soak, table, under_way
from bench.traffic import KINDS, Verdict

KIB = 1024
MIB = 1024 * KIB
METRICS = """# TYPE trunkline_in_flight gauge
trunkline_in_flight 0.0
trunkline_upstream_outstanding{deployment="gpt"} 3.0
trunkline_journal_lag_records 0.0
trunkline_attempts_total{status="ok"} 7.0
"""


def grown(by: float, jumps: float = 0) -> list[Look]:
    """Looks at a process that grows by so many bytes a minute, and by a jump in its first minute."""
    return [Look(at * 6.0, int(50 * MIB + by * at / 10 + (jumps if at else 0)), 30, 6, 0) for at in range(100)]


def test_what_grows_has_a_slope_and_what_warms_up_has_none() -> None:
    assert slope(grown(0)) == 0
    assert slope(grown(60 * KIB)) == pytest.approx(60 * KIB, rel=0.01)
    assert slope(grown(0, jumps=20 * MIB)) == 0


def test_one_look_at_a_bad_moment_makes_no_slope() -> None:
    looks = grown(0)
    looks[-1] = Look(looks[-1].at, 90 * MIB, 30, 6, 0)
    assert slope(looks) == 0


def test_what_is_under_way_is_seen_in_the_metrics() -> None:
    assert under_way(METRICS) == ['trunkline_upstream_outstanding{deployment="gpt"} 3.0']


def test_answers_that_get_slower_show_in_the_thirds() -> None:
    (chat, *_) = KINDS
    verdicts = [Verdict(chat, 0.001 * (1 + number // 100)) for number in range(300)]
    found = Soaked(1, verdicts, {}, [], [], [], 0, 0)
    assert drift(found, 0.5) == pytest.approx((1, 2, 3))


async def test_some_seconds_of_everything_leave_nothing_behind(tmp_path: Path) -> None:
    found = await soak(tmp_path, 5, rate=30)
    assert found.faults == []
    assert len(found.verdicts) > 100
    assert (len(found.revoked), len(found.applied)) == (1, 1)
    assert "| calls |" in table(found)
