"""The way of a request, step by step. Each step takes what the one before gave."""

from __future__ import annotations

from asyncio import sleep

from trunkline.dialects.dialect import Door
from trunkline.errors import NotCarried, OverBudget, Unavailable, UpstreamFault
from trunkline.gateway.admit import admit
from trunkline.gateway.count import count_here
from trunkline.gateway.decode import decode
from trunkline.gateway.enrich import enrich
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.identify import identify
from trunkline.gateway.refuse import refuse
from trunkline.gateway.relay import Relay
from trunkline.gateway.screen import screen
from trunkline.ids import RequestId
from trunkline.metering.bound import bound
from trunkline.metering.hold import reserve
from trunkline.policy.permit import permit, still_permitted
from trunkline.upstream.compose import compose
from trunkline.upstream.course import Course
from trunkline.upstream.route import route
from trunkline.upstream.send import send
from trunkline.wire.server import Reply, Request


async def answer(exchange: Exchange, door: Door, request_id: RequestId, request: Request, reply: Reply) -> None:
    """Answer one call.

    Raises:
        Refusal: the caller is told why there is no answer.
        JournalFailed: the intent could not be written; nothing was sent.
    """
    caller = await identify(exchange, request)
    with admit(exchange.gate):
        asked = decode(door, request)
        snapshot = exchange.snapshot
        permitted = permit(snapshot, caller, asked)
        permitted = await enrich(permitted)
        permitted = await screen(permitted)
        if asked.counts_only and count_here(door.dialect, permitted, request_id, reply):
            return None
        course = Course(asked, exchange.clock)
        for attempt in route(permitted, bound, exchange.health, course):
            if attempt.wait:
                await sleep(attempt.wait)
            current = exchange.snapshot
            if current is not snapshot and not (
                # A hold in the currency of an estate that is gone would be booked as so much of the new one.
                current.currency == snapshot.currency and still_permitted(current, permitted, attempt.endpoint)
            ):
                continue
            if exchange.is_ejected(attempt):
                course.ejected.append(attempt.endpoint.deployment)
                continue
            pledge = None
            if exchange.cashier is not None and exchange.cashier.in_force:
                try:
                    pledge = await exchange.cashier.pledge(attempt)
                except (OverBudget, Unavailable) as refusal:
                    course.short.append(refusal)
                    continue
            try:
                letter = compose(attempt, pledge)
            except NotCarried as lost:
                course.uncarried.append((attempt.endpoint.deployment, lost))
                continue
            try:
                with reserve(exchange.book, attempt, request_id, pledge) as hold:
                    exchange.health.begin(attempt)
                    response = await send(exchange.upstreams, attempt, letter)
                    exchange.health.listen(attempt.endpoint, response.headers)
                    relay = Relay(door.dialect, request_id, (attempt, letter), hold, reply)
                    return await relay.relay(response)
            except UpstreamFault as fault:
                exchange.heed(attempt, request_id, fault)
                course.failed.append((attempt.endpoint.deployment, fault))
        raise refuse(permitted, course)
