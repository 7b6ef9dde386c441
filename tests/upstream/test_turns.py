"""Whose turn it is: fair by tokens whatever calls cost and whenever they come, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.upstream.made import attempt, endpoint, permitted

from trunkline.dialects.tokens import BYTES_PER_TOKEN
from trunkline.estate.stages import Attempt
from trunkline.messages import Usage
from trunkline.upstream.turns import USUAL_OUTPUT, Place, Turns

A = endpoint("a")
MOST_TOKENS = 2_000
UNITS = ("finance", "hr", "marketing", "sales")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def place(loop: asyncio.AbstractEventLoop, unit: str, *, weight: int = 1, priority: int = 1, since: int = 0) -> Place:
    return Place((unit, weight, priority), (A,), since, 1, loop.create_future())


def begun(turns: Turns, waiting: Place, bound: Usage) -> Attempt:
    turns.leave(waiting)
    made = msgspec.structs.replace(attempt(permitted((A,), unit=waiting.unit), A), bound=bound)
    turns.begin(made, 0)
    return made


def jain(shares: list[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all (Jain, Chiu and Hawe, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def serve(
    loop: asyncio.AbstractEventLoop, weights: dict[str, int], draw: random.Random, calls: int, depth: dict[str, int]
) -> Counter[str]:
    """Keep every unit waiting with so many calls, and serve so many; return the tokens that each unit used."""
    turns, used = Turns(), Counter[str]()
    for unit, weight in weights.items():
        for _ in range(depth[unit]):
            turns.join(place(loop, unit, weight=weight), 0, again=False)
    under_way: list[tuple[Attempt, int]] = []
    for _ in range(calls):
        waiting = turns.next()
        assert waiting is not None
        prompt, output = draw.randrange(0, MOST_TOKENS), draw.randrange(1, MOST_TOKENS)
        made = begun(turns, waiting, Usage(input=prompt * BYTES_PER_TOKEN, output=MOST_TOKENS))
        under_way.append((made, prompt + output))
        used[waiting.unit] += prompt + output
        turns.join(place(loop, waiting.unit, weight=waiting.weight), 0, again=False)
        if len(under_way) > 4:
            ended, tokens = under_way.pop(draw.randrange(len(under_way)))
            turns.settle(ended, tokens)
    return used


@given(st.randoms(use_true_random=True), st.lists(st.integers(1, 200), min_size=2, max_size=4))
def test_units_that_wait_get_the_same_tokens_however_many_of_their_calls_wait(
    loop: asyncio.AbstractEventLoop, draw: random.Random, depths: list[int]
) -> None:
    depth = dict(zip(UNITS, depths, strict=False))
    used = serve(loop, dict.fromkeys(depth, 1), draw, 400, depth)
    assert jain([float(used[unit]) for unit in depth]) >= 0.95


@given(st.randoms(use_true_random=True), st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_a_unit_gets_tokens_by_its_weight(
    loop: asyncio.AbstractEventLoop, draw: random.Random, weights: list[int]
) -> None:
    named = dict(zip(UNITS, weights, strict=False))
    used = serve(loop, named, draw, 600, dict.fromkeys(named, 10))
    assert jain([used[unit] / weight for unit, weight in named.items()]) >= 0.95


@given(st.randoms(use_true_random=True))
def test_no_unit_of_the_highest_priority_is_passed_over_for_long(
    loop: asyncio.AbstractEventLoop, draw: random.Random
) -> None:
    """It is lifted to the smallest counter, and each of the others passes that with one call."""
    turns = Turns()
    for unit in UNITS:
        for _ in range(50):
            turns.join(place(loop, unit), 0, again=False)
    newcomer = place(loop, "security")
    passed = draw.randrange(0, 100)
    for number in range(200):
        if number == passed:
            turns.join(newcomer, 0, again=False)
        waiting = turns.next()
        assert waiting is not None
        if waiting is newcomer:
            assert number - passed <= len(UNITS)
            return
        made = begun(turns, waiting, Usage(input=draw.randrange(8_000), output=draw.randrange(1, 2_000)))
        turns.settle(made, draw.randrange(1, 4_000))
    pytest.fail("it never had its turn")


def test_a_unit_that_was_idle_has_no_credit(loop: asyncio.AbstractEventLoop) -> None:
    turns = Turns()
    for _ in range(20):
        turns.join(place(loop, "finance"), 0, again=False)
    for _ in range(10):
        waiting = turns.next()
        assert waiting is not None
        begun(turns, waiting, Usage(output=USUAL_OUTPUT))
    for _ in range(10):
        turns.join(place(loop, "hr"), 0, again=False)
    order = []
    for _ in range(10):
        waiting = turns.next()
        assert waiting is not None
        order.append(waiting.unit)
        begun(turns, waiting, Usage(output=USUAL_OUTPUT))
    assert Counter(order) == {"finance": 5, "hr": 5}


def test_calls_of_one_unit_go_in_the_order_in_which_they_came(loop: asyncio.AbstractEventLoop) -> None:
    turns, came = Turns(), [place(loop, "finance", since=since) for since in range(5)]
    for one in came:
        turns.join(one, 0, again=False)
    turns.leave(came[0])
    turns.join(came[0], 0, again=True)
    served = []
    while (waiting := turns.next()) is not None:
        served.append(waiting)
        begun(turns, waiting, Usage(output=1))
    assert served == came


def test_higher_priorities_go_first(loop: asyncio.AbstractEventLoop) -> None:
    turns = Turns()
    for priority in (0, 2, 1, 2):
        turns.join(place(loop, "finance", priority=priority), 0, again=False)
    served = []
    while (waiting := turns.next()) is not None:
        served.append(waiting.priority)
        begun(turns, waiting, Usage(output=1))
    assert served == [2, 2, 1, 0]
    assert not turns.length


def test_what_is_ahead_of_a_newcomer_counts_no_more_of_each_unit_than_its_own_has(
    loop: asyncio.AbstractEventLoop,
) -> None:
    turns = Turns()
    for _ in range(10):
        turns.join(place(loop, "finance"), 0, again=False)
    turns.join(place(loop, "hr", priority=2), 0, again=False)
    assert turns.ahead("finance", 1) == 11
    assert turns.ahead("sales", 1) == 2
    assert turns.ahead("sales", 2) == 1


def test_in_a_queue_that_has_stood_as_long_as_calls_may_wait_those_at_its_head_go_until_it_is_short(
    loop: asyncio.AbstractEventLoop,
) -> None:
    turns, second = Turns(), 1_000_000_000
    for _ in range(100):
        turns.join(Place(("finance", 1, 1), (A,), 0, 5 * second, loop.create_future()), 0, again=False)
    turns.interval = second // 100
    first = turns.next()
    assert first is not None
    assert not turns.is_stale(first, 4 * second)
    left = 0
    while (waiting := turns.next()) is not None and turns.is_stale(waiting, 6 * second):
        turns.leave(waiting)
        left += 1
    assert left == 50
