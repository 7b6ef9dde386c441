"""Units whose calls come in by different exchanges share the slots of a deployment fairly: a world in steps of 25 ms.

The workers are the product's own: their slots, and the turns of those that wait. The store keeps its rows in memory.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.metering.test_slots import SetClock
from tests.upstream.made import attempt, endpoint, permitted

from trunkline.clock import NANOS_PER_SECOND
from trunkline.messages import Usage
from trunkline.metering.counters import Counter, Page
from trunkline.metering.limits import CALLS, Rate
from trunkline.metering.portions import Holding, Queue
from trunkline.metering.slots import LASTS, SlotAnswer, SlotAsk, Slots, share
from trunkline.upstream.turns import Place, Turns

GPT = endpoint("gpt")
STEP = NANOS_PER_SECOND // 40
ASKS_EVERY = 10
"""Steps between two looks of a worker."""
NAME = "deployment:gpt/capacity/concurrency"


class Shelf:
    """The store, in memory."""

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock
        self._rows: dict[str, tuple[int, Holding]] = {}
        self._short_at = 0
        self.most = 0

    def hold_slots(self, asks: Sequence[SlotAsk]) -> tuple[SlotAnswer, ...]:
        answers = []
        for ask in asks:
            now = self._clock.now()
            others = [row for name, (ends, row) in self._rows.items() if name != ask.holder and ends > now]
            answer = share(ask, others, now, self._short_at)
            self._rows[ask.holder] = (now + LASTS, Holding(ask.holder, ask.used, ask.waiting, answer.amount))
            if answer.amount < ask.need:
                self._short_at = now
            self.most = max(self.most, sum(row.amount for _, row in self._rows.values()))
            answers.append(answer)
        return tuple(answers)


class Worker:
    """One worker of an exchange, with so many callers of each unit that call again as soon as they are answered."""

    def __init__(self, world: World, exchange: str, folder: Path, callers: dict[str, int]) -> None:
        self.world = world
        self.page = Page(folder)
        self.counter = Counter(self.page, Rate(NAME, 'deployment "gpt"', CALLS, world.limit, provided=True))
        self.slots = Slots(world.shelf, self.page, world.clock, lambda: (self.counter,), exchange)
        self.slots.waiting = lambda _: {unit: Queue(weight, calls) for unit, weight, calls in self.turns.queues()}
        self.slots.weigh = lambda unit: world.weights.get(unit, 1)
        self.slots.hear_spread = lambda _, spread: setattr(self.turns, "spread", spread)
        self.turns = Turns()
        self.units = callers.keys()
        self.under_way: list[tuple[int, Any, int]] = []
        self.patient: list[tuple[int, Place]] = []
        self.away: list[tuple[int, str]] = []
        for unit, count in callers.items():
            for _ in range(count):
                self.call(unit)

    def call(self, unit: str) -> None:
        now, weight = self.world.clock.ticks(), self.world.weights.get(unit, 1)
        granted = asyncio.get_running_loop().create_future()
        place = Place((unit, weight, 1), (GPT,), now, 1, granted)
        self.turns.join(place, now, again=False)
        if self.world.patience:
            self.patient.append((now + int(self.world.patience * NANOS_PER_SECOND), place))

    def step(self) -> None:
        """End what is over, and begin what there is room for."""
        now = self.world.clock.ticks()
        for ends, made, tokens in [one for one in self.under_way if one[0] <= now]:
            self.under_way.remove((ends, made, tokens))
            self.counter.give(1, 0)
            self.turns.settle(made, tokens)
            self.call(made.permitted.caller.unit)
        for ends, tired in [one for one in self.patient if one[0] <= now]:
            self.patient.remove((ends, tired))
            self.turns.leave(tired)
            self.away.append((now + int(self.world.pause * NANOS_PER_SECOND), tired.unit))
        for ends, unit in [one for one in self.away if one[0] <= now]:
            self.away.remove((ends, unit))
            self.call(unit)
        while self.counter.mine < self.slots.held(self.counter) and (place := self.turns.next()) is not None:
            self.turns.leave(place)
            self.patient = [one for one in self.patient if one[1] is not place]
            self.counter.take(1)
            made = msgspec.structs.replace(attempt(permitted((GPT,), unit=place.unit), GPT), bound=Usage(output=100))
            self.turns.begin(made, now)
            lasts = int(self.world.draw.uniform(0.2, 1.8) * self.world.lasts)
            self.under_way.append((now + lasts, made, 100))
            self.world.served[place.unit] += 1

    async def ask(self) -> None:
        """Do as the worker does four times a second, with those that wait at the store's door."""
        at_the_door: list[tuple[Place, asyncio.Task[None]]] = []
        while not self.slots.is_dry(self.counter) and (place := self.turns.next()) is not None:
            self.turns.leave(place)
            at_the_door.append((place, asyncio.create_task(self.slots.more(self.counter, place.unit))))
            await asyncio.sleep(0)
        await self.slots.ask()
        for place, waiting in reversed(at_the_door):
            waiting.cancel()
            self.turns.join(place, self.world.clock.ticks(), again=True)
        await asyncio.gather(*(waiting for _, waiting in at_the_door), return_exceptions=True)


class World:
    """Exchanges that share a deployment of so many slots, whose calls last so many seconds."""

    def __init__(self, limit: int, seconds: float, weights: dict[str, int], seed: int) -> None:
        self.limit = limit
        self.lasts = int(seconds * NANOS_PER_SECOND)
        self.weights = weights
        self.draw = random.Random(seed)  # noqa: S311 - the same world for the same seed
        self.clock = SetClock()
        self.shelf = Shelf(self.clock)
        self.served = Counts[str]()
        self.workers: list[Worker] = []
        self.busy = self.steps = 0
        self.patience = self.pause = 0.0

    async def run(self, seconds: float) -> None:
        """Live so long, counting from now on."""
        self.served.clear()
        self.busy = self.steps = 0
        for _ in range(int(seconds * NANOS_PER_SECOND) // STEP):
            self.clock.passed += STEP
            self.steps += 1
            for place, worker in enumerate(self.workers):
                worker.step()
                if (self.steps + 3 * place) % ASKS_EVERY == 0:
                    await worker.ask()
            under_way = sum(len(worker.under_way) for worker in self.workers)
            assert under_way <= self.limit
            self.busy += under_way
        assert self.shelf.most <= self.limit

    def jain(self) -> float:
        """Jain's index of what each unit was served for its weight."""
        units = {unit for worker in self.workers for unit in worker.units}
        shares = [self.served[unit] / self.weights.get(unit, 1) for unit in units]
        return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))

    @property
    def used(self) -> float:
        """The part of the slots that calls stood in."""
        return self.busy / (self.steps * self.limit)


@pytest.fixture
def pages() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


CASES: dict[str, tuple[int, dict[str, int], list[tuple[str, dict[str, int]]]]] = {
    "one unit by each exchange": (9, {}, [("x", {"a": 12}), ("y", {"b": 12}), ("z", {"c": 12})]),
    "one with ten times the callers": (9, {}, [("x", {"a": 100}), ("y", {"b": 10}), ("z", {"c": 10})]),
    "fewer slots than exchanges": (2, {}, [("x", {"a": 50}), ("y", {"b": 5}), ("z", {"c": 5})]),
    "weights": (8, {"a": 1, "b": 2, "c": 5}, [("x", {"a": 50}), ("y", {"b": 20}), ("z", {"c": 20})]),
    "one by all, one by one": (9, {}, [("x", {"a": 20}), ("y", {"a": 20, "b": 20}), ("z", {"a": 20})]),
    "two workers of one": (9, {}, [("x", {"a": 20}), ("x", {"a": 20}), ("y", {"b": 20}), ("z", {"c": 20})]),
}


@pytest.mark.parametrize("seconds", [0.4, 4.0])
@pytest.mark.parametrize("case", CASES)
async def test_units_that_wait_share_slots_by_their_weights_whichever_exchange_they_come_in_by(
    tmp_path: Path, pages: ExitStack, case: str, seconds: float
) -> None:
    limit, weights, exchanges = CASES[case]
    world = World(limit, seconds, weights, seed=1)
    for number, (exchange, callers) in enumerate(exchanges):
        world.workers.append(Worker(world, exchange, tmp_path / str(number), callers))
        pages.callback(world.workers[-1].page.close)
    await world.run(10)
    await world.run(60 * max(seconds, 1.0))
    print(f"{case}, {seconds} s: {dict(world.served)}, Jain {world.jain():.3f}, used {world.used:.2f}")  # noqa: T201
    assert world.jain() >= 0.97
    assert world.used >= 0.9


@pytest.mark.parametrize(("patience", "pause"), [(5.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
async def test_a_unit_whose_calls_all_come_in_by_one_exchange_has_its_share_though_calls_give_up_waiting(
    tmp_path: Path, pages: ExitStack, patience: float, pause: float
) -> None:
    world = World(6, 1.0, {}, seed=1)
    world.patience, world.pause = patience, pause
    for number, callers in enumerate(({"a": 6}, {"a": 6, "b": 18}, {"a": 6})):
        world.workers.append(Worker(world, "xyz"[number], tmp_path / str(number), callers))
        pages.callback(world.workers[-1].page.close)
    await world.run(20)
    await world.run(100)
    print(f"{patience} s, {pause} s: {dict(world.served)}, Jain {world.jain():.3f}, used {world.used:.2f}")  # noqa: T201
    assert world.jain() >= 0.97
