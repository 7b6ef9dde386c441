"""What callers ask of answers that are kept: to be told them or what was asked before, to end or to erase them."""

from __future__ import annotations

from typing import Final

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.recall import find_kept, past
from trunkline.conversations.turns import Progress, Turn
from trunkline.dialects.keeping import KeptAnswers
from trunkline.errors import Malformed, Unknown
from trunkline.estate.snapshot import Snapshot
from trunkline.gateway.admit import count
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.following import follow, look, told
from trunkline.gateway.headers import own_headers
from trunkline.gateway.identify import identify
from trunkline.ids import RequestId
from trunkline.tenancy.callers import Caller
from trunkline.wire.server import Reply, Request

ITEMS: Final = "input_items"
CANCEL: Final = "cancel"
READ: Final = ("GET", "HEAD")


def methods_behind(rest: str) -> tuple[str, ...]:
    """Return what a kept answer's path takes, by what stands in it behind the answer's id."""
    return {ITEMS: READ, CANCEL: ("POST",)}.get(rest, (*READ, "DELETE"))


class KeptDesk:
    """Answers one request for a kept answer."""

    __slots__ = ("_exchange", "_id", "_kept", "_request", "_rest", "_store")

    def __init__(self, exchange: Exchange, kept: KeptAnswers, named: str, request: Request) -> None:
        self._exchange = exchange
        self._kept = kept
        self._id, _, self._rest = named.partition("/")
        self._request = request
        if exchange.conversations is None or (named != self._id and self._rest not in (ITEMS, CANCEL)):
            raise Unknown(
                f"There is no path {request.path[:200]} here. See {kept.path}/ID, {kept.path}/ID/{ITEMS} and "
                f"{kept.path}/ID/{CANCEL}.",
                code="path_not_found",
            )
        self._store: Conversations = exchange.conversations

    @property
    def methods(self) -> tuple[str, ...]:
        """What the path takes."""
        return methods_behind(self._rest)

    async def answer(self, request_id: RequestId, reply: Reply) -> None:
        """Answer it.

        Raises:
            Refusal: there is no such answer for this caller, or it cannot be told so.
        """
        caller = await identify(self._exchange, self._request)
        await count(self._exchange, caller)
        after = None
        if self._rest == CANCEL:
            body = await self._cancel(caller)
        elif self._rest == ITEMS:
            turns = await self._find(caller, self._exchange.snapshot)
            body = self._kept.write_items([past(turn) for turn in turns], self._request.query)
        elif self._request.method == "DELETE":
            # Whoever may not read any more may still erase.
            await self._find(caller, None)
            await self._store.forget(self._id)
            self._drop()
            body = self._kept.write_deleted(self._id)
        else:
            turn = (await self._find(caller, self._exchange.snapshot))[-1]
            after = self._kept.late.following(self._request.query)
            if after is not None and not turn.streams:
                raise Malformed(
                    "`stream`: only an answer that was asked for with `background` and `stream` is streamed again. Ask "
                    "for it without.",
                    code="not_supported",
                    param="stream",
                )
            body = await self._tell(turn)
        if after is None:
            reply.send(200, own_headers(request_id), body)
        else:
            await follow(self._exchange, (self._kept, self._id, after), request_id, reply)

    async def _find(self, caller: Caller, snapshot: Snapshot | None) -> tuple[Turn, ...]:
        return await find_kept(self._store, self._kept, caller, self._id, snapshot)

    async def _tell(self, turn: Turn) -> bytes:
        if turn.status is Progress.RUNNING:
            turn = (await look(self._store, self._id)).turn
        return told(self._kept, turn)

    async def _cancel(self, caller: Caller) -> bytes:
        turn = (await self._find(caller, self._exchange.snapshot))[-1]
        if not self._kept.late.is_late(turn.answer):
            raise Malformed(
                "Only an answer that was asked for with `background` can be cancelled; hang up on any other.",
                code="not_supported",
            )
        if turn.status is Progress.RUNNING:
            await self._store.on_errands(lambda store: store.stop_errand(self._id, Progress.CANCELLED))
            self._drop()
        return told(self._kept, (await look(self._store, self._id)).turn)

    def _drop(self) -> None:
        if self._exchange.errands is not None:
            self._exchange.errands.drop(self._id)
