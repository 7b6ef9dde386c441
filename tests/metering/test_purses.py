"""Several workers' purses over one real store: together they never exceed the limit, and all of it can be used."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from trunkline import errors
from trunkline.clock import NANOS_PER_SECOND, Clock, SystemClock
from trunkline.ids import mint_journal_id
from trunkline.metering.journal import Journal
from trunkline.metering.leases import Allowance, Answer, Ask, LeaseId
from trunkline.metering.periods import FOREVER, Period
from trunkline.metering.purse import LASTS, Account, Purse
from trunkline.metering.purses import Pledge, Purses, Short
from trunkline.store import lease_table
from trunkline.store.open import Store, open_store

ALWAYS = Period(0, FOREVER)
LIMIT = 10_000
HOLD = 90
COST = 40


def account(name: str = "team", limit: int = LIMIT, *, hard: bool = True, declared_at: int = 1) -> Account:
    return Account(name, limit, hard, declared_at, lambda _: ALWAYS)


class Exchange:
    """A worker: its purses, and its journal's file."""

    def __init__(
        self, folder: Path, store: Store, *accounts: Account, patience: float = 2.0, clock: Clock | None = None
    ) -> None:
        self.journal = Journal.open(folder, mint_journal_id())
        self.purses = Purses(store, self.journal, clock or SystemClock(), patience=patience)
        self.purses.adopt(accounts or (account(),))
        self.following = asyncio.create_task(self.purses.follow())

    async def pledge(self, amount: int = HOLD, *names: str) -> Pledge:
        return await self.purses.pledge(self.purses.named(names or ("team",)), amount)

    async def end(self) -> None:
        self.following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.following
        await self.purses.stop()
        self.journal.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = tmp_path / "trunkline.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(place) as opened:
        yield opened


@pytest.fixture
async def three(tmp_path: Path, store: Store) -> AsyncIterator[list[Exchange]]:
    made = [Exchange(tmp_path / str(number), store) for number in range(3)]
    yield made
    for one in made:
        await one.end()


def team(store: Store) -> Allowance:
    (found,) = [one for one in store.allowances() if one.name == "team"]
    return found


async def test_together_they_hold_no_more_than_the_limit_and_all_of_it(three: list[Exchange], store: Store) -> None:
    spent = open_now = most = 0

    async def call(one: Exchange) -> None:
        nonlocal spent, open_now, most
        while True:
            try:
                pledge = await one.pledge()
            except Short:
                return
            open_now += HOLD
            most = max(most, spent + open_now)
            await asyncio.sleep(0)
            open_now -= HOLD
            spent += COST
            pledge.settle(COST)

    async with asyncio.timeout(60):  # A call that waited in vain may be refused though something comes back later.
        while LIMIT - spent >= len(three) * HOLD:
            await asyncio.gather(*(call(one) for one in three for _ in range(16)))
    assert most <= LIMIT
    assert (team(store).settled, team(store).leased <= LIMIT) == (0, True)  # nothing was drained


async def test_what_one_worker_has_in_hand_comes_back_when_another_goes_without(
    three: list[Exchange], store: Store
) -> None:
    first, second, _ = three
    (await first.pledge(600)).settle(0)
    assert team(store).leased >= 600
    pledge = await second.pledge(LIMIT)
    assert team(store).leased == LIMIT
    pledge.settle(0)


async def test_a_call_waits_for_what_others_hold_but_not_for_ever(tmp_path: Path, store: Store) -> None:
    one, other = Exchange(tmp_path / "a", store, patience=0.6), Exchange(tmp_path / "b", store, patience=30)
    held = await one.pledge(LIMIT)
    with pytest.raises(Short) as short:
        await one.pledge()
    assert short.value.answer is not None
    assert (short.value.account.name, short.value.answer.leased) == ("team", LIMIT)
    waiting = asyncio.create_task(other.pledge())
    held.settle(0)
    (await waiting).settle(0)
    await one.end()
    await other.end()
    assert team(store).leased == 0


async def test_where_nothing_can_come_back_a_call_is_refused_at_once(tmp_path: Path, store: Store) -> None:
    one = Exchange(tmp_path, store, patience=60)
    with pytest.raises(Short):
        await asyncio.wait_for(one.pledge(LIMIT + 1), 20)
    (await one.pledge(LIMIT)).settle(LIMIT)
    with pytest.raises(Short):
        await asyncio.wait_for(one.pledge(1), 20)
    await one.end()


async def test_a_hold_stands_in_every_allowance_or_in_none(tmp_path: Path, store: Store) -> None:
    one = Exchange(tmp_path, store, account(), account("company", 500), account("watched", 1, hard=False), patience=1.5)
    pledge = await one.pledge(400, "team", "company", "watched")
    assert len(pledge.leases) == 3
    with pytest.raises(Short) as short:
        await one.pledge(200, "team", "company", "watched")
    assert short.value.account.name == "company"
    assert [_open(purse) for purse in one.purses.named(("team", "company", "watched"))] == [1, 1, 1]
    pledge.settle(400)
    await one.end()
    assert {found.name: found.leased for found in store.allowances()} == {"team": 400, "company": 400, "watched": 0}


def _open(purse: Purse) -> int:
    return purse.open


async def test_a_lowered_limit_binds_the_next_grant(tmp_path: Path, store: Store) -> None:
    one = Exchange(tmp_path, store, patience=60)
    (await one.pledge(1_000)).settle(500)
    one.purses.adopt([account(limit=600, declared_at=2)])
    with pytest.raises(Short):
        await one.pledge(200)
    (await one.pledge(100)).settle(100)
    await one.end()


async def test_a_new_journal_file_takes_a_new_lease_and_the_old_one_ends(tmp_path: Path, store: Store) -> None:
    one = Exchange(tmp_path, store, patience=30)
    before = await one.pledge()
    one.journal._rotate()
    after = await one.pledge()
    assert before.journal != after.journal
    assert set(before.leases).isdisjoint(after.leases)
    before.settle(COST)
    after.settle(COST)
    await one.end()
    assert team(store).leased == 2 * COST


async def test_with_the_store_away_calls_go_on_inside_the_lease_and_are_then_told_so(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Exchange(tmp_path, store, patience=0.5)
    (await one.pledge()).settle(0)
    room = one.purses.named(["team"])[0].room
    assert room >= HOLD

    def away(asks: Sequence[Ask]) -> tuple[Answer, ...]:
        raise errors.Unavailable("away")

    monkeypatch.setattr(store, "ask", away)
    held = [await one.pledge() for _ in range(room // HOLD)]
    with pytest.raises(errors.Unavailable) as refused:
        await one.pledge()
    assert refused.value.code == "store_unavailable"
    monkeypatch.undo()
    (await one.pledge()).settle(0)
    for pledge in held:
        pledge.settle(0)
    await one.end()
    assert team(store).leased == 0


class SetClock:
    """A clock that stands still until it is set on."""

    def __init__(self) -> None:
        self.passed = 0

    def now(self) -> int:
        return 1_000 * NANOS_PER_SECOND + self.passed

    def ticks(self) -> int:
        return self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock of the workers and of the store."""
    made = SetClock()
    monkeypatch.setattr(lease_table, "now_of", lambda _: made.now())
    return made


def frozen(store: Store, clock: SetClock) -> int:
    return sum(row.lease.room for row in store.open_leases() if row.lease.frozen(clock.now()))


@pytest.mark.parametrize("turned_over", [False, True], ids=["in one journal file", "while its file is turned over"])
async def test_a_call_that_outlives_its_hold_renews_it(
    tmp_path: Path, store: Store, clock: SetClock, turned_over: bool
) -> None:
    one, other = Exchange(tmp_path / "a", store, clock=clock), Exchange(tmp_path / "b", store, clock=clock)
    for each in (one, other):
        each.following.cancel()
    held = asyncio.create_task(one.pledge(LIMIT - HOLD))
    await asyncio.sleep(0)
    await one.purses.ask()
    pledge = await held
    if turned_over:
        one.journal._rotate()
    for _ in range(30):
        clock.passed += LASTS // 4
        await one.purses.ask()
        assert frozen(store, clock) == 0
        assert team(store).leased >= LIMIT - HOLD
    (answer,) = store.ask([_asks_for(HOLD + 1)])
    assert answer.amount == 0
    pledge.settle(COST)
    clock.passed += LASTS // 4
    await one.purses.ask()
    (answer,) = store.ask([_asks_for(LIMIT - 2 * HOLD)])
    assert answer.amount == LIMIT - 2 * HOLD


def _asks_for(amount: int) -> Ask:
    return Ask(
        lease=LeaseId(f"another-{amount}"),
        version=1,
        allowance="team",
        period=ALWAYS,
        limit=LIMIT,
        hard=True,
        declared_at=1,
        journal=mint_journal_id(),
        amount=amount,
        due=amount,
        need=amount,
        lasts=LASTS,
    )


async def test_a_hold_that_nobody_renews_is_frozen_and_still_counts(
    tmp_path: Path, store: Store, clock: SetClock
) -> None:
    one = Exchange(tmp_path, store, clock=clock)
    await one.pledge(LIMIT - HOLD)
    one.following.cancel()
    clock.passed += LASTS + 1
    assert frozen(store, clock) >= LIMIT - HOLD
    (answer,) = store.ask([_asks_for(HOLD + 1)])
    assert answer.amount == 0


async def test_a_watched_limit_is_known_to_the_store_also_where_that_was_away_at_first(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Exchange(tmp_path, store, account(hard=False))
    one.following.cancel()

    def away(asks: Sequence[Ask]) -> tuple[Answer, ...]:
        raise errors.Unavailable("away")

    monkeypatch.setattr(store, "ask", away)
    pledge = await one.pledge()
    await one.purses.ask()
    monkeypatch.undo()
    await one.purses.ask()
    assert team(store).limit == LIMIT
    pledge.settle(COST)
    await one.end()


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("limit", [LIMIT // 2, LIMIT * 2])
async def test_a_limit_that_is_declared_anew_is_known_to_the_store_without_another_call(
    tmp_path: Path, store: Store, hard: bool, limit: int
) -> None:
    one = Exchange(tmp_path, store, account(hard=hard))
    (await one.pledge()).settle(COST)
    one.following.cancel()
    await one.purses.ask()
    one.purses.adopt([account(limit=limit, hard=hard, declared_at=2)])
    await one.purses.ask()
    assert team(store).limit == limit
    asked = len(one.purses.named(["team"])[0].asks(one.journal.id, one.purses._now()))
    assert asked == 0
    await one.end()


async def test_what_is_held_elsewhere_may_come_back_and_what_is_spent_does_not(tmp_path: Path, store: Store) -> None:
    one, other = Exchange(tmp_path / "a", store, patience=0.4), Exchange(tmp_path / "b", store)
    held = await other.pledge(LIMIT - 50)
    for _ in range(2):  # The second one is refused without asking.
        with pytest.raises(Short) as short:
            await one.pledge()
        assert (short.value.final, short.value.soon) == (False, True)
        assert short.value.answer is not None
        assert short.value.answer.others >= LIMIT - 50
    with pytest.raises(Short) as short:
        await one.pledge(LIMIT + 1)
    assert short.value.final
    held.settle(0)
    await one.end()
    await other.end()


async def test_what_a_worker_that_is_gone_holds_is_waited_for_by_nobody_and_still_no_final_refusal(
    tmp_path: Path, store: Store, clock: SetClock
) -> None:
    lost = Exchange(tmp_path / "a", store, clock=clock)
    await lost.pledge(LIMIT - HOLD)
    lost.following.cancel()
    clock.passed += LASTS + 1
    one = Exchange(tmp_path / "b", store, patience=60, clock=clock)
    with pytest.raises(Short) as short:
        await asyncio.wait_for(one.pledge(HOLD + 1), 20)
    assert (short.value.final, short.value.soon) == (False, False)
    assert short.value.answer is not None
    assert short.value.answer.frozen >= LIMIT - HOLD
    await one.end()


async def test_a_store_that_fell_silent_is_no_reason_to_say_that_a_budget_is_used_up(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Exchange(tmp_path / "b", store)
    held = await other.pledge(LIMIT)
    one, silence = Exchange(tmp_path / "a", store, patience=3), threading.Event()
    ask, asked = store.ask, 0

    def slow(asks: Sequence[Ask]) -> tuple[Answer, ...]:
        nonlocal asked
        asked += any(one.need for one in asks)
        if asked > 1:
            silence.wait(60)
        return ask(asks)

    monkeypatch.setattr(store, "ask", slow)
    with pytest.raises(errors.Unavailable) as refused:
        await one.pledge()
    assert (refused.value.code, refused.value.retry_after, refused.value.final) == ("store_unavailable", 5, False)
    silence.set()
    held.settle(0)
    await one.end()
    await other.end()


async def test_calls_behind_one_that_waits_in_vain_have_what_is_there_for_them(tmp_path: Path, store: Store) -> None:
    other, one = Exchange(tmp_path / "b", store), Exchange(tmp_path / "a", store, patience=0.5)
    held = await other.pledge(LIMIT - 2 * HOLD)
    dear = asyncio.create_task(one.pledge(LIMIT // 2))
    cheap = [asyncio.create_task(one.pledge()) for _ in range(2)]
    with pytest.raises(Short):
        await dear
    for pledge in await asyncio.gather(*cheap):
        pledge.settle(0)
    held.settle(0)
    await one.end()
    await other.end()


async def test_a_refusal_in_one_period_binds_no_call_of_the_next(tmp_path: Path, store: Store, clock: SetClock) -> None:
    day = 1_000 * NANOS_PER_SECOND
    daily = Account("team", LIMIT, True, 1, lambda now: Period(now // day * day, (now // day + 1) * day))
    clock.passed = day - NANOS_PER_SECOND // 2
    one = Exchange(tmp_path, store, daily, patience=60, clock=clock)
    (await one.pledge(LIMIT)).settle(LIMIT)
    with pytest.raises(Short):
        await asyncio.wait_for(one.pledge(), 20)
    clock.passed += NANOS_PER_SECOND // 2
    (await asyncio.wait_for(one.pledge(), 20)).settle(0)
    await one.end()
