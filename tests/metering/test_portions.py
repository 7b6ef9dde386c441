"""Who should have how many slots, where calls wait for them at several workers."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.metering.portions import ROUND, Holding, Queue, portions, spread


def at(holder: str, used: int = 0, **waiting: tuple[int, int]) -> Holding:
    """A worker with its units that wait: each with its weight and how many calls."""
    return Holding(holder, used, {unit: Queue(*queue) for unit, queue in waiting.items()})


def test_units_that_wait_at_one_exchange_each_have_what_their_weights_say_however_many_calls_they_have() -> None:
    assert portions(12, [at("x", a=(1, 500)), at("y", b=(1, 50)), at("z", c=(1, 50))], 0) == {"x": 4, "y": 4, "z": 4}
    assert portions(12, [at("x", 12, a=(3, 50)), at("y", b=(1, 50))], 0) == {"x": 9, "y": 3}


def test_who_has_a_use_for_less_leaves_the_rest_to_the_others() -> None:
    assert portions(12, [at("x", 10, a=(1, 90)), at("y", 1, b=(1, 1))], 0) == {"x": 10, "y": 2}
    assert portions(12, [at("x", 10, a=(1, 90)), at("y", 2)], 0) == {"x": 10, "y": 2}
    assert portions(12, [at("x", 1, a=(1, 2)), at("y", 1, b=(1, 1))], 0) == {"x": 3, "y": 2}
    assert portions(12, [at("x", 3), at("y", 9)], 0) == {}


def test_who_holds_all_and_lets_nobody_wait_leaves_to_others_what_is_theirs() -> None:
    assert portions(6, [at("x", a=(1, 6)), at("y", a=(1, 6), b=(1, 18)), at("z", 6, a=(1, 0))], 0) == {
        "x": 1,
        "y": 4,
        "z": 1,
    }
    assert portions(6, [at("y", b=(1, 18)), at("z", 6)], 0) == {"y": 3, "z": 3}


def test_a_unit_that_waits_at_several_exchanges_has_no_more_for_that() -> None:
    several = [at("x/1", a=(1, 50)), at("y/1", a=(1, 50), b=(1, 50)), at("z/1", a=(1, 50))]
    assert portions(12, several, 0) == {"x/1": 2, "y/1": 8, "z/1": 2}
    assert spread(several, "y/1") == {"a": 3.0}  # So there it weighs a third: 2 of 8, and 6 are left to b.
    workers = [at("x/1", a=(1, 9)), at("x/2", a=(1, 9), b=(1, 9)), at("y/1", a=(1, 9))]
    assert spread(workers, "x/2") == {"a": 1.5}


@pytest.mark.parametrize("limit", [1, 2, 5, 8])
def test_parts_of_a_slot_go_round_so_that_over_time_each_has_its_portion(limit: int) -> None:
    several = [at("x", a=(1, 99)), at("y", b=(1, 99)), at("z", c=(2, 99))]
    rounds = 1_000
    sums: dict[str, int] = defaultdict(int)
    for number in range(rounds):
        made = portions(limit, several, number * ROUND)
        assert sum(made.values()) == limit
        for holder, portion in made.items():
            sums[holder] += portion
    for holder, weight in (("x", 1), ("y", 1), ("z", 2)):
        assert sums[holder] / rounds == pytest.approx(limit * weight / 4, abs=0.01)


holdings = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 9), st.integers(1, 40)), max_size=4),
    ),
    max_size=6,
)


@given(st.integers(1, 64), holdings, st.integers(0, 1_000 * ROUND))
def test_portions_are_within_the_limit_and_one_of_what_is_fair(
    limit: int, several: list[tuple[int, dict[str, tuple[int, int]]]], now: int
) -> None:
    made = [at(f"{number}/x", used, **waiting) for number, (used, waiting) in enumerate(several)]
    given_ = portions(limit, made, now)
    assert sum(given_.values()) <= limit
    assert given_.keys() == {one.holder for one in made if one.wants and any(other.waiting for other in made)}
    wants = {one.holder: one.wants for one in made}
    assert all(0 <= portion <= wants[holder] for holder, portion in given_.items())
    if sum(wants[holder] for holder in given_) >= limit and given_:
        assert sum(given_.values()) == limit
    if all(wants[holder] >= limit for holder in given_):  # Then everybody's portion is by weight alone.
        busy = [one for one in made if one.wants]
        is_at = Counter(unit for one in busy for unit in one.units)
        weight = {one.holder: sum(queue.weight / is_at[unit] for unit, queue in one.units.items()) for one in busy}
        for holder, portion in given_.items():
            assert abs(portion - limit * weight[holder] / sum(weight.values())) < 1 + 1e-6
