"""Waiting for room: bounded in number and time, the lowest priority shed first, nothing left behind by who leaves."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.upstream.made import Clock, attempt, endpoint, permitted

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.errors import RateLimited
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.upstream.course import Course
from trunkline.upstream.health import Health, Outcome
from trunkline.upstream.waiting import LONGEST_RETRY, Waited, Waiting

A, B = endpoint("a"), endpoint("b")
LACK = RateLimited("There is no room.", retry_after=1)


class Moving(Clock):
    """Goes on with the loop's time, and may be moved ahead of it."""

    def ticks(self) -> int:
        return self.at + int(asyncio.get_running_loop().time() * SECOND)


class Scene:
    """Two deployments with so many slots each, and whoever waits for them."""

    def __init__(self, slots: int = 1) -> None:
        self.clock = Moving()
        self.health = Health(self.clock)
        self.outcomes: Counter[tuple[int, Waited]] = Counter()
        self.waiting = Waiting(self.health, self.clock, count=self._count)
        self.free = {"a": slots, "b": slots}
        self.served: list[str] = []

    def _count(self, priority: int, outcome: Waited, _nanos: int) -> None:
        self.outcomes[priority, outcome] += 1

    def want(self, call: Permitted, *to: Endpoint) -> Course:
        course = Course(call.asked, self.clock)
        for one in to:
            self.waiting.want(course, one, LACK)
        return course

    async def call(self, call: Permitted, *to: Endpoint) -> Attempt | None:
        """Wait until there is a slot, and take it."""
        course = self.want(call, *to)
        while await self.waiting.turn(call, course, 1):
            assert course.turn is not None
            name = course.turn.deployment
            if not self.free[name]:
                self.waiting.want(course, course.turn, LACK)
                continue
            self.free[name] -= 1
            made = attempt(call, course.turn)
            self.health.begin(made)
            self.waiting.use(call, course)
            self.served.append(call.caller.unit)
            return made
        return None

    def end(self, made: Attempt, used: int = 100) -> None:
        self.free[made.endpoint.deployment] += 1
        self.health.settle(made, Outcome.WELL, None, used)
        self.waiting.stir()

    async def settle_in(self) -> None:
        """Let all tasks go on until they wait."""
        for _ in range(10):
            await asyncio.sleep(0)


async def test_who_waits_is_served_as_soon_as_an_attempt_ends_and_no_sooner() -> None:
    scene = Scene()
    first = await scene.call(permitted((A,)), A)
    assert first is not None
    other = asyncio.create_task(scene.call(permitted((A,)), A))
    await scene.settle_in()
    assert not other.done()
    scene.end(first)
    assert await other is not None
    assert scene.outcomes == {(1, Waited.SERVED): 2}


async def test_a_call_goes_to_whichever_of_its_deployments_has_room_first() -> None:
    scene = Scene()
    scene.free["a"] = 0
    held = await scene.call(permitted((B,)), B)
    assert held is not None
    other = asyncio.create_task(scene.call(permitted((A,), (B,)), A, B))
    await scene.settle_in()
    scene.end(held)
    made = await other
    assert made is not None
    assert made.endpoint is B
    assert [gauge.turns.length for gauge in scene.health.gauges.values() if gauge.turns is not None] == [0, 0]


async def test_a_caller_that_leaves_is_out_of_every_queue_at_once() -> None:
    scene = Scene(slots=0)
    calls = [asyncio.create_task(scene.call(permitted((A,), (B,)), A, B)) for _ in range(5)]
    await scene.settle_in()
    assert len(scene.waiting) == 5
    for one in calls:
        one.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert not len(scene.waiting)
    assert not any(gauge.crowded for gauge in scene.health.gauges.values())
    assert scene.outcomes == {(1, Waited.LEFT): 5}


async def test_room_that_comes_in_the_moment_in_which_a_caller_leaves_goes_to_the_next() -> None:
    scene = Scene(slots=0)
    leaving, staying = (asyncio.create_task(scene.call(permitted((A,)), A)) for _ in range(2))
    await scene.settle_in()
    leaving.cancel()  # Its task hears of it only in the next turn of the loop.
    scene.free["a"] = 1
    scene.waiting.freed.append(scene.health.gauges["a"])
    scene.waiting.stir()
    assert await staying is not None
    assert not len(scene.waiting)
    assert scene.outcomes == {(1, Waited.LEFT): 1, (1, Waited.SERVED): 1}


async def test_a_place_is_taken_over_from_a_caller_that_is_leaving() -> None:
    scene = Scene(slots=0)
    scene.waiting.most = 1
    leaving = asyncio.create_task(scene.call(permitted((A,)), A))
    await scene.settle_in()
    important = permitted((A,), priority=2)
    course = scene.want(important, A)
    taking = asyncio.ensure_future(scene.waiting.turn(important, course, 1))
    leaving.cancel()  # Its task hears of it after the other one has begun.
    await scene.settle_in()
    assert len(scene.waiting) == 1
    taking.cancel()
    await asyncio.gather(leaving, taking, return_exceptions=True)
    assert not len(scene.waiting)


async def test_a_turn_whose_caller_leaves_goes_to_the_next() -> None:
    scene = Scene()
    held = await scene.call(permitted((A,)), A)
    assert held is not None
    first, second = (asyncio.create_task(scene.call(permitted((A,)), A)) for _ in range(2))
    await scene.settle_in()
    scene.end(held)
    first.cancel()  # It has been given the turn, and has not run since.
    assert await asyncio.wait_for(second, 5) is not None


async def test_nobody_waits_longer_than_the_use_case_says() -> None:
    scene = Scene(slots=0)
    assert await scene.call(permitted((A,), wait=0.06), A) is None
    assert await scene.call(permitted((A,), wait=0), A) is None
    assert scene.outcomes == {(1, Waited.EXPIRED): 1, (1, Waited.SHED): 1}


async def test_nobody_waits_longer_than_its_caller_does() -> None:
    scene = Scene(slots=0)
    assert await scene.call(permitted((A,), wait=60.0, patience=0.2), A) is None
    assert scene.outcomes == {(1, Waited.EXPIRED): 1}


async def test_no_more_wait_than_the_bound_and_the_lowest_priority_makes_room_first() -> None:
    scene = Scene(slots=0)
    scene.waiting.most = 3
    low = asyncio.create_task(scene.call(permitted((A,), unit="hr", priority=0), A))
    normal = [asyncio.create_task(scene.call(permitted((A,), unit="hr"), A)) for _ in range(2)]
    await scene.settle_in()
    high = asyncio.create_task(scene.call(permitted((A,), unit="hr", priority=2), A))
    assert await low is None
    await scene.settle_in()
    assert len(scene.waiting) == 3
    assert await scene.call(permitted((A,), unit="hr", priority=0), A) is None
    for one in (*normal, high):
        one.cancel()
    await asyncio.gather(*normal, high, return_exceptions=True)


async def test_where_the_queue_is_full_the_unit_with_most_calls_in_it_makes_room() -> None:
    scene = Scene(slots=0)
    scene.waiting.most = 4
    many = [asyncio.create_task(scene.call(permitted((A,), unit="sales"), A)) for _ in range(4)]
    await scene.settle_in()
    other = asyncio.create_task(scene.call(permitted((A,), unit="hr"), A))
    assert await many[-1] is None
    assert await scene.call(permitted((A,), unit="sales"), A) is None
    assert len(scene.waiting) == 4
    for one in (*many, other):
        one.cancel()
    await asyncio.gather(*many, other, return_exceptions=True)


async def test_in_a_queue_that_has_stood_long_low_ones_do_not_wait_behind_others() -> None:
    scene = Scene(slots=0)
    standing = asyncio.create_task(scene.call(permitted((A,), wait=60.0), A))
    await scene.settle_in()
    low = asyncio.create_task(scene.call(permitted((A,), wait=1.0, priority=0), A))
    await scene.settle_in()
    assert len(scene.waiting) == 2
    scene.clock.at += 10 * SECOND
    assert await scene.call(permitted((A,), wait=1.0, priority=0), A) is None
    assert scene.outcomes[0, Waited.SHED] == 1
    for one in (standing, low):
        one.cancel()
    await asyncio.gather(standing, low, return_exceptions=True)


async def test_who_would_wait_in_vain_is_told_at_once_when_to_come_back() -> None:
    scene = Scene()
    calls = [asyncio.create_task(scene.call(permitted((A,), unit="sales", wait=60.0), A)) for _ in range(8)]
    for _ in range(4):  # One turn each two seconds.
        await scene.settle_in()
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        calls = [one for one in calls if one not in done]
        made = done.pop().result()
        scene.clock.at += 2 * SECOND
        assert made is not None
        scene.end(made)
    await scene.settle_in()
    waiting = len(scene.waiting)
    assert waiting == 3
    call = permitted((A,), unit="sales")
    course = scene.want(call, A)
    assert not await scene.waiting.turn(call, course, 1)
    assert scene.outcomes[1, Waited.SHED] == 1
    assert (waiting + 1) * 2 - 1 <= scene.waiting.retry_after(call, course) <= LONGEST_RETRY
    for one in calls:
        one.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_newcomers_queue_behind_those_that_wait() -> None:
    scene = Scene(slots=0)
    waiting = asyncio.create_task(scene.call(permitted((A,)), A))
    await scene.settle_in()
    assert scene.health.is_crowded(A)
    assert not scene.health.gauge(A).calm
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not scene.health.is_crowded(A)


@pytest.mark.parametrize("alone", [True, False])
async def test_room_that_nobody_told_of_is_found(alone: bool) -> None:
    scene = Scene(slots=0)
    scene.waiting.alone = alone
    calls = [asyncio.create_task(scene.call(permitted((A,)), A)) for _ in range(3)]
    await scene.settle_in()
    scene.free["a"] = 3
    assert None not in await asyncio.wait_for(asyncio.gather(*calls), 5)
