"""The adaptive limit: it finds what an overloaded deployment bears, and leaves alone a healthy one."""

from __future__ import annotations

import heapq
import random
import statistics
from collections import deque
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.upstream.throttle import FLOOR, FORGOTTEN, Throttle

BYTES = 1_000


class Served:
    """A deployment that answers so many calls at once, each in so many seconds; the others queue there."""

    def __init__(self, slots: int, prefill: float, answer: float) -> None:
        self.slots = slots
        self.prefill = prefill
        self.answer = answer


def load(served: Served, callers: int, seconds: float, throttle: Throttle) -> list[tuple[float, int, float]]:
    """Have callers ask without a pause, as far as the throttle lets them; return time, calls at once and first byte."""
    now, under_way, busy = 0.0, 0, 0
    queue: deque[float] = deque()
    events: list[tuple[float, int, str, float]] = []
    seen: list[tuple[float, int, float]] = []
    number = 0

    def push(at: float, what: str, began: float) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (at, number, what, began))

    def begin() -> None:
        nonlocal busy
        while busy < served.slots and queue:
            began = queue.popleft()
            busy += 1
            push(now + served.prefill, "first", began)
            push(now + served.prefill + served.answer, "end", began)

    while now < seconds:
        while under_way < callers and (throttle.limit is None or under_way < throttle.limit):
            under_way += 1
            throttle.peak = max(throttle.peak, under_way)
            queue.append(now)
        begin()
        now, _, what, began = heapq.heappop(events)
        if what == "first":
            throttle.hear(int((now - began) * SECOND), BYTES, under_way, int(now * SECOND))
            seen.append((now, under_way, now - began))
        else:
            busy -= 1
            under_way -= 1
            throttle.answered(under_way + 1, int(now * SECOND))
    return seen


def warm(served: Served, throttle: Throttle) -> None:
    """Let it be seen at rest: what it takes when nobody waits."""
    for _ in range(20):
        throttle.hear(int(served.prefill * SECOND), BYTES, 1, 0)


@settings(max_examples=25)
@given(st.integers(4, 40), st.integers(3, 8), st.floats(0.05, 0.5), st.floats(0.2, 2.0))
def test_it_settles_near_what_the_deployment_bears_and_first_bytes_come_early_again(
    slots: int, times: int, prefill: float, answer: float
) -> None:
    served, throttle = Served(slots, prefill, answer), Throttle()
    warm(served, throttle)
    seen = load(served, slots * times, 240.0, throttle)
    late = [(at_once, first) for at, at_once, first in seen if at > 160]
    assert statistics.median(first for _, first in late) < 4 * (prefill + 0.1) + (prefill + answer)
    assert statistics.median(at_once for at_once, _ in late) >= min(slots, FLOOR) * 0.7
    assert len(late) >= 0.7 * slots * 80 / (prefill + answer)


@given(
    st.randoms(use_true_random=True),
    st.floats(0.02, 2.0),
    st.lists(st.integers(1, 1_000_000), min_size=1, max_size=10),
)
def test_a_healthy_deployment_is_never_limited_however_long_prompts_and_answers_are(
    draw: random.Random, least: float, prompts: list[int]
) -> None:
    """First bytes take a time by the prompt's length, up to twice that now and then."""
    throttle, now = Throttle(), 0
    for _ in range(1_000):
        now += draw.randrange(SECOND)
        prompt = draw.choice(prompts)
        seconds = (least + prompt / 1_000_000) * draw.uniform(1.0, 2.0)
        assert not throttle.hear(int(seconds * SECOND), prompt, draw.randrange(100), now)
    assert throttle.limit is None


def each_second(throttle: Throttle, seconds: int, first_byte: Callable[[int], float]) -> list[int | None]:
    """Play ten streams a second that begin after so long; return the limit after each second."""
    limits = []
    for second in range(10, 10 + seconds):
        for part in range(10):
            now = second * SECOND + part * SECOND // 10
            throttle.hear(int(first_byte(second) * SECOND), BYTES, 50, now)
        limits.append(throttle.limit)
    return limits


def test_a_deployment_that_is_slow_whatever_we_do_is_left_alone_again() -> None:
    throttle = Throttle()
    throttle.peak = 50
    each_second(throttle, 5, lambda _: 0.2)
    limits = each_second(throttle, 40, lambda _: 1.5)
    assert min(limit for limit in limits if limit is not None) < 50
    assert limits[-1] is None


def test_a_spread_of_first_bytes_is_no_overload_as_long_as_some_come_early() -> None:
    throttle = Throttle()
    draw = random.Random(7)  # noqa: S311 - a test's draw
    assert set(each_second(throttle, 60, lambda _: draw.choice([0.2, 0.2, 3.0, 8.0]))) == {None}


def test_refusals_that_come_together_cut_once_and_answers_add_one_for_each_round_trip() -> None:
    throttle = Throttle()
    throttle.peak = 100
    now = 1_000 * SECOND
    assert [throttle.refused(100, now + ms * SECOND // 1_000) for ms in range(0, 240, 20)] == [True] + [False] * 11
    assert throttle.limit == 90
    throttle.refused(90, now + SECOND)
    assert throttle.limit == 81
    for _ in range(82):
        throttle.answered(81, now + 3 * SECOND)
    assert throttle.limit == 82
    for _ in range(1_000):
        throttle.answered(10, now + 3 * SECOND)
    assert throttle.limit == 82


def test_it_never_goes_below_the_floor_and_is_forgotten_after_a_while_without_a_sign() -> None:
    throttle = Throttle()
    throttle.peak = 10
    for second in range(1, 60):
        throttle.refused(1, second * SECOND)
    assert throttle.limit == FLOOR
    throttle.answered(FLOOR, 59 * SECOND + FORGOTTEN)
    assert throttle.limit is None
