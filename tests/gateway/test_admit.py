"""What the gate refuses before anything is spent on a call: too many calls, and low priorities where time is short."""

from __future__ import annotations

import asyncio

import pytest
from tests.upstream.made import Clock, endpoint, permitted

from trunkline.errors import Unavailable
from trunkline.gateway.admit import LATE, LOOKS, Gate, admit, shed
from trunkline.observability.metrics import Metrics
from trunkline.upstream.health import Health
from trunkline.upstream.waiting import Waiting

LOW, NORMAL, HIGH = range(3)
MOST = 10


@pytest.fixture
def gate() -> Gate:
    clock = Clock()
    return Gate(Metrics("EUR"), Waiting(Health(clock), clock), most=MOST)


def comes_in(gate: Gate, priority: int) -> bool:
    """Whether a call of a priority is let past the gate, with those that are inside."""
    try:
        with admit(gate):
            shed(gate, permitted((endpoint("a"),), priority=priority))
    except Unavailable as refused:
        return (refused.code, bool(refused.retry_after)) != ("overloaded", True)
    return True


def fill(gate: Gate, calls: int) -> None:
    for _ in range(calls):
        gate.__enter__()


@pytest.mark.parametrize(
    ("inside", "let_in"),
    [
        (0, (True, True, True)),
        (4, (True, True, True)),
        (5, (False, True, True)),
        (7, (False, True, True)),
        (8, (False, False, True)),
        (9, (False, False, True)),
        (10, (False, False, False)),
    ],
)
def test_the_fuller_the_exchange_the_higher_the_priority_that_comes_in(
    gate: Gate, inside: int, let_in: tuple[bool, ...]
) -> None:
    fill(gate, inside)
    assert tuple(comes_in(gate, priority) for priority in (LOW, NORMAL, HIGH)) == let_in
    assert gate.in_flight == inside


def test_a_loop_that_is_late_all_the_time_refuses_low_calls_then_normal_ones_and_never_high_ones(gate: Gate) -> None:
    for _ in range(LOOKS):
        gate.feel(LATE[0])
    assert [comes_in(gate, priority) for priority in (LOW, NORMAL, HIGH)] == [False, True, True]
    for _ in range(LOOKS):
        gate.feel(LATE[1])
    assert [comes_in(gate, priority) for priority in (LOW, NORMAL, HIGH)] == [False, False, True]


def test_a_loop_that_was_held_up_once_refuses_nobody(gate: Gate) -> None:
    gate.feel(60.0)
    assert all(comes_in(gate, priority) for priority in (LOW, NORMAL, HIGH))


def test_one_look_in_time_lets_everybody_in_again(gate: Gate) -> None:
    for _ in range(LOOKS):
        gate.feel(LATE[1])
    gate.feel(0.0)
    assert all(comes_in(gate, priority) for priority in (LOW, NORMAL, HIGH))


async def test_the_gate_feels_how_late_the_loop_is_by_itself(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    felt: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr(Gate, "feel", lambda _, late: felt.put_nowait(late))
    following = asyncio.create_task(gate.follow())
    assert await felt.get() >= 0
    following.cancel()


def test_who_is_refused_for_its_priority_is_counted() -> None:
    clock, metrics = Clock(), Metrics("EUR")
    gate = Gate(metrics, Waiting(Health(clock), clock), most=MOST)
    fill(gate, MOST - 1)
    assert [comes_in(gate, LOW) for _ in range(2)] == [False, False]
    assert sum(metrics.waits["low", "refused"].counts) == 2
