from __future__ import annotations

import pytest

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.estate.deployments import Tolerance
from trunkline.upstream.breaker import FEWEST, FORGIVEN, PROBE_WITHIN, SLOW_START, Breaker, State

CALL = object()


def opened(at: int = 0, tolerance: Tolerance | None = None) -> Breaker:
    breaker = Breaker(tolerance or Tolerance())
    for _ in range(breaker.tolerance.failures):
        breaker.fail(CALL, at)
    assert breaker.state is State.OPEN
    return breaker


def probed(breaker: Breaker, now: int) -> object:
    call = object()
    assert breaker.probe(call, now)
    return call


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(Tolerance(failures=3))
    assert [breaker.fail(CALL, 0) for _ in range(3)] == [False, False, True]
    assert not breaker.admits(0)


def test_a_success_between_begins_the_row_anew() -> None:
    breaker = Breaker(Tolerance(failures=3))
    for _ in range(FEWEST // 3):
        assert not breaker.fail(CALL, 0)
        assert not breaker.fail(CALL, 0)
        breaker.succeed(CALL, 0)
        breaker.succeed(CALL, 0)
        breaker.succeed(CALL, 0)
    assert breaker.state is State.CLOSED


def test_it_opens_beyond_a_share_of_failures_though_no_row_is_long() -> None:
    breaker = Breaker(Tolerance(failures=100, share=0.5))
    outcomes = []
    for _ in range(FEWEST):
        outcomes += [breaker.fail(CALL, 0), breaker.fail(CALL, 0)]
        breaker.succeed(CALL, 0)
        if any(outcomes):
            break
    assert breaker.state is State.OPEN


def test_a_share_of_one_never_opens_it() -> None:
    breaker = Breaker(Tolerance(failures=10_000, share=1))
    for _ in range(1_000):
        breaker.fail(CALL, 0)
    assert breaker.state is State.CLOSED


def test_what_failed_long_ago_no_longer_counts() -> None:
    breaker = Breaker(Tolerance(failures=100))
    for _ in range(FEWEST - 1):
        breaker.fail(CALL, 0)
    assert not breaker.fail(CALL, 300 * SECOND)
    assert breaker.state is State.CLOSED


def test_one_probe_at_a_time_is_let_through_within_fifteen_seconds() -> None:
    breaker = opened()
    now, waits = 0, []
    for _ in range(8):
        waits.append(breaker.until - now)
        assert not breaker.admits(breaker.until - 1)
        now = breaker.until
        assert breaker.admits(now)
        probe = probed(breaker, now)
        assert not breaker.admits(now)
        assert breaker.fail(probe, now)
    assert max(waits) <= 15 * SECOND
    assert waits[0] <= SECOND
    assert waits == sorted(waits[:4]) + waits[4:]


def test_only_the_probe_decides_and_late_news_of_earlier_calls_does_not() -> None:
    breaker = opened()
    probe = probed(breaker, breaker.until)
    assert not breaker.fail(CALL, breaker.until)
    assert not breaker.succeed(CALL, breaker.until)
    assert not breaker.admits(breaker.until)
    assert breaker.succeed(probe, breaker.until)
    assert breaker.state is State.CLOSED


def test_a_probe_that_tells_nothing_makes_way_for_another() -> None:
    breaker = opened()
    now = breaker.until
    breaker.forgo(probed(breaker, now))
    assert breaker.admits(now)


def test_a_probe_that_hangs_makes_way_for_another() -> None:
    breaker = opened()
    now = breaker.until
    probed(breaker, now)
    assert not breaker.admits(now + PROBE_WITHIN - 1)
    assert breaker.admits(now + PROBE_WITHIN)


def test_after_it_has_closed_the_share_of_calls_grows_to_the_whole() -> None:
    breaker = opened()
    now = breaker.until
    breaker.succeed(probed(breaker, now), now)
    shares = [breaker.share(now + past * SLOW_START // 10) for past in range(11)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.1)
    assert shares[-1] == 1.0


def test_once_well_for_long_it_begins_again_with_the_first_wait() -> None:
    breaker = opened()
    now = breaker.until
    for _ in range(5):
        probe = probed(breaker, now)
        breaker.fail(probe, now)
        now = breaker.until
    breaker.succeed(probed(breaker, now), now)
    now += FORGIVEN
    assert breaker.share(now) == 1.0
    for _ in range(breaker.tolerance.failures):
        breaker.fail(CALL, now)
    assert breaker.until - now <= SECOND
