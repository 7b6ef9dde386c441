"""Streams of errands, told again from any place: out of this process where it works on them, else out of the store."""

from __future__ import annotations

import asyncio
from typing import Final

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.errands import Followed
from trunkline.conversations.turns import Progress, Turn
from trunkline.dialects.keeping import KeptAnswers
from trunkline.errors import Refusal, Unknown, UpstreamFailed
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.headers import own_headers
from trunkline.ids import RequestId
from trunkline.wire.server import Reply
from trunkline.wire.sse import Framer

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the store for more of a stream."""
PIECES: Final = 64
"""So many are read of it at once."""
BEGUN: Final = b": the stream follows\n\n"


def told(kept: KeptAnswers, turn: Turn) -> bytes:
    """Return an answer as it is told: as far as it is."""
    match turn.status:
        case Progress.RUNNING:
            return kept.late.running(turn.answer)
        case Progress.CANCELLED:
            return kept.late.cancelled(turn.answer)
        case Progress.LOST:
            lost = UpstreamFailed(
                "The exchange ended while it worked on this answer, and nothing of it was kept. What it cost is in the "
                "ledger. Ask again.",
                code="answer_lost",
            )
            return kept.late.failed(turn.answer, lost)
    return turn.answer


async def follow(exchange: Exchange, whose: tuple[KeptAnswers, str, int], request_id: RequestId, reply: Reply) -> None:
    """Tell the events of an errand behind a number as they come, to its end, for as long as the caller stays."""
    kept, turn_id, after = whose
    reply.start(200, own_headers(request_id, "text/event-stream"))
    reply.write(BEGUN)
    errand = None if exchange.errands is None else exchange.errands.find(turn_id)
    while errand is not None:
        more = errand.events[after + 1 :]
        after += len(more)
        reply.write(b"".join(more))
        await reply.drained()
        if errand.over:
            break
        if len(errand.events) <= after + 1:
            await errand.moved()
    try:
        if exchange.conversations is not None:
            await _follow_kept(exchange.conversations, (kept, turn_id, after), reply)
    except Refusal as refusal:
        reply.write(kept.late.error_event(refusal))
    reply.end()


async def _follow_kept(conversations: Conversations, whose: tuple[KeptAnswers, str, int], reply: Reply) -> None:
    kept, turn_id, after = whose
    while True:
        found = await look(conversations, turn_id, after)
        for piece in found.events:
            events = Framer().feed(piece.content)
            for number, event in enumerate(events, piece.first):
                if number > after:
                    reply.write(event)
                    after = number
        await reply.drained()
        if found.events:
            continue
        if found.turn.status is Progress.RUNNING:
            await asyncio.sleep(LOOK_EVERY)
            continue
        if found.turn.status in (Progress.CANCELLED, Progress.LOST):
            reply.write(kept.late.number(kept.late.ending(told(kept, found.turn)), after + 1))
        return


async def look(conversations: Conversations, turn_id: str, after: int = 2**62) -> Followed:
    """Return how far an errand is; one whose worker is gone is told as lost from now on.

    Raises:
        Unknown: it is not there.
        Unavailable: the store is away.
    """
    found = await _look(conversations, turn_id, after)
    if found.turn.status is Progress.RUNNING and found.turn.alive_until <= conversations.clock.now():
        await conversations.on_errands(lambda store: store.lose_errands(conversations.clock.now()))
        found = await _look(conversations, turn_id, after)
    return found


async def _look(conversations: Conversations, turn_id: str, after: int) -> Followed:
    now = conversations.clock.now()
    found = await conversations.on_errands(lambda store: store.follow_errand(turn_id, after, now, PIECES))
    if found is None:
        raise Unknown(f"Response with id {turn_id!r} was deleted.", code="response_not_found")
    return found
