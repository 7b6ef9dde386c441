"""What the overload curve says of fairness."""

from __future__ import annotations

import pytest
from bench.offer import Fate
from bench.overload import HEAD, SECONDS, SHARES, Point, fair_shares, fairness
from bench.scarce import CAPACITY


def test_nobody_gets_more_than_it_wants_and_the_others_share_what_is_left() -> None:
    assert fair_shares({"a": 10, "b": 50, "c": 90}, 100) == {"a": 10, "b": 45, "c": 45}
    assert fair_shares({"a": 10, "b": 20}, 100) == {"a": 10, "b": 20}


def test_fair_shares_have_the_index_one_and_a_unit_that_is_pushed_out_lowers_it() -> None:
    fair = fair_shares({name: 3 * share * CAPACITY for name, share in SHARES.items()}, CAPACITY)
    assert fairness(fair, 3.0) == pytest.approx(1.0)
    assert fairness(fair | {"sales": 0.0}, 3.0) == pytest.approx(2 / 3)
    assert fairness(dict.fromkeys(SHARES, 0.0), 3.0) == 0


def test_a_row_tells_what_became_of_all_requests() -> None:
    fates = {name: Fate([0.1] * 10, 5, 3, 2) for name in SHARES}
    cells = Point("Trunkline", 0.5, fates, 1 << 20).cells()
    assert len(cells) == len(HEAD)
    assert cells[:4] == ("Trunkline", "0.5 x", f"{30 / SECONDS / CAPACITY:.0%}", "100 ms")
    assert cells[4:7] == ("25%", "15%", "10%")
