"""A call that is worked on without its caller: what takes its answer, and keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND
from trunkline.conversations.conversations import Conversations
from trunkline.conversations.dialogues import Appended
from trunkline.conversations.errands import Ending, Events
from trunkline.conversations.recall import Recalled, may_not_keep, no_dialogue, settled
from trunkline.conversations.turns import Progress, Turn
from trunkline.dialects.dialect import Door
from trunkline.dialects.keeping import KeptAnswers
from trunkline.errors import Malformed, RateLimited, Refusal, Unavailable, UpstreamFailed
from trunkline.estate.stages import Attempt, Permitted
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.keep import KeptReply, item_of
from trunkline.ids import RequestId
from trunkline.wire.server import Request
from trunkline.wire.sse import Framer

BUSY: Final = 429
SERVER_ERROR: Final = 500
ALIVE: Final = 60 * NANOS_PER_SECOND
"""So long after its worker was last heard of, an errand counts as lost."""
WAITS: Final = 1.0
"""Seconds after which a caller is told that its errand waits for its turn, rather than refused."""
AGAIN: Final = 1.0
"""Seconds after which a store that was away is asked again to take an answer."""


class Errand:
    """Takes the answer of one, as a caller's connection does, and has its stream read by whoever follows it.

    Attributes:
        told: done once the caller may be told that it goes on without it; holds the refusal where it does not.
        turn: as it is kept; None before that.
        events: of its stream: each has its place in the list for a number.
        saved: how many of them the store is known to have.
        over: nothing more will come here.
        ended: its end is in the store, or about to be.
        failure: what its answer said that it failed of.
        head: header lines for the caller.
    """

    def __init__(self, door: Door, request_id: RequestId, request: Request) -> None:
        self.door = door
        self.request_id = request_id
        self.request = request
        self.told = asyncio.get_running_loop().create_future()
        self.turn: Turn | None = None
        self.kept: KeptAnswers | None = None
        self.events: list[bytes] = []
        self.saved = 0
        self.over = False
        self.ended = False
        self.failure: Refusal | None = None
        self.head = b""
        self.started = False
        self._moved = asyncio.Event()

    def also(self, headers: bytes) -> None:
        """Have the caller told these lines, if it is not told yet."""
        self.head += headers

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Take what is no answer that anybody could go on from."""
        del headers
        self.started = True
        if self.kept is not None:
            said = self.kept.late.fails(body)
            kind = RateLimited if status == BUSY else Malformed if status < SERVER_ERROR else UpstreamFailed
            message, code = ("The deployment refused it.", None) if said is None else (said.message, said.code)
            self.failure = kind(message, code=code)

    def start(self, status: int, headers: bytes) -> None:
        """Take the beginning of a stream."""
        del status, headers
        self.started = True

    def write(self, data: bytes) -> None:
        """Take events."""
        if self.kept is None:
            return
        late = self.kept.late
        for event in Framer().feed(data):
            if b'"error"' in event:
                self.failure = late.fails(event) or self.failure
            if numbered := late.number(event, len(self.events)):
                self.events.append(numbered)
        self._stir()

    def end(self) -> None:
        """Take the end: what was written says whether it is a good one."""

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Hold up no writer: an errand does not wait for whoever reads it."""

    def tell(self) -> None:
        """Let the caller be told."""
        if not self.told.done():
            self.told.set_result(None)

    def close(self) -> None:
        """Let whoever follows go on at the store."""
        self.over = True
        self._stir()

    async def moved(self) -> None:
        """Wait until more has come, or nothing will."""
        await self._moved.wait()

    def unsaved(self, more: bytes = b"") -> Events | None:
        """Return the events that the store does not have yet, and one more under the next number."""
        events = self.events[self.saved :]
        if more and self.kept is not None:
            events.append(self.kept.late.number(more, len(self.events)))
        return Events(self.saved, self.saved + len(events) - 1, b"".join(events)) if events else None

    def _stir(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class LateReply(KeptReply):
    """Keeps an errand's answer: from its beginning, as one that is worked on, and as it is at its end."""

    __slots__ = ("_errand",)

    def __init__(self, errand: Errand, kept: KeptAnswers, recalled: Recalled) -> None:
        super().__init__(errand, kept, recalled)
        self._errand = errand
        errand.kept = kept
        self._marks = msgspec.structs.replace(self._marks, late=True)

    async def begin(self, exchange: Exchange, permitted: Permitted) -> None:
        """Keep it as one that is worked on: from now on it is not lost without a word.

        Raises:
            NotPermitted: policy does not let it be kept.
            Unavailable: the store is away.
        """
        conversations, errands, errand = exchange.conversations, exchange.errands, self._errand
        if permitted.decision.unkept or permitted.decision.keeps is None:
            raise may_not_keep(permitted.decision, "background")
        if conversations is None or errands is None:
            raise Unavailable("Nobody keeps answers here.", code="store_unavailable")
        now = conversations.clock.now()
        answer = self._kept.late.begun(permitted.asked, self._marks, now // NANOS_PER_SECOND)
        turn = msgspec.structs.replace(
            self._turn(now, permitted, "", answer),
            status=Progress.RUNNING,
            worker=errands.worker,
            alive_until=now + ALIVE,
            streams=permitted.asked.stream,
        )
        if not await conversations.keep(turn):
            raise Unavailable(
                "The answer cannot be kept at the moment, so nothing was begun. Try again in a few seconds.",
                code="store_unavailable",
                retry_after=5,
            )
        errand.turn = turn
        if turn.streams:
            errand.events.append(self._kept.late.begun_event(answer))
        asyncio.get_running_loop().call_later(WAITS, errand.tell)

    def sent(self) -> None:
        """Let the caller be told: something was sent."""
        self._errand.tell()

    async def finish(self, exchange: Exchange, attempt: Attempt) -> None:
        """Keep the answer, if it is whole."""
        errand, kept = self._errand, self._kept
        answer = kept.find(self._held[0]) if self._held and self._ended else self._body
        marked = None if answer is None else kept.mark(answer, self._marks)
        if errand.turn is None or exchange.conversations is None or marked is None:
            errand.failure = errand.failure or (None if answer is None else kept.late.fails(answer))
            return
        made = self._turn(errand.turn.made_at, attempt.permitted, attempt.endpoint.deployment, marked)
        turn = msgspec.structs.replace(made, worker=errand.turn.worker, streams=errand.turn.streams)
        last = kept.mark_event(self._held[0], self._marks)[0] if self._held else b""
        ending = Ending(turn, kept.ids(turn.items, marked), errand.unsaved(last))
        errand.ended = True
        dialogue = self._recalled.dialogue
        if dialogue is None:
            errand.ended = await put_away(exchange.conversations, ending) is Appended.WELL
            return
        taken = set(self._recalled.taken)
        dialogue = settled(dialogue, attempt.permitted.decision, errand.turn.made_at)
        for _ in range(2):
            said = kept.split(turn.items, marked, taken)
            taken.update(one.id for one in said)
            items = [item_of(turn, one) for one in said]
            appended = await put_away(
                exchange.conversations,
                msgspec.structs.replace(ending, item_ids=[one.id for one in said], dialogue=dialogue, items=items),
            )
            if appended is not Appended.TWICE:
                break
        errand.ended = appended is Appended.WELL
        errand.failure = no_dialogue(dialogue.id) if appended is Appended.GONE else None


async def put_away(conversations: Conversations, ending: Ending) -> Appended | None:
    """End an errand in the store, which may be away for a while; None where it stays away for too long."""
    until = conversations.clock.now() + ALIVE
    while True:
        try:
            return await conversations.on_errands(lambda store: store.end_errand(ending))
        except Unavailable:
            if conversations.clock.now() >= until:
                return None
        await asyncio.sleep(AGAIN)
