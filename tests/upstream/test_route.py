"""What a call tries, in which order, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from tests.upstream.made import Clock, bound, endpoint, permitted

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.errors import Broke, Declined, Slow, Unreachable, UpstreamFault
from trunkline.estate.endpoints import Endpoint, Signals
from trunkline.estate.stages import Attempt, Permitted
from trunkline.upstream.breaker import State
from trunkline.upstream.course import Course
from trunkline.upstream.health import Health, Outcome
from trunkline.upstream.rest import LONGEST_WAIT
from trunkline.upstream.route import route


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> Counter[tuple[str, str]]:
    return Counter()


@pytest.fixture
def health(clock: Clock, events: Counter[tuple[str, str]]) -> Health:
    return Health(clock, count=lambda event, deployment: events.update([(event, deployment)]))


A, B, C = (endpoint(name) for name in "abc")


Play = Callable[[Attempt], UpstreamFault | None]


def drive(call: Permitted, health: Health, clock: Clock, play: Play) -> tuple[list[Attempt], Course]:
    """Make the attempts of one call; `play` says how each ends."""
    course = Course(call.asked, clock)
    made = []
    for attempt in route(call, bound, health, course):
        clock.at += int(attempt.wait * SECOND)
        made.append(attempt)
        health.begin(attempt)
        fault = play(attempt)
        if fault is None:
            health.settle(attempt, Outcome.WELL, SECOND // 10)
            break
        busy = isinstance(fault, Declined) and fault.status == 429
        health.settle(attempt, Outcome.UNTOLD if busy else Outcome.FAILED, None)
        health.hear(attempt, fault)
        course.failed.append((attempt.endpoint.deployment, fault))
    return made, course


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.endpoint.deployment for attempt in attempts]


def well(_attempt: Attempt) -> None:
    return None


def down(*deployments: str) -> Play:
    return lambda attempt: Broke("it broke") if attempt.endpoint.deployment in deployments else None


def open_breaker(health: Health, clock: Clock, *sick: Endpoint) -> None:
    for one in sick:
        for _ in range(5):
            drive(permitted((one,)), health, clock, down(one.deployment))


def test_tiers_go_in_their_order_and_every_one_gets_its_turn(health: Health, clock: Clock) -> None:
    made, _ = drive(permitted((A,), (B,), (C,)), health, clock, down("a", "b"))
    assert names(made) == ["a", "b", "c"]
    assert [one.reason for one in made] == ["tier 1", "tier 2 after 1 failed", "tier 3 after 2 failed"]


def test_what_fails_again_and_again_is_passed_over_and_the_reason_says_so(
    health: Health, clock: Clock, events: Counter[tuple[str, str]]
) -> None:
    open_breaker(health, clock, A)
    assert events["opened", "a"] == 1
    made, _ = drive(permitted((A,), (B,)), health, clock, well)
    assert names(made) == ["b"]
    assert made[0].reason == "tier 2; a has failed and is left alone"


def test_when_all_are_in_bad_health_they_are_tried_in_order_rather_than_refused(health: Health, clock: Clock) -> None:
    open_breaker(health, clock, A, B, C)
    made, _ = drive(permitted((A,), (B,), (C,)), health, clock, down("a", "b", "c"))
    assert names(made) == ["a", "b", "c"]


def test_one_that_flaps_never_takes_its_pool_down(health: Health, clock: Clock) -> None:
    """Whatever `a` does, a call that `b` can answer is answered, and with one attempt more at most."""
    for number in range(300):
        clock.at += SECOND // 20
        made, course = drive(permitted((A, B)), health, clock, down("a") if number % 3 else well)
        assert names(made)[-1] in {"a", "b"}
        assert len(made) <= 2
        assert len(course.failed) == len(made) - 1


def test_a_dead_one_gets_a_bounded_number_of_calls_and_is_back_soon_after_it_recovers(
    health: Health, clock: Clock
) -> None:
    asked = Counter[str]()
    for _ in range(1_200):  # A minute, 20 calls a second.
        clock.at += SECOND // 20
        made, _ = drive(permitted((A,), (B,)), health, clock, down("a"))
        asked.update(names(made))
    assert asked["b"] == 1_200
    assert asked["a"] <= 5 + 60 / 12 + 5
    back = []
    for _ in range(20 * 26):
        clock.at += SECOND // 20
        made, _ = drive(permitted((A,), (B,)), health, clock, well)
        back += names(made)
    assert back[-20:] == ["a"] * 20
    assert back[: 20 * 20].count("b") > 0


def test_one_that_comes_back_gets_its_share_little_by_little(health: Health, clock: Clock) -> None:
    open_breaker(health, clock, A)
    clock.at += SECOND
    drive(permitted((A,), (B,)), health, clock, well)
    shares = []
    for _ in range(10):
        drawn = Counter(names(drive(permitted((A,), (B,)), health, clock, well)[0])[0] for _ in range(300))
        shares.append(drawn["a"] / 300)
        clock.at += SECOND
    assert shares[0] < 0.25
    assert shares[-1] > 0.75


def always(fault: UpstreamFault) -> Play:
    return lambda _: fault


def throttled(name: str, seconds: float | None) -> Play:
    def play(attempt: Attempt) -> UpstreamFault | None:
        if attempt.endpoint.deployment != name:
            return None
        return Declined("429", status=429, retry_after=seconds)

    return play


def test_one_that_asks_to_be_spared_is_spared_for_so_long_and_no_longer(health: Health, clock: Clock) -> None:
    made, _ = drive(permitted((A,), (B,)), health, clock, throttled("a", 30))
    assert names(made) == ["a", "b"]
    clock.at += 29 * SECOND
    made, _ = drive(permitted((A,), (B,)), health, clock, well)
    assert names(made) == ["b"]
    assert made[0].reason == "tier 2; a asked to be spared"
    clock.at += SECOND
    assert names(drive(permitted((A,), (B,)), health, clock, well)[0]) == ["a"]


def test_being_throttled_opens_no_breaker(health: Health, clock: Clock, events: Counter[tuple[str, str]]) -> None:
    for _ in range(50):
        drive(permitted((A,), (B,)), health, clock, throttled("a", None))
        clock.at += 20 * SECOND
    assert not events["opened", "a"]


def test_a_call_waits_for_the_only_one_if_it_need_not_wait_long(health: Health, clock: Clock) -> None:
    drive(permitted((A,)), health, clock, throttled("a", 1.5))
    made, _ = drive(permitted((A,)), health, clock, well)
    assert names(made) == ["a"]
    assert made[0].wait == pytest.approx(1.5)


def test_a_call_does_not_wait_for_longer_than_that(health: Health, clock: Clock) -> None:
    drive(permitted((A,)), health, clock, throttled("a", LONGEST_WAIT + 1))
    made, course = drive(permitted((A,)), health, clock, well)
    assert made == []
    assert course.spared == {"a": pytest.approx(LONGEST_WAIT + 1)}


def test_a_call_in_haste_does_not_wait_beyond_its_time(health: Health, clock: Clock) -> None:
    drive(permitted((A,)), health, clock, throttled("a", 1.5))
    made, course = drive(permitted((A,), patience=1.0), health, clock, well)
    assert made == []
    assert course.spared


def unavailable(_attempt: Attempt) -> UpstreamFault:
    return Declined("503", status=503)


def test_a_call_is_repeated_where_nothing_was_billed_and_nowhere_else(health: Health, clock: Clock) -> None:
    one = endpoint("a", retries=1)
    made, _ = drive(permitted((one,)), health, clock, unavailable)
    assert names(made) == ["a", "a"]
    assert 0.05 <= made[1].wait <= 0.1
    tries = {Broke("x"): 1, Slow("x"): 1, Declined("401", status=401): 1, Unreachable("x"): 2}
    for number, (fault, count) in enumerate(tries.items()):
        other = endpoint(f"other-{number}", retries=1)
        assert len(drive(permitted((other,)), health, clock, always(fault))[0]) == count


def test_repeats_are_a_bounded_share_of_all_calls(
    health: Health, clock: Clock, events: Counter[tuple[str, str]]
) -> None:
    one = endpoint("a", retries=5, failures=1_000)
    for number in range(2_000):
        drive(permitted((one,)), health, clock, unavailable if number % 4 == 0 else well)
    assert 0 < events["retried", "a"] <= 0.2 * 2_000 + 40
    assert events["not_retried", "a"]


def test_failing_over_needs_no_budget(health: Health, clock: Clock) -> None:
    for _ in range(200):
        made, _ = drive(permitted((A, B, C)), health, clock, down("a", "b"))
        assert names(made)[-1] == "c"


def test_among_equals_the_one_with_less_to_do_is_taken(health: Health, clock: Clock) -> None:
    busy = next(iter(route(permitted((A,)), bound, health, Course(permitted((A,)).asked, clock))))
    for _ in range(20):
        health.begin(busy)
    made = [names(drive(permitted((A, B)), health, clock, well)[0])[0] for _ in range(50)]
    assert made == ["b"] * 50


def test_among_equals_the_faster_is_preferred_and_the_slower_is_not_forgotten(health: Health, clock: Clock) -> None:
    speeds = {"a": SECOND // 10, "b": SECOND}
    taken = Counter[str]()
    for _ in range(600):
        course = Course(permitted((A, B)).asked, clock)
        attempt = next(iter(route(permitted((A, B)), bound, health, course)))
        health.begin(attempt)
        clock.at += SECOND // 2
        health.settle(attempt, Outcome.WELL, speeds[attempt.endpoint.deployment])
        taken[attempt.endpoint.deployment] += 1
    assert taken["a"] > 5 * taken["b"]
    assert taken["b"] >= 2


def test_declared_weights_are_the_shares(health: Health, clock: Clock) -> None:
    call = permitted((A, B), weights={"a": 3, "b": 1})
    taken = Counter(names(drive(call, health, clock, well)[0])[0] for _ in range(2_000))
    assert taken["a"] / 2_000 == pytest.approx(0.75, abs=0.06)


def test_a_session_stays_where_it_is_and_moves_alone_when_its_deployment_goes(health: Health, clock: Clock) -> None:
    sessions = [f"s{number}" for number in range(60)]

    def homes() -> dict[str, str]:
        return {one: names(drive(permitted((A, B, C), session=one), health, clock, well)[0])[0] for one in sessions}

    before = homes()
    assert before == homes()
    assert set(before.values()) == {"a", "b", "c"}
    open_breaker(health, clock, A)
    after = homes()
    assert {one for one in sessions if before[one] != after[one]} == {one for one in sessions if before[one] == "a"}


def test_another_model_is_a_substitute_and_comes_after_its_equals(health: Health, clock: Clock) -> None:
    other = endpoint("x", model="mistral/large")
    for _ in range(4):
        made, _ = drive(permitted((A,), (other, B)), health, clock, down("a", "b"))
        assert names(made) == ["a", "b", "x"]


def test_what_cannot_end_in_time_is_not_begun(health: Health, clock: Clock) -> None:
    def slow(attempt: Attempt) -> UpstreamFault:
        clock.at += int(attempt.times.first_byte * SECOND)
        return Slow("too slow")

    made, course = drive(permitted((A,), (B,), patience=1.0), health, clock, slow)
    assert names(made) == ["a"]
    assert made[0].times.first_byte == pytest.approx(0.9)
    assert course.late == ["b"]


def test_the_time_left_is_the_most_that_an_attempt_gets(health: Health, clock: Clock) -> None:
    def half(_attempt: Attempt) -> UpstreamFault:
        clock.at += 4 * SECOND
        return Slow("too slow")

    made, _ = drive(permitted((A,), (B,), time_limit=10.0, stream=True), health, clock, half)
    assert [one.times.total for one in made] == [pytest.approx(9.75), pytest.approx(5.75)]
    assert [one.times.between for one in made] == [30, 30]


def make_shaky(health: Health, clock: Clock, *shaky: Endpoint) -> None:
    """Have a third of the calls fail, never many in a row."""
    for one in shaky:
        for number in range(60):
            drive(permitted((one,)), health, clock, down(one.deployment) if number % 3 == 0 else well)


def test_one_that_fails_more_often_than_its_equals_is_left_to_them(health: Health, clock: Clock) -> None:
    make_shaky(health, clock, A)
    assert {names(drive(permitted((A, B)), health, clock, well)[0])[0] for _ in range(50)} == {"b"}


def test_what_fails_now_and_then_is_no_reason_to_leave_its_tier(health: Health, clock: Clock) -> None:
    make_shaky(health, clock, A)
    assert names(drive(permitted((A,), (B,)), health, clock, well)[0]) == ["a"]


def test_when_most_of_a_tier_is_shaky_all_of_it_carries_the_load(health: Health, clock: Clock) -> None:
    make_shaky(health, clock, A, B)
    assert {names(drive(permitted((A, B, C)), health, clock, well)[0])[0] for _ in range(90)} == {"a", "b", "c"}


FEW_LEFT = {b"x-ratelimit-remaining-tokens": b"50", b"x-ratelimit-reset-tokens": b"30s"}
RATED = Signals(rates=(("tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),))


def test_what_is_about_to_run_out_is_spared_before_it_says_no_and_used_again_after(
    health: Health, clock: Clock
) -> None:
    rated = msgspec.structs.replace(A, signals=RATED)
    health.listen(rated, FEW_LEFT)
    made, _ = drive(permitted((rated,), (B,)), health, clock, well)
    assert (names(made), made[0].reason) == (["b"], "tier 2; a has too little of its quota left")
    clock.at += 30 * SECOND
    assert names(drive(permitted((rated,), (B,)), health, clock, well)[0]) == ["a"]


def test_where_nothing_else_is_left_what_is_about_to_run_out_is_used(health: Health, clock: Clock) -> None:
    rated = msgspec.structs.replace(A, signals=RATED)
    health.listen(rated, FEW_LEFT)
    assert names(drive(permitted((rated,)), health, clock, well)[0]) == ["a"]


def flap(health: Health, clock: Clock, *sick: Endpoint) -> None:
    """Have each fail two calls of three until it is left alone."""
    for one in sick:
        for number in range(60):
            clock.at += SECOND // 100
            if health.gauge(one).breaker.state is State.OPEN:
                break
            drive(permitted((one,)), health, clock, down(one.deployment) if number % 3 else well)
        assert health.gauge(one).breaker.state is State.OPEN


def in_pool(*tiers: tuple[Endpoint, ...], min_healthy: float = 0.5) -> Permitted:
    call = permitted(*tiers)
    pools = {one.deployment: "p" for tier in tiers for one in tier}
    decision = msgspec.structs.replace(call.decision, pools=pools, min_healthy={"p": min_healthy})
    return msgspec.structs.replace(call, decision=decision)


def test_of_a_pool_that_mostly_flaps_all_share_the_calls_as_what_is_left_would_break(
    health: Health, clock: Clock
) -> None:
    tolerant = [endpoint(name, failures=1_000) for name in "abc"]
    flap(health, clock, *tolerant[:2])
    assert "most" not in drive(in_pool(tuple(tolerant), min_healthy=0.3), health, clock, well)[0][0].reason
    reasons = {drive(in_pool(tuple(tolerant)), health, clock, well)[0][0].reason for _ in range(40)}
    assert reasons == {"tier 1, as most of its pool fails", "tier 1, least work"}


def test_one_flapping_member_of_a_healthy_pool_is_left_alone(health: Health, clock: Clock) -> None:
    tolerant = [endpoint(name, failures=1_000) for name in "abc"]
    flap(health, clock, tolerant[0])
    firsts = {names(drive(in_pool(tuple(tolerant)), health, clock, well)[0])[0] for _ in range(40)}
    assert firsts == {"b", "c"}


def test_dead_members_are_left_alone_however_many_they_are(health: Health, clock: Clock) -> None:
    open_breaker(health, clock, A, B)
    firsts = {names(drive(in_pool((A, B, C)), health, clock, well)[0])[0] for _ in range(40)}
    assert firsts == {"c"}


def test_a_share_of_nothing_never_brings_the_flapping_back(health: Health, clock: Clock) -> None:
    tolerant = [endpoint(name, failures=1_000) for name in "abc"]
    flap(health, clock, *tolerant[:2])
    firsts = {names(drive(in_pool(tuple(tolerant), min_healthy=0), health, clock, well)[0])[0] for _ in range(40)}
    assert firsts == {"c"}
