"""The conversations of one process: the store's work done beside the loop, bounded in time and number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from trunkline.clock import Clock
from trunkline.conversations.dialogues import (
    Appended,
    Bounds,
    Dialogue,
    DialogueStore,
    Found,
    Item,
    Span,
    Transcript,
)
from trunkline.conversations.errands import ErrandStore
from trunkline.conversations.room import Room
from trunkline.conversations.turns import TooMuch, Turn, TurnStore
from trunkline.errors import Malformed, RateLimited, TooLarge, Unavailable

THREADS: Final = 2
MOST_WAITING: Final = 64
"""So many calls may wait for the store; the next is told at once that it cannot be had."""
WITHIN: Final = 5.0
"""Seconds that a call waits for the store."""
MOST_TURNS: Final = 1_000
MOST_BYTES: Final = 32 * 1024 * 1024
"""The longest conversation that goes on."""
MOST_ITEMS: Final = 5_000
BOUNDS: Final = Bounds(MOST_ITEMS, MOST_BYTES)
"""The most that a dialogue may have."""
SWEEP_EVERY: Final = 60.0
SWEPT_AT_ONCE: Final = 500

T = TypeVar("T")
log = logging.getLogger("trunkline.conversations")


class Conversations:
    """Keeps turns and finds them again.

    The store works in threads of its own, so that one that hangs holds up nothing else.
    """

    def __init__(self, store: TurnStore, dialogues: DialogueStore, errands: ErrandStore, clock: Clock) -> None:
        self._store = store
        self._dialogues = dialogues
        self._errands = errands
        self.clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="trunkline-conversations")
        self._waiting = 0
        self._for_turns, self._for_dialogues = Room(self._count_turns), Room(self._count_dialogues)

    async def has_room(self, unit: str, use_case: str, most: int) -> bool:
        """Return whether one more turn may be kept; where the store is away, keeping it will tell."""
        try:
            return await self._for_turns.take(unit, use_case, most)
        except Unavailable:
            return True

    async def keep(self, turn: Turn, item_ids: Sequence[str] = ()) -> bool:
        """Keep a turn; return whether it is kept now. One that is not is not kept later, either."""
        try:
            await self._do(lambda: self._store.keep_turn(turn, item_ids), lambda: self._store.forget_turn(turn.id))
        except Unavailable as fault:
            log.warning("an answer is not kept: %s", fault.inside)
            return False
        return True

    async def find(self, turn_id: str) -> tuple[Turn, ...]:
        """Return a turn with all before it, oldest first; nothing where there is none.

        Raises:
            Unavailable: the store is away.
            TooLarge: it goes back too far.
        """
        now = self.clock.now()
        found = await self._do(lambda: self._store.turns_up_to(turn_id, now, MOST_TURNS, MOST_BYTES))
        if isinstance(found, TooMuch):
            raise _too_long("previous_response_id")
        return found

    async def forget(self, turn_id: str) -> bool:
        """Erase a turn; return whether it was there.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._store.forget_turn(turn_id))

    async def keep_in(self, dialogue: Dialogue, items: Sequence[Item], turn: Turn) -> Appended | None:
        """Keep a turn with its items at the end of a dialogue, or nothing of it; None where the store is away."""
        try:
            appended = await self._append(dialogue, items, turn, None)
        except Unavailable as fault:
            log.warning("an answer is not kept in its conversation: %s", fault.inside)
            return None
        return appended if isinstance(appended, Appended) else None

    async def begin(self, dialogue: Dialogue, items: Sequence[Item], most: int) -> None:
        """Keep a new dialogue.

        Raises:
            Unavailable: the store is away.
            TooLarge: it begins with more than one may have.
            RateLimited: its unit has as many as it may have.
        """
        if not await self._for_dialogues.take(dialogue.unit, dialogue.use_case, most):
            raise full("conversations", most)
        size = sum(len(one.content) for one in items)
        if len(items) > BOUNDS.items or size > BOUNDS.bytes:
            raise _too_long("items")
        store = self._dialogues
        await self._do(lambda: store.add_dialogue(dialogue, items), lambda: store.forget_dialogue(dialogue.id))

    async def find_dialogue(self, dialogue_id: str) -> Dialogue | None:
        """Return a dialogue without its items.

        Raises:
            Unavailable: the store is away.
        """
        now = self.clock.now()
        return await self._do(lambda: self._dialogues.find_dialogue(dialogue_id, now))

    async def read_dialogue(self, dialogue_id: str) -> Transcript | None:
        """Return a dialogue with all its items, oldest first.

        Raises:
            Unavailable: the store is away.
            TooLarge: it has too many.
        """
        now = self.clock.now()
        found = await self._do(lambda: self._dialogues.read_dialogue(dialogue_id, now, BOUNDS))
        if isinstance(found, TooMuch):
            raise _too_long("conversation")
        return found

    async def page_items(self, dialogue: Dialogue, span: Span) -> tuple[Item, ...] | None:
        """Return some items of a dialogue; None where there is none that they should come after.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._dialogues.page_items(dialogue, span))

    async def find_item(self, dialogue: Dialogue, item_id: str) -> Item | None:
        """Return one item of a dialogue.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._dialogues.find_item(dialogue, item_id))

    async def find_items(self, unit: str, use_case: str, ids: Sequence[str]) -> Mapping[str, Found]:
        """Return what is kept under these ids in dialogues and turns of a unit and use case.

        Raises:
            Unavailable: the store is away.
        """
        now = self.clock.now()
        return await self._do(lambda: self._dialogues.find_items(unit, use_case, ids, now))

    async def add_items(self, dialogue: Dialogue, items: Sequence[Item]) -> bool:
        """Put items at the end of a dialogue; return whether it is still there, and no other use case's.

        Raises:
            Unavailable: the store is away.
            TooLarge: it would have too many.
            Malformed: it has one of the same id.
        """
        appended = await self._append(dialogue, items, None, BOUNDS)
        if isinstance(appended, TooMuch):
            raise _too_long("items")
        if appended is Appended.TWICE:
            raise Malformed(
                "`items`: the conversation has an item of the same id already. Send it without `id`.",
                code="invalid_value",
                param="items",
            )
        return appended is Appended.WELL

    async def _append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        store, said = self._dialogues, list[Appended | TooMuch]()

        def work() -> Appended | TooMuch:
            said.append(store.append(dialogue, items, turn, bounds))
            return said[0]

        def undo() -> None:
            if turn is not None:
                self._store.forget_turn(turn.id)
            for one in items if said == [Appended.WELL] else ():
                store.forget_item(dialogue, one.id)

        return await self._do(work, undo)

    async def change_dialogue(self, dialogue: Dialogue) -> bool:
        """Write a dialogue's metadata anew; return whether it is still there, and no other use case's.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._dialogues.change_dialogue(dialogue))

    async def forget_dialogue(self, dialogue_id: str) -> bool:
        """Erase a dialogue with its items; return whether it was there.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._dialogues.forget_dialogue(dialogue_id))

    async def forget_item(self, dialogue: Dialogue, item_id: str) -> bool:
        """Erase an item of a dialogue; return whether it was there.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._dialogues.forget_item(dialogue, item_id))

    async def on_errands(self, work: Callable[[ErrandStore], T]) -> T:
        """Do something with the errands that are kept.

        Raises:
            Unavailable: the store is away. What was begun may be done all the same.
        """
        return await self._do(lambda: work(self._errands))

    async def follow(self) -> None:
        """Erase what has expired, now and then, for ever."""
        while True:
            try:
                while await self._do(self._sweep) == SWEPT_AT_ONCE:
                    pass
            except Unavailable as fault:
                log.info("what has expired of conversations is not erased yet: %s", fault.inside)
            await asyncio.sleep(SWEEP_EVERY)

    def close(self) -> None:
        """End the threads, once what they are at is done."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _count_turns(self, unit: str, use_case: str, most: int) -> int:
        return await self._do(lambda: self._store.count_turns(unit, use_case, most))

    async def _count_dialogues(self, unit: str, use_case: str, most: int) -> int:
        return await self._do(lambda: self._dialogues.count_dialogues(unit, use_case, most))

    def _sweep(self) -> int:
        now = self.clock.now()
        self._errands.lose_errands(now)
        return max(self._store.sweep_turns(now, SWEPT_AT_ONCE), self._dialogues.sweep_dialogues(now, SWEPT_AT_ONCE))

    async def _do(self, work: Callable[[], T], undo: Callable[[], object] | None = None) -> T:
        if self._waiting >= MOST_WAITING:
            raise _away("too many calls wait for the store of conversations")
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._waiting += 1
        doing.add_done_callback(self._done)
        done: set[asyncio.Future[T]] = set()
        try:
            done, _ = await asyncio.wait({doing}, timeout=WITHIN)
        finally:
            # Nobody heard that it was done: the store was too slow, or the caller left. Not before it is done, or there
            # would be nothing to undo yet.
            if not done and undo is not None:
                doing.add_done_callback(lambda _: self._threads.submit(_quietly, undo))
        if not done:
            raise _away(f"the store of conversations did not answer within {WITHIN:g} s")
        try:
            return doing.result()
        except Unavailable as fault:
            raise _away(fault.inside) from fault

    def _done(self, doing: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not doing.cancelled():
            doing.exception()  # Whether or not anybody still waits to hear of it.


def full(what: str, most: int) -> RateLimited:
    """Return the refusal of what there is no more room for."""
    return RateLimited(
        f"Your unit has {most} {what} of this use case kept, the most that it may have. Delete some, wait until some "
        "expire, send `store: false`, or ask the owner of the use case for a larger `keeps: {most}`.",
        code="too_many_kept",
        final=True,
    )


def _too_long(param: str) -> TooLarge:
    return TooLarge(
        f"the conversation has become too long: more than {MOST_TURNS} turns, {MOST_ITEMS} items or "
        f"{MOST_BYTES // (1024 * 1024)} MB. Begin a new one, with what is still needed of it",
        code="conversation_too_long",
        param=param,
    )


def _away(inside: str) -> Unavailable:
    return Unavailable(
        "Conversations cannot be read or kept at the moment, because their store does not answer. Try again in a few "
        "seconds, or send the whole conversation as items of `input`.",
        code="store_unavailable",
        inside=inside,
        retry_after=5,
    )


def _quietly(undo: Callable[[], object]) -> None:
    try:
        undo()
    except Unavailable as fault:
        log.warning("an answer may be kept until it expires, though its caller was told otherwise: %s", fault.inside)
