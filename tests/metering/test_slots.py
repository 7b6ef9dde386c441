"""Calls at once, kept by several exchanges together: never more slots than the limit, and none lost for long."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from tests.metering.test_turnstile import attempt, limits, rate, settled

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import Unavailable
from trunkline.metering.counters import Page
from trunkline.metering.limits import CALLS
from trunkline.metering.portions import Queue
from trunkline.metering.refusals import Full
from trunkline.metering.slots import DRY_FOR, LASTS, MARGIN, SlotAnswer, SlotAsk, grant
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.store import slot_table
from trunkline.store.open import Store, open_store

LIMIT = 8
AT_ONCE = rate(CALLS, LIMIT, "")


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
    monkeypatch.setattr(slot_table, "now_of", lambda _: made.now())
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = tmp_path / "trunkline.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(place) as opened:
        yield opened


class Exchange:
    """One exchange with one worker."""

    def __init__(self, folder: Path, store: Store, clock: SetClock) -> None:
        self.page = Page(folder)
        self.turnstile = Turnstile(self.page, limits(AT_ONCE), clock, store)
        assert self.turnstile.slots is not None
        self.slots = self.turnstile.slots
        self.following = asyncio.create_task(self.slots.follow())
        self.under_way: list[Visit] = []

    async def begin(self) -> bool:
        visit = Visit(self.turnstile)
        try:
            await visit.admit(attempt())
        except Full:
            return False
        self.under_way.append(visit)
        return True

    def finish(self) -> None:
        visit = self.under_way.pop()
        visit.hold = settled(0)
        visit.__exit__(None, None, None)

    async def die(self) -> None:
        """End as by `kill -9`: nothing is given back."""
        self.following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.following


@pytest.fixture
async def three(tmp_path: Path, store: Store, clock: SetClock) -> AsyncIterator[list[Exchange]]:
    made = [Exchange(tmp_path / str(number), store, clock) for number in range(3)]
    yield made
    for one in made:
        await one.die()
        one.page.close()


def under_way(several: Sequence[Exchange]) -> int:
    return sum(len(one.under_way) for one in several)


async def test_together_they_begin_as_many_calls_as_the_limit_and_no_more(three: list[Exchange]) -> None:
    begun = await asyncio.gather(*(one.begin() for one in three for _ in range(LIMIT)))
    assert sum(begun) == under_way(three) == LIMIT


async def test_what_one_has_in_hand_comes_to_another_that_goes_without(three: list[Exchange], clock: SetClock) -> None:
    first, second, _ = three
    assert all([await first.begin() for _ in range(LIMIT)])
    assert not await second.begin()
    for _ in range(LIMIT):
        first.finish()
    await first.slots.ask()
    clock.passed += DRY_FOR
    assert all([await second.begin() for _ in range(LIMIT)])
    assert not await first.begin()


async def test_slots_of_a_worker_that_is_gone_come_back_when_they_lapse(three: list[Exchange], clock: SetClock) -> None:
    first, second, _ = three
    assert all([await first.begin() for _ in range(LIMIT)])
    await first.die()
    assert not await second.begin()
    clock.passed += LASTS + 1
    assert all([await second.begin() for _ in range(LIMIT)])


async def test_with_the_store_away_calls_begin_in_what_is_in_hand_until_it_lapses(
    three: list[Exchange], store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = three[0]
    assert await first.begin()

    def away(_: Sequence[SlotAsk]) -> tuple[SlotAnswer, ...]:
        raise Unavailable("away")

    monkeypatch.setattr(store, "hold_slots", away)
    first.finish()
    assert await first.begin()
    first.finish()
    clock.passed += LASTS - MARGIN
    with pytest.raises(Unavailable) as refused:
        await first.begin()
    assert refused.value.code == "store_unavailable"
    monkeypatch.undo()
    monkeypatch.setattr(slot_table, "now_of", lambda _: clock.now())
    assert await first.begin()


async def test_a_call_that_lasts_keeps_its_slot_and_a_worker_that_ends_gives_its_own_back(
    three: list[Exchange], clock: SetClock
) -> None:
    first, second, _ = three
    assert all([await first.begin() for _ in range(LIMIT)])
    for _ in range(20):
        clock.passed += LASTS // 3
        await first.slots.ask()
        assert not await second.begin()
        clock.passed += NANOS_PER_SECOND  # So that it asks again.
    for _ in range(LIMIT):
        first.finish()
    await first.die()
    await first.slots.stop()
    assert all([await second.begin() for _ in range(LIMIT)])


def test_a_message_that_was_overtaken_changes_nothing(store: Store) -> None:
    ask = SlotAsk("limit", "worker", version=2, limit=LIMIT, amount=2, used=1, need=1)
    store.hold_slots([ask])
    late = SlotAsk("limit", "worker", version=1, limit=LIMIT, amount=LIMIT, used=0, need=0)
    store.hold_slots([late])
    other = SlotAsk("limit", "other", version=1, limit=LIMIT, amount=LIMIT, used=0, need=1)
    assert [one.amount for one in store.hold_slots([other])] == [LIMIT - 2]


def test_where_calls_wait_at_several_exchanges_a_worker_is_given_its_portion_and_told_it(store: Store) -> None:
    many, few = {"hr": Queue(1, 90)}, {"it": Queue(3, 9)}

    def ask(holder: str, version: int, used: int, waiting: dict[str, Queue], need: int = 0) -> tuple[int, int | None]:
        (answer,) = store.hold_slots([SlotAsk("limit", holder, version, LIMIT, LIMIT, used, need, waiting)])
        return answer.amount, answer.portion

    assert ask("x/1", 1, 0, {}) == (LIMIT, None)
    assert ask("x/1", 2, LIMIT, many) == (LIMIT, LIMIT)
    assert ask("y/1", 1, 0, few, need=1) == (0, 6)
    assert ask("x/1", 3, LIMIT - 3, many) == (LIMIT - 3, 2)  # Three calls have ended, and it begins no others.
    assert ask("y/1", 2, 0, few, need=1) == (3, 6)
    assert ask("x/1", 4, 2, many) == (2, 2)
    assert ask("y/1", 3, 3, few, need=4) == (6, 6)
    assert ask("x/1", 5, 2, {}) == (2, 2)


@pytest.mark.parametrize("seed", range(20))
def test_whoever_asks_dies_and_comes_back_the_slots_held_are_never_more_than_the_limit(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same for the same seed
    held: dict[int, int] = {}
    used: dict[int, int] = {}
    for worker in (chance.randrange(5) for _ in range(500)):
        mine = held.get(worker, 0)
        used[worker] = chance.randint(0, mine)
        if chance.random() < 0.1:
            held.pop(worker, None)
            continue
        others = sum(amount for one, amount in held.items() if one != worker)
        amount = chance.randint(used[worker], LIMIT)
        held[worker] = grant(SlotAsk("limit", str(worker), 1, LIMIT, amount, used[worker], 0), others)
        assert sum(held.values()) <= LIMIT
        assert held[worker] >= used[worker]
