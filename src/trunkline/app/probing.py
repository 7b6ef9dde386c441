"""Knocks at deployments where that is free, so that one is found down, or back, before a call has to find it out."""

from __future__ import annotations

import asyncio
from typing import Final

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.estate.endpoints import Endpoint
from trunkline.gateway.exchange import Exchange
from trunkline.upstream.breaker import State
from trunkline.upstream.knock import knock
from trunkline.wire.client import Pool

EVERY: Final = 2.0
"""Seconds between two rounds: those that are left alone are asked in each of them."""
IDLE: Final = 10 * NANOS_PER_SECOND
"""Others are asked where nothing was heard of them for so long."""
AT_ONCE: Final = 16


class Prober:
    """One process's. It asks nothing of deployments that calls keep telling of."""

    def __init__(self, exchange: Exchange, pool: Pool, clock: Clock) -> None:
        self._exchange = exchange
        self._pool = pool
        self._clock = clock
        self._asked: dict[str, int] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def follow(self) -> None:
        """Go round for ever."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Ask all that are due, and take what they say."""
        due = [one for one in self._exchange.snapshot.endpoints.values() if one.probe and self._is_due(one)]
        if due:
            await asyncio.gather(*map(self._knock, due))

    def _is_due(self, endpoint: Endpoint) -> bool:
        if endpoint.missing:
            return False
        gauge = self._exchange.health.gauges.get(endpoint.deployment)
        if gauge is not None and gauge.breaker.state is not State.CLOSED:
            return True
        if gauge is not None and gauge.unheard:
            return True
        heard = self._asked.get(endpoint.deployment, -IDLE)
        if gauge is not None:
            heard = max(heard, gauge.well_at)
        return self._clock.ticks() - heard >= IDLE

    async def _knock(self, endpoint: Endpoint) -> None:
        async with self._turn:
            self._asked[endpoint.deployment] = self._clock.ticks()
            answers = await knock(self._pool, endpoint)
        if answers is not None:
            self._exchange.health.found(endpoint, answers=answers)
