"""The errands of one process: calls that go on without their callers."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.errands import Ending, ErrandStore, Events
from trunkline.conversations.turns import Progress, Turn
from trunkline.dialects.dialect import Door
from trunkline.errors import JournalFailed, Refusal, Unavailable, UpstreamFailed
from trunkline.gateway.errand import ALIVE, Errand, put_away
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.following import follow
from trunkline.gateway.headers import own_headers
from trunkline.gateway.path import answer
from trunkline.gateway.refuse import unrecorded
from trunkline.ids import RequestId, mint_journal_id
from trunkline.wire.server import Reply, Request

MOST: Final = 1_000
"""Errands under way in one process."""
LOOK_EVERY: Final = 2.0
"""Seconds after which a process says again that it is at its errands, saves their streams, and sees which are its."""

log = logging.getLogger("trunkline.gateway")


class Errands:
    """Works on them, each as a task of its own, and stops those that are nobody's any more."""

    def __init__(self, exchange: Exchange, conversations: Conversations) -> None:
        self._exchange = exchange
        self._conversations = conversations
        self._tasks: dict[asyncio.Task[None], Errand] = {}
        self._some = asyncio.Event()
        self._closing = False
        self.worker: str = mint_journal_id()

    async def send_off(self, door: Door, request_id: RequestId, request: Request, reply: Reply) -> None:
        """Begin a call that goes on without its caller, and tell that one so.

        Raises:
            Refusal: it is refused before anything was sent.
        """
        if self._closing or len(self._tasks) >= MOST:
            raise Unavailable(
                f"The exchange works on {MOST} answers in the background at once and takes no more at the moment.",
                code="overloaded",
                retry_after=5,
            )
        errand = Errand(door, request_id, request)
        task = asyncio.create_task(self._run(errand))
        self._tasks[task] = errand
        self._some.set()
        task.add_done_callback(self._over)
        try:
            await errand.told
        except asyncio.CancelledError:
            if not errand.told.done() or errand.told.cancelled():
                task.cancel()
            raise
        if errand.turn is None or errand.kept is None:
            raise Unavailable("Nobody keeps answers here.", code="store_unavailable")
        reply.also(errand.head)
        if errand.turn.streams:
            await follow(self._exchange, (errand.kept, errand.turn.id, -1), request_id, reply)
        else:
            reply.send(200, own_headers(request_id), errand.turn.answer)

    def find(self, turn_id: str) -> Errand | None:
        """Return one that this process works on."""
        return next((one for one in self._tasks.values() if one.turn is not None and one.turn.id == turn_id), None)

    def drop(self, turn_id: str) -> None:
        """Stop one that is no more this process's, if it works on it."""
        for task, errand in self._tasks.items():
            if errand.turn is not None and errand.turn.id == turn_id and not errand.ended:
                task.cancel()

    async def follow(self) -> None:
        """Say that this process is at its errands, save their streams, and stop what is not its own, for ever."""
        while True:
            if not self._tasks:
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
            except Unavailable as fault:
                log.info("errands are not renewed yet: %s", fault.inside)

    async def _look(self) -> None:
        begun = [(one, one.turn) for one in self._tasks.values() if one.turn is not None]
        if not begun:
            return
        ids, until = [turn.id for _, turn in begun], self._conversations.clock.now() + ALIVE
        own = await self._conversations.on_errands(lambda store: store.renew_errands(self.worker, ids, until))
        for errand, turn in begun:
            if errand.ended:
                continue
            if turn.id not in own:
                self.drop(turn.id)
            elif (events := errand.unsaved()) is not None:
                await self._conversations.on_errands(partial(_add, turn, events))
                errand.saved = events.last + 1  # Only now: what the store did not take is told again.

    async def finish(self, grace: float) -> None:
        """Let those under way end within so many seconds; tell the others as failed."""
        self._closing = True
        if self._tasks and grace:
            await asyncio.wait(set(self._tasks), timeout=grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).close()

    async def _run(self, errand: Errand) -> None:
        refusal: Refusal | None = None
        try:
            await answer(self._exchange, errand.door, errand.request_id, errand.request, errand)
        except Refusal as refused:
            refusal = refused
        except JournalFailed as error:
            refusal = unrecorded(error)
        except asyncio.CancelledError:
            if errand.told.cancelled():  # Its caller left before it was told: nobody knows of it.
                await self._refuse(errand, None)
                return
            if not self._closing and errand.told.done():
                return  # It is nobody's any more, or has another end already.
            refusal = UpstreamFailed(
                "The exchange was stopped while it worked on this answer. What it cost is in the ledger.",
                code="exchange_stopped",
            )
        except Exception:  # the border: nobody waits for an errand, and none may end without a word
            log.exception("an errand failed", extra={"request_id": errand.request_id})
            errand.ended = False
            refusal = UpstreamFailed(
                "Something went wrong in the exchange. The operator has been told.", code="internal_error"
            )
        if errand.told.done() and not errand.told.cancelled() and errand.told.exception() is None:
            await self._conclude(errand, refusal)
        else:
            await self._refuse(errand, refusal)

    async def _refuse(self, errand: Errand, refusal: Refusal | None) -> None:
        """Have a call refused that nothing was sent of."""
        if errand.turn is not None:
            try:
                await self._conversations.forget(errand.turn.id)
            except Unavailable as fault:
                log.info("an errand that was refused may be told as lost: %s", fault.inside)
        if not errand.told.done():
            errand.told.set_exception(refusal or UpstreamFailed("Nothing was answered."))

    async def _conclude(self, errand: Errand, refusal: Refusal | None) -> None:
        """Tell one as failed that has no whole answer."""
        turn, kept = errand.turn, errand.kept
        if errand.ended or turn is None or kept is None:
            return
        refusal = refusal or errand.failure or UpstreamFailed("The answer broke off.", code="upstream_broke")
        self._exchange.metrics.refused(refusal.code, refusal.status)
        said = {"code": refusal.code, "status": refusal.status, "inside": refusal.inside}
        log.info("an errand failed", extra={"request_id": errand.request_id, **said})
        failed = msgspec.structs.replace(turn, status=Progress.FAILED, answer=kept.late.failed(turn.answer, refusal))
        last = kept.late.ending(failed.answer) if turn.streams else b""
        errand.ended = True
        await put_away(self._conversations, Ending(failed, events=errand.unsaved(last)))


def _add(turn: Turn, events: Events, store: ErrandStore) -> None:
    store.add_events(turn, events)
