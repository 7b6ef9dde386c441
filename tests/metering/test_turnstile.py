"""Limits: what is counted, when it begins anew, that several workers count as one, and what a refusal says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.clock import NANOS_PER_SECOND, as_nanos
from trunkline.errors import RateLimited
from trunkline.messages import Usage
from trunkline.metering.counters import Counter, Page
from trunkline.metering.limits import CALLS, MINUTE, REQUESTS, TOKENS, Limits, Rate
from trunkline.metering.refusals import Full
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit

NOON = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))


class Hands:
    """A clock that stands still."""

    def __init__(self, now: int = NOON) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def ticks(self) -> int:
        return self.time


def rate(counts: str, limit: int, per: str = "minute", **more: Any) -> Rate:
    return Rate(f"unit:sales/{counts}/{per}", 'unit "sales"', counts, limit, per, owner="acme", **more)


def limits(*rates: Rate, at: tuple[Rate, ...] = ()) -> Limits:
    return Limits({("unit", "sales"): rates} if rates else {}, {"gpt": at} if at else {}, {"sales": ("sales",)})


def go(step: Coroutine[Any, Any, None]) -> None:
    """Run a step that has nothing to wait for."""
    with contextlib.suppress(StopIteration):
        step.send(None)
        raise AssertionError("it waits")


def attempt(tokens: int = 0, unit: str = "sales", key: str = "key_1", person: str | None = None) -> Any:
    caller = SimpleNamespace(unit=unit, key=key, person=person)
    permitted = SimpleNamespace(
        caller=caller, asked=SimpleNamespace(end_customer=None), decision=SimpleNamespace(use_case="chat")
    )
    endpoint = SimpleNamespace(deployment="gpt")
    return SimpleNamespace(permitted=permitted, endpoint=endpoint, bound=Usage(input=tokens))


def settled(tokens: int) -> Any:
    return SimpleNamespace(settlement=SimpleNamespace(usage=Usage(output=tokens)))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(tmp_path / "rates")
    yield made
    made.close()


def pass_through(turnstile: Turnstile, tokens: int = 0, used: int | None = None) -> bool:
    with Visit(turnstile) as visit:
        try:
            go(visit.admit(attempt(tokens)))
        except Full:
            return False
        if used is not None:
            visit.hold = settled(used)
    return True


def test_so_many_requests_as_the_limit_says_pass_in_a_minute_and_as_many_in_the_next(page: Page) -> None:
    clock = Hands()
    turnstile = Turnstile(page, limits(rate(REQUESTS, 5)), clock)
    assert [pass_through(turnstile) for _ in range(7)] == [True] * 5 + [False] * 2
    clock.time += MINUTE - 1
    assert not pass_through(turnstile)
    clock.time += 1
    assert [pass_through(turnstile) for _ in range(6)] == [True] * 5 + [False]


def test_all_keys_of_a_person_count_against_one_limit_and_other_keys_against_none(page: Page) -> None:
    two = Rate("person:ada/rpm", 'person "ada"', REQUESTS, 2, "minute")
    turnstile = Turnstile(page, Limits({("person", "ada"): (two,)}, {}, {}), Hands())
    passed = []
    for key, unit, person in [
        ("a", "hr", "ada"),
        ("b", "it", "ada"),
        ("c", "hr", None),
        ("c", "hr", "bob"),
        ("d", "hr", "ada"),
    ]:
        with Visit(turnstile) as visit:
            try:
                go(visit.admit(attempt(unit=unit, key=key, person=person)))
                passed.append(key)
            except Full:
                continue
    assert passed == ["a", "b", "c", "c"]
    assert turnstile.readings()["person:ada/rpm"].used == 2


def test_the_names_that_callers_give_their_customers_are_not_remembered_unless_limits_are_on_them(page: Page) -> None:
    turnstile = Turnstile(page, Limits({("end_customer", "globex"): (rate(REQUESTS, 2),)}, {}, {}), Hands())
    for name in (*map(str, range(50)), "globex"):
        one = attempt()
        one.permitted.asked.end_customer = name
        assert len(turnstile.above(one).requests) == (name == "globex")
    assert len(turnstile._above) == 2


def test_tokens_are_held_at_the_most_and_corrected_to_what_was_used(page: Page) -> None:
    turnstile = Turnstile(page, limits(rate(TOKENS, 1_000)), Hands())
    with Visit(turnstile) as visit:
        go(visit.admit(attempt(900)))
        assert not pass_through(turnstile, 200)
        visit.hold = settled(30)
    assert turnstile.readings()["unit:sales/tokens/minute"].used == 30
    assert pass_through(turnstile, 900, used=900)
    assert not pass_through(turnstile, 100)


def test_what_was_never_sent_is_taken_back(page: Page) -> None:
    turnstile = Turnstile(page, limits(rate(TOKENS, 1_000), at=(rate(REQUESTS, 3),)), Hands())
    assert pass_through(turnstile, 900)
    assert {name: one.used for name, one in turnstile.readings().items()} == {
        "unit:sales/tokens/minute": 0,
        "unit:sales/requests/minute": 0,
    }


def test_a_call_counts_once_for_its_caller_and_each_attempt_for_its_deployment(page: Page) -> None:
    of_boundary = Rate("boundary:b/quota/rpm", 'boundary "b"', REQUESTS, 10, "minute", provided=True)
    turnstile = Turnstile(page, limits(rate(REQUESTS, 10), at=(of_boundary,)), Hands())
    with Visit(turnstile) as visit:
        for _ in range(3):
            go(visit.admit(attempt()))
            visit.hold = settled(1)
    readings = turnstile.readings()
    assert readings["unit:sales/requests/minute"].used == 1
    assert readings["boundary:b/quota/rpm"].used == 3


def test_what_is_settled_in_a_later_minute_changes_nothing_there(page: Page) -> None:
    clock = Hands()
    turnstile = Turnstile(page, limits(rate(TOKENS, 1_000)), clock)
    with Visit(turnstile) as visit:
        go(visit.admit(attempt(900)))
        clock.time += MINUTE
        assert pass_through(turnstile, 700, used=700)
        visit.hold = settled(1)
    assert turnstile.readings()["unit:sales/tokens/minute"].used == 700


def test_a_refusal_says_which_limit_how_much_is_left_when_to_come_back_and_whom_to_ask(page: Page) -> None:
    clock = Hands(NOON + 20 * NANOS_PER_SECOND)
    turnstile = Turnstile(page, limits(rate(TOKENS, 1_000)), clock)
    assert pass_through(turnstile, 700, used=700)
    with Visit(turnstile) as visit, pytest.raises(Full) as full:
        go(visit.admit(attempt(400)))
    refusal = full.value.refusal
    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after == 40
    assert not refusal.final
    for part in ('unit "sales"', "1000 tokens per minute", "300 are left", "up to 400", "40 s", 'ask unit "acme"'):
        assert part in refusal.message


def test_a_call_that_could_never_pass_and_a_day_that_is_used_up_are_not_to_be_tried_again(page: Page) -> None:
    turnstile = Turnstile(page, limits(rate(TOKENS, 1_000), rate(REQUESTS, 1, "day")), Hands())
    for tokens, retry_after in ((1_001, None), (1, 12 * 3_600)):
        with Visit(turnstile) as visit, pytest.raises(Full) as full:
            go(visit.admit(attempt(tokens)))
        assert full.value.refusal.final
        assert full.value.refusal.retry_after == retry_after
        pass_through(turnstile, 1, used=1)


def test_a_refused_call_counts_nowhere(page: Page) -> None:
    turnstile = Turnstile(page, limits(rate(REQUESTS, 5), at=(rate(TOKENS, 10, provided=True),)), Hands())
    assert not pass_through(turnstile, 11)
    assert {one.used for one in turnstile.readings().values()} == {0}
    assert turnstile.readings()["unit:sales/tokens/minute"].refused == 1


def test_calls_at_once_are_counted_over_workers_and_freed_when_one_is_gone(tmp_path: Path, page: Page) -> None:
    clock = Hands()
    declared = limits(rate(CALLS, 3, ""))
    turnstile = Turnstile(page, declared, clock)
    program = (
        "import os, sys; from pathlib import Path; from trunkline.metering.counters import Counter, Page;"
        "from trunkline.metering.limits import CALLS, Rate;"
        "page = Page(Path(sys.argv[1]));\n"
        "with page.locked(): Counter(page, Rate(sys.argv[2], '', CALLS, 3)).take(2)\n"
        "print(page.lane, flush=True); sys.stdin.read(); os._exit(9)"
    )
    name = next(iter(declared)).name
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "rates"), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert cast("Any", other.stdout).readline() == b"1\n"
        with Visit(turnstile) as visit:
            go(visit.admit(attempt()))
            assert not pass_through(turnstile)
        other.kill()
        other.wait()
    clock.time += NANOS_PER_SECOND
    with Visit(turnstile) as one, Visit(turnstile) as two, Visit(turnstile) as three:
        for visit in (one, two, three):
            go(visit.admit(attempt()))
        assert not pass_through(turnstile)
    assert pass_through(turnstile)


def test_a_clock_set_back_a_little_gives_nobody_a_minute_twice(page: Page) -> None:
    clock = Hands()
    turnstile = Turnstile(page, limits(rate(REQUESTS, 1)), clock)
    assert pass_through(turnstile)
    clock.time -= NANOS_PER_SECOND
    assert not pass_through(turnstile)


def test_counts_outlast_the_worker_that_counted(tmp_path: Path) -> None:
    for passes in (True, False):
        page = Page(tmp_path / "rates", alone=True)
        assert pass_through(Turnstile(page, limits(rate(REQUESTS, 1, "day")), Hands())) is passes
        page.close()


step = st.tuples(
    st.integers(0, 2), st.integers(0, 400), st.integers(0, 400), st.integers(0, 70 * NANOS_PER_SECOND), st.booleans()
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(step, max_size=60))
def test_no_window_ever_holds_more_than_its_limit_whatever_workers_do_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, int, bool]]
) -> None:
    clock = Hands()
    folder = tmp_path_factory.mktemp("rates")
    declared = limits(rate(REQUESTS, 7), rate(TOKENS, 1_000), rate(CALLS, 4, ""))
    pages = [Page(folder) for _ in range(3)]
    workers = [Turnstile(page, declared, clock) for page in pages]
    under_way: list[Any] = []
    passed: dict[int, list[int]] = {}
    for worker, tokens, used, pause, ends in steps:
        clock.time += pause if ends else 0
        if ends and under_way:
            visit, minute, place, least = under_way.pop(0)
            visit.hold = settled(min(used, least))
            visit.__exit__(None, None, None)
            passed[minute][place] = min(used, least)
        visit = Visit(workers[worker])
        try:
            go(visit.admit(attempt(tokens)))
        except Full:
            continue
        minute = clock.time // MINUTE
        passed.setdefault(minute, []).append(tokens)
        under_way.append((visit, minute, len(passed[minute]) - 1, tokens))
        assert len(passed[minute]) <= 7
        assert sum(passed[minute]) <= 1_000
        assert len(under_way) <= 4
    for visit, *_ in under_way:
        visit.__exit__(None, None, None)
    with pages[0].locked():
        assert Counter(pages[0], rate(CALLS, 4, "")).used(clock.time) == 0
    for page in pages:
        page.close()
