"""Several exchanges that share limits in one store: together they never exceed them, and little is left unused."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.test_turnstile import attempt, limits, rate, settled

from trunkline.clock import SystemClock
from trunkline.errors import RateLimited, Unavailable
from trunkline.metering.counters import Page
from trunkline.metering.limits import REQUESTS, TOKENS, Limits
from trunkline.metering.refusals import Full
from trunkline.metering.shares import Want, share_out
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.store.open import Store, open_store

DAY = rate(REQUESTS, 300, "day")
TOKENS_OF_DAY = rate(TOKENS, 100_000, "day")


class Exchange:
    """One exchange: its counts, and its worker's limits over the shared store."""

    def __init__(self, folder: Path, store: Store, declared: Limits) -> None:
        self.page = Page(folder)
        self.turnstile = Turnstile(self.page, declared, SystemClock(), store)
        assert self.turnstile.shares is not None
        self.shares = self.turnstile.shares
        self.refusal: RateLimited | None = None
        self.following = asyncio.create_task(self.shares.follow())

    async def call(self, held: int = 0, used: int = 0) -> bool:
        with Visit(self.turnstile) as visit:
            try:
                await visit.admit(attempt(held))
            except Full as full:
                self.refusal = full.refusal
                return False
            await asyncio.sleep(0)
            visit.hold = settled(used)
            return True

    async def end(self) -> None:
        self.following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.following
        self.page.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = tmp_path / "trunkline.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(place) as opened:
        yield opened


@pytest.fixture
async def three(tmp_path: Path, store: Store) -> AsyncIterator[list[Exchange]]:
    declared = limits(DAY, TOKENS_OF_DAY)
    exchanges = [Exchange(tmp_path / f"rates-{number}", store, declared) for number in range(3)]
    yield exchanges
    for one in exchanges:
        await one.end()


async def test_three_exchanges_together_let_through_no_more_than_the_limit_and_nearly_all_of_it(
    three: list[Exchange],
) -> None:
    passed = [0, 0, 0]

    async def caller(place: int) -> None:
        while await three[place].call():
            passed[place] += 1

    await asyncio.gather(*(caller(place) for place in (0, 0, 0, 1, 1, 2)))
    error = (DAY.limit - sum(passed)) / DAY.limit
    print(f"requests let through of {DAY.limit} by each of three exchanges: {passed}, {error:.1%} unused")  # noqa: T201
    assert sum(passed) <= DAY.limit
    assert error <= 3 * 2 * 0.02


async def test_what_is_given_out_evenly_is_used_evenly_by_all_exchanges_together_and_those_refused_come_back_soon(
    tmp_path: Path, store: Store
) -> None:
    window = DAY.window(time.time_ns())
    even = msgspec.structs.replace(DAY, burst=(window.ends - window.starts) // 30)  # Ten of three hundred.
    exchanges = [Exchange(tmp_path / f"rates-{number}", store, limits(even)) for number in range(3)]
    passed = 0

    async def caller(one: Exchange) -> None:
        nonlocal passed
        while await one.call():
            passed += 1

    await asyncio.gather(*(caller(one) for one in exchanges))
    now = time.time_ns()
    due = DAY.limit * (now - window.starts + even.burst) / (window.ends - window.starts)
    refusals = [one.refusal for one in exchanges]
    for one in exchanges:
        await one.end()
    if DAY.window(now) != window:
        pytest.skip("the day ended meanwhile")
    assert 0 < passed <= due
    for refusal in refusals:
        assert refusal is not None
        if due < DAY.limit:
            assert "evenly, for all exchanges together" in refusal.message
            assert refusal.retry_after == 1


async def test_tokens_that_were_held_and_not_used_come_back_to_the_other_exchanges(three: list[Exchange]) -> None:
    first, second, _ = three
    for _ in range(12):  # Held together, these would be more than the limit.
        assert await first.call(20_000, 100)
    async with asyncio.timeout(10):
        while not await second.call(40_000, 40_000):
            await first.shares.ask()
    used = sum(one.turnstile.readings()[TOKENS_OF_DAY.name].used for one in three)
    assert used == 12 * 100 + 40_000


async def test_a_call_waits_for_the_store_only_where_nothing_is_in_hand(three: list[Exchange]) -> None:
    first = three[0]
    assert await first.call()
    await first.shares.ask()
    first.following.cancel()  # Nobody asks any more: what passes now passes by what is in hand.
    passed = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            while await first.call():
                passed += 1
    assert passed >= 2


async def test_while_the_store_is_away_calls_go_on_within_what_is_in_hand_and_then_are_told_so(
    three: list[Exchange], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = three[0]
    assert await first.call()

    def away(_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(store, "share_out", away)
    with pytest.raises(Unavailable) as refused:
        assert all([await first.call() for _ in range(DAY.limit)])
    assert refused.value.code == "store_unavailable"


wants = st.lists(
    st.tuples(st.integers(-300, 300), st.integers(0, 200), st.integers(0, 200), st.integers(50, 500)), max_size=50
)


@given(wants)
def test_what_is_given_out_is_never_more_than_the_limit_nor_less_than_nothing(
    steps: list[tuple[int, int, int, int]],
) -> None:
    granted = 0
    for amount, need, more, limit in steps:
        due = need + more
        given = share_out(Want("a", 0, 1, limit, amount, need, due), granted, 0)
        if amount > 0:
            assert 0 <= given <= max(amount, 0)
            assert given == 0 or granted + given <= limit
            assert given == 0 or given >= min(need, amount)
            assert given > 0 or granted >= limit or limit - granted < need
        else:
            assert amount <= given <= 0
        granted += given
        assert granted >= 0


@given(
    st.integers(1, 1_000),
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 300), st.integers(0, 20)), max_size=60),
)
def test_what_is_given_out_evenly_is_never_ahead_of_its_time_by_more_than_the_burst(
    limit: int, burst: int, steps: list[tuple[int, int, int]]
) -> None:
    granted = now = 0
    for later, amount, need in steps:
        now = min(now + later, 60)
        given = share_out(Want("a", 0, 60, limit, amount, need, need, burst), granted, now)
        granted += given
        assert given >= 0
        assert granted <= min(limit, limit * (now + burst) / 60)
    if limit * burst >= 60:  # Else not even one may go at the beginning.
        assert share_out(Want("a", 0, 60, limit, 1, 1, 1, burst), 0, 0) == 1
    assert share_out(Want("a", 0, 60, limit, limit, limit, limit, burst), 0, 60) == limit
