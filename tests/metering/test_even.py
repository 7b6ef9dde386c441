"""A quota is used evenly: little at once, and then as much as time allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.metering.test_turnstile import Hands, go

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import RateLimited
from trunkline.estate.boundaries import Quota
from trunkline.messages import Usage
from trunkline.metering.counters import Page
from trunkline.metering.limits import MINUTE, TOKENS_AT_ONCE, Limits, Rate, quota_rates
from trunkline.metering.records import Status
from trunkline.metering.refusals import Full
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.store import window_table
from trunkline.store.open import open_store


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(tmp_path / "rates", alone=True)
    yield made
    made.close()


def turnstile(page: Page, clock: Hands, **quota: Any) -> Turnstile:
    rates = tuple(quota_rates("boundary:b/quota", 'boundary "b"', Quota(**quota), "acme"))
    return Turnstile(page, Limits({}, {"gpt": rates}, {}), clock)


def attempt(prompt: int = 0, limit: int | None = 0) -> Any:
    asked = SimpleNamespace(end_customer=None, prompt_bound=4 * prompt, output_limit=limit, answers=1)
    caller = SimpleNamespace(unit="sales", key="k", person=None)
    permitted = SimpleNamespace(caller=caller, asked=asked, decision=SimpleNamespace(use_case="chat"))
    bound = Usage(input=4 * prompt, output=limit or 0)
    return SimpleNamespace(permitted=permitted, endpoint=SimpleNamespace(deployment="gpt"), bound=bound)


def refusal(of: Turnstile, what: Any, used: Usage | None = None) -> RateLimited | None:
    """Pass through, or say why not; `used` is what it turned out to have used, nothing where it is left open."""
    with Visit(of) as visit:
        try:
            go(visit.admit(what))
        except Full as full:
            return full.refusal
        settlement = None if used is None else SimpleNamespace(usage=used, status=Status.OK)
        visit.hold = SimpleNamespace(settlement=settlement)  # type: ignore[assignment]
    return None


def test_ten_requests_go_at_once_and_then_as_many_as_a_second_allows(page: Page) -> None:
    clock = Hands()
    gate = turnstile(page, clock, rpm=600)
    assert [refusal(gate, attempt()) is None for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(20):
        clock.time += NANOS_PER_SECOND // 10
        assert refusal(gate, attempt()) is None
        assert refusal(gate, attempt()) is not None


def test_the_refusal_says_how_much_goes_when_the_next_may_and_means_it(page: Page) -> None:
    clock = Hands()
    gate = turnstile(page, clock, rpm=20, burst=3)
    assert refusal(gate, attempt()) is None
    told = refusal(gate, attempt())
    assert told is not None
    assert told.retry_after == 3
    assert told.message == (
        'Boundary "b" takes 20 requests a minute, and 1 at once: so many are under way. The next may go in 3 s.'
    )
    clock.time += 3 * NANOS_PER_SECOND - 1
    assert refusal(gate, attempt()) is not None
    clock.time += 1
    assert refusal(gate, attempt()) is None


def test_however_long_it_idled_no_more_goes_at_once(page: Page) -> None:
    clock = Hands()
    gate = turnstile(page, clock, rpm=1_200)
    clock.time += 50 * NANOS_PER_SECOND
    assert sum(refusal(gate, attempt()) is None for _ in range(100)) == 20


def test_a_quota_of_ten_or_fewer_and_one_that_says_so_goes_all_at_once(page: Page) -> None:
    assert [rate.name for rate in quota_rates("q", "q", Quota(rpm=10, tpm=6), "")] == ["q/rpm", "q/tpm", "q/tpm/burst"]
    gate = turnstile(page, Hands(), rpm=600, tpm=60_000, burst=60)
    assert sum(refusal(gate, attempt(10, 0), Usage()) is None for _ in range(700)) == 600


def test_tokens_count_as_foreseen_and_then_as_used_and_one_large_call_is_not_shut_out(page: Page) -> None:
    clock = Hands()
    gate = turnstile(page, clock, tpm=60_000)
    assert refusal(gate, attempt(14_000, 100), Usage(input=12_000, output=3_000)) is None
    told = refusal(gate, attempt(1, 1))
    assert told is not None
    assert (told.retry_after, "takes 60000 tokens a minute, and 10000 at once" in told.message) == (6, True)
    clock.time += 6 * NANOS_PER_SECOND
    assert refusal(gate, attempt(1, 1), Usage(output=1)) is None


def test_of_a_long_output_limit_no_more_is_foreseen_than_answers_usually_have(page: Page) -> None:
    gate = turnstile(page, Hands(), tpm=60_000)
    (bucket,) = [one for one in gate.at("gpt").buckets if one.rate.counts == TOKENS_AT_ONCE]
    assert gate.foresee(attempt(100, 50_000), bucket.rate) == 100 + 256
    assert gate.foresee(attempt(100, 5), bucket.rate) == 105


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(11, 3_000),
    st.none() | st.integers(1, 59),
    st.lists(st.integers(0, 2 * NANOS_PER_SECOND), min_size=1, max_size=150),
)
def test_in_no_span_does_more_go_than_the_burst_and_what_the_span_allows(
    tmp_path_factory: pytest.TempPathFactory, rpm: int, burst: int | None, waits: list[int]
) -> None:
    page = Page(tmp_path_factory.mktemp("rates"), alone=True)
    clock = Hands()
    gate = turnstile(page, clock, rpm=rpm, burst=burst)
    at_once = max(rpm // 60, 10) if burst is None else max(rpm * burst // 60, 1)
    sent: list[int] = []
    for wait in waits:
        clock.time += wait
        if refusal(gate, attempt()) is None:
            sent.append(clock.time)
    page.close()
    for first, begins in enumerate(sent):
        for last, ends in enumerate(sent[first:], 1):
            assert last <= at_once + (ends - begins) * rpm / MINUTE + 1
    assert all(before <= after for before, after in pairwise(sent))


def test_what_is_not_used_evenly_has_no_bucket() -> None:
    rate = Rate("unit:sales/rpm", 'unit "sales"', "requests", 600, "minute")
    assert (rate.burst, rate.drains) == (0, 0)


@pytest.mark.parametrize("count", [1, 3])
async def test_of_tokens_each_exchange_lets_through_a_burst_and_all_together_no_more_than_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The stated bound: at once, so many bursts as there are exchanges; in a minute, the quota."""
    tokens, quota = 1_000, 60_000
    rates = tuple(quota_rates("boundary:b/quota", 'boundary "b"', Quota(tpm=quota, burst=10), "acme"))
    clock = Hands()
    monkeypatch.setattr(window_table, "now_of", lambda _: clock.now())
    with open_store(tmp_path / "trunkline.db") as store, ExitStack() as stack:
        gates = []
        for number in range(count):
            page = Page(tmp_path / f"rates-{number}", alone=True)
            stack.callback(page.close)
            gates.append(Turnstile(page, Limits({}, {"gpt": rates}, {}), clock, store))
        passed = [0] * count
        for _ in range(40):
            for number, gate in enumerate(gates):
                passed[number] += await let_through(gate, tokens)
        assert passed == [10] * count  # Bursts of 10,000 tokens.
        clock.time += 30 * NANOS_PER_SECOND  # In the same minute; the buckets are empty again.
        for _ in range(40):
            for number, gate in enumerate(gates):
                passed[number] += await let_through(gate, tokens)
    assert 10 * count < sum(passed) <= min(20 * count, quota // tokens)


async def let_through(gate: Turnstile, tokens: int) -> bool:
    """Try one call; ask the store for more of the window where it needs that."""
    assert gate.shares is not None
    with Visit(gate) as visit:
        admitting = asyncio.create_task(visit.admit(attempt(tokens, 0)))
        while not admitting.done():
            await asyncio.sleep(0)
            await gate.shares.ask()
        try:
            await admitting
        except Full:
            return False
        ended = SimpleNamespace(usage=Usage(input=tokens), status=Status.OK)
        visit.hold = SimpleNamespace(settlement=ended)  # type: ignore[assignment]
    return True
