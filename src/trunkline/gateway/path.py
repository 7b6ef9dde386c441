"""The way of a request, step by step. Each step takes what the one before gave."""

from __future__ import annotations

from trunkline.dialects.dialect import Door
from trunkline.errors import UpstreamFault
from trunkline.gateway.admit import admit, shed
from trunkline.gateway.count import count_here
from trunkline.gateway.decode import decode
from trunkline.gateway.enrich import enrich
from trunkline.gateway.errand import Errand
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.headers import tell_rates
from trunkline.gateway.identify import identify
from trunkline.gateway.keep import KeptReply
from trunkline.gateway.ports import Answered
from trunkline.gateway.prepare import prepare
from trunkline.gateway.refuse import refuse
from trunkline.gateway.relay import Relay
from trunkline.gateway.resume import resume
from trunkline.gateway.screen import screen
from trunkline.gateway.wait import wait
from trunkline.ids import RequestId
from trunkline.metering.bound import bound
from trunkline.metering.hold import reserve
from trunkline.policy.permit import permit
from trunkline.upstream.course import Course
from trunkline.upstream.route import route
from trunkline.upstream.send import send
from trunkline.wire.server import Reply, Request


async def answer(  # noqa: C901, PLR0912 - all steps of the path on one page
    exchange: Exchange, door: Door, request_id: RequestId, request: Request, reply: Reply | Errand
) -> None:
    """Answer one call.

    Raises:
        Refusal: the caller is told why there is no answer.
        JournalFailed: the intent could not be written; nothing was sent.
    """
    caller = await identify(exchange, request)
    with admit(exchange.gate), exchange.visit() as visit:
        asked = decode(door, request)
        if asked.background and isinstance(reply, Reply) and exchange.errands is not None:
            await exchange.errands.send_off(door, request_id, request, reply)
            return
        snapshot = exchange.snapshot
        kept: KeptReply | None = None
        if asked.stateful:
            asked, kept = await resume(exchange, snapshot, caller, asked, reply)
        permitted = permit(snapshot, caller, asked)
        shed(exchange.gate, permitted)
        permitted = await enrich(permitted)
        permitted = await screen(permitted)
        if kept is not None:
            await kept.begin(exchange, permitted)
        if asked.counts_only and count_here(door.dialect, permitted, request_id, reply):
            return
        course = Course(asked, exchange.clock)
        while True:
            for attempt in route(permitted, bound, exchange.health, course):
                ready = await prepare(exchange, snapshot, attempt, course, visit)
                if ready is None:
                    continue
                try:
                    with reserve(exchange.book, attempt, request_id, ready.pledge) as hold:
                        exchange.begin(attempt, course, hold, visit)
                        if kept is not None:
                            kept.sent()
                        response = await send(exchange.upstreams, attempt, ready.letter)
                        exchange.health.listen(attempt.endpoint, response.headers)
                        tell_rates(visit, attempt, door.dialect, reply)
                        relay = Relay(door.dialect, request_id, (attempt, ready.letter), hold, kept or reply)
                        await relay.relay(response)
                        if kept is not None:
                            await kept.finish(exchange, attempt)
                except UpstreamFault as fault:
                    exchange.heed(attempt, request_id, fault)
                    course.failed.append((attempt.endpoint.deployment, fault))
                else:
                    if permitted.decision.copies and kept is None and exchange.shadows is not None and hold.went_well:
                        exchange.shadows.cast(Answered(door, request_id, asked, attempt))
                    return
            if not await wait(exchange, permitted, course):
                raise refuse(permitted, course)
