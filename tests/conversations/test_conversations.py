from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from tests.store.test_dialogue_table import DIALOGUE, ITEM
from tests.store.test_turn_table import FIRST

from trunkline.clock import SystemClock
from trunkline.conversations import conversations as module
from trunkline.conversations.conversations import BOUNDS, MOST_WAITING, SWEPT_AT_ONCE, Conversations
from trunkline.conversations.dialogues import Appended, Bounds, Dialogue, Item
from trunkline.conversations.turns import Belonging, Held, TooMuch, Turn
from trunkline.errors import Malformed, TooLarge, Unavailable

OF_A_KIND = msgspec.structs.replace(FIRST, id="resp_2")


class Shelf:
    """A store in memory that can be held up, or away."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.flows = threading.Event()
        self.flows.set()
        self.changed = threading.Event()
        self.away = False
        self.sweeps: list[int] = []
        self.dialogue_sweeps: list[int] = []
        self.items: set[str] = set()
        self.appends: Appended | TooMuch = Appended.WELL
        self.forgotten = threading.Event()

    def _pass(self) -> None:
        self.flows.wait(20)
        if self.away:
            raise Unavailable("away")

    def keep_turn(self, turn: Turn, item_ids: Sequence[str] = ()) -> None:
        self._pass()
        self.turns[turn.id] = turn

    def turns_up_to(self, turn_id: str, now: int, most_turns: int, most_bytes: int) -> tuple[Turn, ...] | TooMuch:
        self._pass()
        return (self.turns[turn_id],) if turn_id in self.turns else TooMuch(most_turns + 1, most_bytes)

    def forget_turn(self, turn_id: str) -> bool:
        self._pass()
        gone = self.turns.pop(turn_id, None) is not None
        self.changed.set()
        return gone

    def sweep_turns(self, now: int, most: int) -> int:
        self._pass()
        self.changed.set()
        return self.sweeps.pop() if self.sweeps else 0

    def count_turns(self, unit: str, use_case: str, most: int) -> int:
        self._pass()
        return min(len(self.turns), most)

    def count_dialogues(self, unit: str, use_case: str, most: int) -> int:
        self._pass()
        return 0

    def lose_errands(self, now: int) -> int:
        self._pass()
        return 0

    def append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        self._pass()
        if self.appends is Appended.WELL:
            self.items |= {one.id for one in items}
        return self.appends

    def forget_item(self, dialogue: Dialogue, item_id: str) -> bool:
        self._pass()
        self.items.discard(item_id)
        self.forgotten.set()
        return True

    def sweep_dialogues(self, now: int, most: int) -> int:
        self._pass()
        return self.dialogue_sweeps.pop() if self.dialogue_sweeps else 0

    def erase_turns(self, whose: Belonging, before: int | None = None) -> int:
        raise NotImplementedError

    def held_turns(self, whose: Belonging) -> Sequence[Held]:
        raise NotImplementedError


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conversations]:
    monkeypatch.setattr(module, "WITHIN", 0.05)
    dialogues: Any = shelf
    made = Conversations(shelf, dialogues, dialogues, SystemClock())
    yield made
    shelf.flows.set()
    made.close()


async def test_a_turn_is_kept_and_found(kept: Conversations) -> None:
    assert await kept.keep(FIRST)
    assert await kept.find(FIRST.id) == (FIRST,)
    assert await kept.forget(FIRST.id)
    assert not await kept.forget(FIRST.id)


async def test_what_was_told_not_to_be_kept_is_erased_if_the_store_took_it_late(
    kept: Conversations, shelf: Shelf
) -> None:
    shelf.flows.clear()
    assert not await kept.keep(FIRST)
    shelf.flows.set()
    await asyncio.to_thread(shelf.changed.wait, 10)
    assert shelf.changed.is_set()
    assert shelf.turns == {}


async def test_what_a_caller_that_left_was_not_told_of_is_erased_again(kept: Conversations, shelf: Shelf) -> None:
    shelf.flows.clear()
    keeping = asyncio.create_task(kept.keep(FIRST))
    await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    shelf.flows.set()
    await asyncio.to_thread(shelf.changed.wait, 10)
    assert shelf.changed.is_set()
    assert shelf.turns == {}


async def test_a_store_that_is_away_is_told_so_and_what_is_new_is_not_kept(kept: Conversations, shelf: Shelf) -> None:
    shelf.away = True
    assert not await kept.keep(FIRST)
    for needs in (kept.find(FIRST.id), kept.forget(FIRST.id)):
        with pytest.raises(Unavailable) as caught:
            await needs
        assert (caught.value.code, caught.value.retry_after) == ("store_unavailable", 5)


async def test_items_that_were_told_not_to_be_kept_are_taken_out_if_the_store_took_them_late(
    kept: Conversations, shelf: Shelf
) -> None:
    shelf.flows.clear()
    assert await kept.keep_in(DIALOGUE, [ITEM], FIRST) is None
    shelf.flows.set()
    await asyncio.to_thread(shelf.forgotten.wait, 10)
    assert shelf.forgotten.is_set()
    assert shelf.items == set()


async def test_an_item_that_was_there_before_stays_where_another_of_its_id_came_too_late(
    kept: Conversations, shelf: Shelf
) -> None:
    shelf.items, shelf.appends = {ITEM.id}, Appended.TWICE
    shelf.flows.clear()
    assert await kept.keep_in(DIALOGUE, [ITEM], FIRST) is None
    shelf.flows.set()
    await asyncio.to_thread(shelf.changed.wait, 10)  # The turn is taken out in any case.
    assert shelf.changed.is_set()
    with pytest.raises(Malformed, match="without `id`"):
        await kept.add_items(DIALOGUE, [ITEM])
    assert shelf.items == {ITEM.id}


async def test_a_dialogue_that_would_become_too_long_is_refused(kept: Conversations, shelf: Shelf) -> None:
    shelf.appends = TooMuch(9, 9)
    with pytest.raises(TooLarge):
        await kept.add_items(DIALOGUE, [ITEM])
    with pytest.raises(TooLarge):
        await kept.begin(DIALOGUE, [ITEM] * (BOUNDS.items + 1), 10)


async def test_few_wait_for_a_store_that_hangs_and_the_others_are_told_at_once(
    kept: Conversations, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.flows.clear()
    monkeypatch.setattr(module, "WITHIN", 20)
    waiting = [asyncio.create_task(kept.keep(FIRST)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert not await kept.keep(OF_A_KIND)
    with pytest.raises(Unavailable, match="does not answer"):
        await kept.find(FIRST.id)
    shelf.flows.set()
    assert all(await asyncio.gather(*waiting))
    assert await kept.keep(OF_A_KIND)


async def test_a_conversation_that_is_too_long_is_refused(kept: Conversations) -> None:
    with pytest.raises(TooLarge) as caught:
        await kept.find("resp_9")
    assert caught.value.code == "conversation_too_long"


async def test_sweeping_goes_on_until_nothing_is_left_and_over_a_store_that_is_away(
    kept: Conversations, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_EVERY", 0.001)
    shelf.sweeps = [3, SWEPT_AT_ONCE, SWEPT_AT_ONCE]
    shelf.dialogue_sweeps = [2, 1, SWEPT_AT_ONCE, 0, 0]
    shelf.away = True
    following = asyncio.create_task(kept.follow())
    assert await kept.keep(FIRST) is False
    shelf.away = False
    while shelf.sweeps or shelf.dialogue_sweeps:
        shelf.changed.clear()
        await asyncio.to_thread(shelf.changed.wait, 10)
        assert shelf.changed.is_set()
    following.cancel()
