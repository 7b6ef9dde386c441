"""Errands beside a store that is away for a while, and callers that leave early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.store.test_errand_table import RUNNING

from trunkline.clock import SystemClock
from trunkline.conversations.errands import Events
from trunkline.errors import Unavailable
from trunkline.gateway import errands
from trunkline.gateway.errand import Errand
from trunkline.gateway.errands import Errands
from trunkline.ids import RequestId


class Kept:
    """Conversations whose store may be away."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.away = False
        self.events: list[Events] = []
        self.forgotten: list[str] = []

    async def on_errands(self, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def renew_errands(self, _worker: str, ids: list[str], _until: int) -> frozenset[str]:
        return frozenset(ids)

    def add_events(self, _turn: object, events: Events) -> None:
        if self.away:
            raise Unavailable("away")
        self.events.append(events)

    async def forget(self, turn_id: str) -> None:
        self.forgotten.append(turn_id)


async def test_events_that_the_store_did_not_take_are_told_again() -> None:
    kept: Any = Kept()
    work = Errands(SimpleNamespace(), kept)  # type: ignore[arg-type]
    errand = Errand(SimpleNamespace(), RequestId("req_1"), SimpleNamespace())  # type: ignore[arg-type]
    errand.turn, errand.events = RUNNING, [b"a"]
    work._tasks[asyncio.ensure_future(asyncio.sleep(0))] = errand
    kept.away = True
    with pytest.raises(Unavailable):
        await work._look()
    errand.events.append(b"b")
    kept.away = False
    await work._look()
    await work._look()
    assert kept.events == [Events(0, 1, b"ab")]


async def test_an_errand_whose_caller_leaves_before_it_is_told_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: Any = Kept()
    begun = asyncio.Event()

    async def answer(_exchange: object, _door: object, _id: object, _request: object, errand: Errand) -> None:
        errand.turn = RUNNING
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(errands, "answer", answer)
    work = Errands(SimpleNamespace(), kept)  # type: ignore[arg-type]
    nothing: Any = SimpleNamespace()
    caller = asyncio.create_task(work.send_off(nothing, RequestId("req_1"), nothing, nothing))
    await begun.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await asyncio.gather(*work._tasks)
    assert kept.forgotten == [RUNNING.id]
    assert not work._tasks
