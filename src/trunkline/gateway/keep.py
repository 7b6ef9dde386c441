"""Answers that are kept: a reply that holds back an answer's end until it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.dialogues import Appended, Item
from trunkline.conversations.recall import DAY, Recalled, settled
from trunkline.conversations.turns import Turn
from trunkline.dialects.keeping import KeptAnswers, Marks, Single
from trunkline.estate.stages import Attempt, Permitted
from trunkline.estate.use_cases import days_kept
from trunkline.gateway.array import Taker
from trunkline.gateway.exchange import Exchange
from trunkline.metering.hold import writable
from trunkline.wire.headers import line
from trunkline.wire.sse import Framer

OK: Final = 200
AWAY: Final = b"not kept: the store did not answer"
GONE: Final = AWAY + b", or the conversation was erased meanwhile"


class KeptReply:
    """Takes an answer as a reply does, under the exchange's own id; its end goes out once it is kept, or is not.

    What was cut is not kept: a stream without its end, a caller that left.
    """

    __slots__ = ("_body", "_ended", "_headers", "_held", "_kept", "_marks", "_recalled", "_reply")

    def __init__(self, reply: Taker, kept: KeptAnswers, recalled: Recalled) -> None:
        self._reply = reply
        self._kept = kept
        self._recalled = recalled
        before = None if recalled.before is None else recalled.before.id
        dialogue = None if recalled.dialogue is None else recalled.dialogue.id
        self._marks = Marks(recalled.id, before, recalled.keeps, dialogue)
        self._headers = b""
        self._body: bytes | None = None
        self._held: list[bytes] = []
        self._ended = False

    @property
    def started(self) -> bool:
        """Whether the head has been written."""
        return self._reply.started

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have a slow reader hold up who writes."""
        self._reply.watch(pause, resume)

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Take a whole answer; what is none goes on at once."""
        if status != OK:
            self._reply.send(status, headers, body)
            return
        self._headers, self._body = headers, body

    def start(self, status: int, headers: bytes) -> None:
        """Write the head of a stream."""
        self._reply.start(status, headers)

    def write(self, data: bytes) -> None:
        """Write whole events, but for the last of a whole answer."""
        told = b""
        for event in Framer().feed(data):
            if self._held:
                self._held.append(event)
                continue
            marked, ends = self._kept.mark_event(event, self._marks)
            if ends:
                self._held.append(event)
            else:
                told += marked
        self._reply.write(told)

    def end(self) -> None:
        """End the stream, unless its last event is still to be written."""
        self._ended = True
        if not self._held:
            self._reply.end()

    async def begin(self, exchange: Exchange, permitted: Permitted) -> None:
        """Note that it is permitted: nothing is kept of it yet."""

    def sent(self) -> None:
        """Note that an attempt is about to be sent."""

    async def finish(self, exchange: Exchange, attempt: Attempt) -> None:
        """Keep the answer, if it is whole and policy lets it, and write its end, which says whether it is kept."""
        conversations = exchange.conversations
        if self._body is not None:
            await self._finish_whole(conversations, attempt, self._body)
        elif self._held and self._ended:
            last, *more = self._held
            kept = await self._keep(conversations, attempt, self._kept.find(last))
            marked, _ = self._kept.mark_event(last, msgspec.structs.replace(self._marks, kept=kept))
            self._reply.write(b"".join((marked, *more)))
            self._reply.end()

    async def _finish_whole(self, conversations: Conversations | None, attempt: Attempt, body: bytes) -> None:
        kept = await self._keep(conversations, attempt, body)
        marked = self._kept.mark(body, msgspec.structs.replace(self._marks, kept=kept))
        headers = self._headers
        if self._marks.kept and not kept and marked is not None:
            headers += line(b"x-trunkline-note", AWAY if self._recalled.dialogue is None else GONE)
        self._reply.send(OK, headers, body if marked is None else marked)

    async def _keep(self, conversations: Conversations | None, attempt: Attempt, answer: bytes) -> bool:
        permitted, recalled = attempt.permitted, self._recalled
        decision = permitted.decision
        marked = self._kept.mark(answer, self._marks) if self._marks.kept else None
        if conversations is None or marked is None or decision.keeps is None or decision.unkept:
            return False
        now, dialogue = conversations.clock.now(), recalled.dialogue
        turn = self._turn(now, permitted, attempt.endpoint.deployment, marked)
        if dialogue is None:
            return await conversations.keep(turn, self._kept.ids(recalled.items, marked))
        said = self._kept.split(recalled.items, marked, recalled.taken)
        dialogue = settled(dialogue, decision, now)
        appended = await conversations.keep_in(dialogue, [item_of(turn, one) for one in said], turn)
        if appended is Appended.TWICE:
            # Another call's answer came with the same ids meanwhile.
            said = self._kept.split(recalled.items, marked, {*recalled.taken, *(one.id for one in said)})
            appended = await conversations.keep_in(dialogue, [item_of(turn, one) for one in said], turn)
        return appended is Appended.WELL

    def _turn(self, now: int, permitted: Permitted, deployment: str, answer: bytes) -> Turn:
        recalled, decision, customer = self._recalled, permitted.decision, permitted.asked.end_customer
        before, dialogue = recalled.before, recalled.dialogue
        days = 0 if decision.keeps is None else days_kept(decision.keeps)
        return Turn(
            id=recalled.id,
            before=None if before is None else before.id,
            root=recalled.id if before is None else before.root,
            unit=permitted.caller.unit,
            use_case=decision.use_case,
            key=permitted.caller.key,
            end_customer=None if customer is None else writable(customer),
            data_class=decision.data_class,
            deployment=deployment,
            made_at=now,
            expires_at=now + days * DAY,
            items=recalled.items,
            answer=answer,
            dialogue=None if dialogue is None else dialogue.id,
        )


def item_of(turn: Turn, said: Single) -> Item:
    """Return what was said in a turn as an item of its conversation."""
    return Item(
        id=said.id,
        key=turn.key,
        end_customer=turn.end_customer,
        data_class=turn.data_class,
        deployment=turn.deployment,
        made_at=turn.made_at,
        content=said.content,
    )
