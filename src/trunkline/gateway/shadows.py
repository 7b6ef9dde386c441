"""Copies of calls to a further deployment, once the callers have their answers: nothing of them reaches anybody."""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial

from trunkline.errors import JournalFailed, Refusal, UpstreamFault
from trunkline.estate.decisions import Copy
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.ports import Answered
from trunkline.gateway.prepare import prepare
from trunkline.gateway.relay import Relay
from trunkline.metering.bound import bound
from trunkline.metering.hold import reserve
from trunkline.policy.permit import permit_copy
from trunkline.upstream.course import Course
from trunkline.upstream.health import Event
from trunkline.upstream.route import shadow
from trunkline.upstream.send import send

BUSY_SHARE = 0.5
"""Of the calls that the exchange carries at once; beyond that share no copies are made."""
MOST_AT_ONCE = 64
"""Copies under way in one process, of all shadows together."""

log = logging.getLogger("trunkline.gateway")


class Nobody:
    """Takes an answer that nobody reads."""

    __slots__ = ("started",)

    def __init__(self) -> None:
        self.started = False

    def send(self, *_: object) -> None:
        """Take a whole answer."""
        self.started = True

    def start(self, *_: object) -> None:
        """Take the beginning of a stream."""
        self.started = True

    def write(self, *_: object) -> None:
        """Take a piece."""

    def end(self) -> None:
        """Take the end."""

    def watch(self, *_: object) -> None:
        """Hold up no writer."""


class Shadows:
    """Those of one process: bounded, dropped under load, ended with it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._running: dict[tuple[str, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def cast(self, answered: Answered) -> None:
        """Begin the copies of a call that its use case's shadows draw; returns at once."""
        decision, number = answered.attempt.permitted.decision, answered.attempt.number
        for copy in decision.copies:
            if random.random() >= copy.share:  # noqa: S311 - a sample, no secret
                continue
            key = (decision.use_case, copy.name)
            gate = self._exchange.gate
            under_way = self._running.get(key, 0)
            if under_way >= copy.at_once or len(self._tasks) >= MOST_AT_ONCE or gate.in_flight > gate.most * BUSY_SHARE:
                self._drop(copy)
                continue
            number += 1
            self._running[key] = under_way + 1
            task = asyncio.create_task(self._make(answered, copy, number))
            self._tasks.add(task)
            task.add_done_callback(partial(self._over, key))

    async def stop(self) -> None:
        """Cut off the copies under way; what they may have cost is booked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._running[key] -= 1

    def _drop(self, copy: Copy) -> None:
        self._exchange.metrics.upstream_event(Event.NOT_COPIED, next(copy.decision.endpoints).deployment)

    async def _make(self, answered: Answered, copy: Copy, number: int) -> None:
        try:
            made = await _send_copy(self._exchange, answered, copy, number)
        except (Refusal, JournalFailed) as dropped:
            log.info("a copy was not made", extra={"request_id": answered.request, "inside": dropped.inside})
            made = False
        except Exception:  # the border: nobody waits for a copy, and none may end anything else
            log.exception("a copy failed", extra={"request_id": answered.request})
            made = True
        if not made:
            self._drop(copy)


async def _send_copy(exchange: Exchange, answered: Answered, copy: Copy, number: int) -> bool:
    """Send a copy and read its answer to the end; return whether it was sent at all."""
    snapshot = exchange.snapshot
    permitted = permit_copy(snapshot, answered.attempt.permitted, answered.asked, copy.name)
    attempt = None if permitted is None else shadow(permitted, bound, exchange.health, number)
    if attempt is None:
        return False
    course = Course(attempt.permitted.asked, exchange.clock)
    with exchange.visit() as visit:
        ready = await prepare(exchange, snapshot, attempt, course, visit)
        if ready is None:
            return False
        try:
            with reserve(exchange.book, attempt, answered.request, ready.pledge) as hold:
                exchange.begin(attempt, course, hold, visit)
                exchange.metrics.upstream_event(Event.COPIED, attempt.endpoint.deployment)
                response = await send(exchange.upstreams, attempt, ready.letter)
                exchange.health.listen(attempt.endpoint, response.headers)
                sent = (attempt, ready.letter)
                await Relay(answered.door.dialect, answered.request, sent, hold, Nobody()).relay(response)
        except UpstreamFault as fault:
            exchange.heed(attempt, answered.request, fault)
    return True
