"""The conversations of one process: the store's work done beside the loop, bounded in time and number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from trunkline.clock import Clock
from trunkline.conversations.turns import TooMuch, Turn, TurnStore
from trunkline.errors import TooLarge, Unavailable

THREADS: Final = 2
MOST_WAITING: Final = 64
"""So many calls may wait for the store; the next is told at once that it cannot be had."""
WITHIN: Final = 5.0
"""Seconds that a call waits for the store."""
MOST_TURNS: Final = 1_000
MOST_BYTES: Final = 32 * 1024 * 1024
"""The longest conversation that goes on."""
SWEEP_EVERY: Final = 60.0
SWEPT_AT_ONCE: Final = 500

T = TypeVar("T")
log = logging.getLogger("trunkline.conversations")


class Conversations:
    """Keeps turns and finds them again.

    The store works in threads of its own, so that one that hangs holds up nothing else.
    """

    def __init__(self, store: TurnStore, clock: Clock) -> None:
        self._store = store
        self.clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="trunkline-conversations")
        self._waiting = 0

    async def keep(self, turn: Turn) -> bool:
        """Keep a turn; return whether it is kept now. One that is not is not kept later, either."""
        try:
            await self._do(lambda: self._store.keep_turn(turn), undo=lambda: self._store.forget_turn(turn.id))
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
            raise TooLarge(
                f"the conversation has become too long to go on from: more than {MOST_TURNS} turns, or "
                f"{MOST_BYTES // (1024 * 1024)} MB. Begin a new one, with what is still needed in `input`",
                code="conversation_too_long",
                param="previous_response_id",
            )
        return found

    async def forget(self, turn_id: str) -> bool:
        """Erase a turn; return whether it was there.

        Raises:
            Unavailable: the store is away.
        """
        return await self._do(lambda: self._store.forget_turn(turn_id))

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

    def _sweep(self) -> int:
        return self._store.sweep_turns(self.clock.now(), SWEPT_AT_ONCE)

    async def _do(self, work: Callable[[], T], undo: Callable[[], object] | None = None) -> T:
        if self._waiting >= MOST_WAITING:
            raise _away("too many calls wait for the store of conversations")
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._waiting += 1
        doing.add_done_callback(self._done)
        done, _ = await asyncio.wait({doing}, timeout=WITHIN)
        if not done:
            if undo is not None:
                # Not before it is done, or there would be nothing to undo yet.
                doing.add_done_callback(lambda _: self._threads.submit(_quietly, undo))
            raise _away(f"the store of conversations did not answer within {WITHIN:g} s")
        try:
            return doing.result()
        except Unavailable as fault:
            raise _away(fault.inside) from fault

    def _done(self, doing: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not doing.cancelled():
            doing.exception()  # Whether or not anybody still waits to hear of it.


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
