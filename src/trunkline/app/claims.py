"""Claims while the exchange runs: later verifications are taken over, and what will expire is announced ahead."""

from __future__ import annotations

import asyncio
import logging

from trunkline.app.compiling import Compiler
from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.errors import Unavailable
from trunkline.gateway.exchange import Exchange
from trunkline.policy.satisfy import DAY
from trunkline.policy.sources import SOON_DAYS, ClaimId, Sourced, expiring
from trunkline.policy.verified import ClaimStore, Void
from trunkline.store.changes import Changes
from trunkline.store.claim_table import CLAIMS

LOOK_EVERY = 0.5
"""Seconds between two looks for new versions."""

MOST_GAUGES = 1_000
"""How many claims the metrics show: those that expire first."""

NAMED = 5
"""How many claims one line of the log names."""

log = logging.getLogger("trunkline.app")


class ClaimWatch:
    """Keeps an exchange's claims as the store has them, and says at its start and daily which of them expire soon.

    While the store is away, the claims known so far go on, each until it expires.
    """

    def __init__(self, compiler: Compiler, store: ClaimStore, clock: Clock) -> None:
        self._compiler = compiler
        self._store = store
        self._clock = clock
        self._seen = 0
        self._claims: tuple[Sourced, ...] = ()
        self._away = False
        self._announce_at = 0
        self._turn = asyncio.Lock()
        self._take_over(compiler)

    async def adopt(self, compiler: Compiler) -> None:
        """Go on with another estate's compiler.

        Raises:
            Unavailable: the store is away; the one before goes on.
        """
        async with self._turn:
            await asyncio.to_thread(self._take_over, compiler)

    def look_again(self) -> None:
        """Take over all versions at the next look: some may have come while an estate was put in force."""
        self._seen = -1

    async def follow(self, exchange: Exchange, changes: Changes) -> None:
        """Look at every change that is told, and now and then, for ever."""
        while True:
            await self.look(exchange)
            self.announce()
            await changes.wait(CLAIMS, LOOK_EVERY)

    async def look(self, exchange: Exchange) -> None:
        """Take over versions that were recorded since, by whichever process."""
        try:
            if await asyncio.to_thread(self._store.claims_changed) != self._seen:
                async with self._turn:
                    await asyncio.to_thread(self._take_over, self._compiler)
                exchange.refresh()
            self._away = False
        except Unavailable as fault:
            if not self._away:
                log.warning("verified claims cannot be read; those known go on: %s", fault.inside)
            self._away = True

    def announce(self) -> None:
        """Write to the log which claims have expired or will soon, at the first call and then once a day."""
        now = self._clock.now()
        if now < self._announce_at:
            return
        self._announce_at = now + DAY
        soon = expiring(self._claims, now)
        if not soon:
            return
        expired = sum(one.claim.expires is not None and (one.expires_in(now) or 0) <= 0 for one in soon)
        log.warning(
            "claims have expired or expire within %s days; `trunkline claims` lists them",
            SOON_DAYS,
            extra={
                "expired": expired,
                "expiring": len(soon) - expired,
                "first": ", ".join(f"{one.name} {_when(one, now)}" for one in soon[:NAMED]),
            },
        )

    def seconds_left(self) -> dict[ClaimId, float]:
        """Return for each claim that expires how many seconds are left, negative when it has; the first of them."""
        now = self._clock.now()
        left: dict[ClaimId, int] = {}
        for one in self._claims:
            nanos = one.expires_in(now)
            if nanos is not None:
                claim = (one.deployment, one.control)
                left[claim] = min(nanos, left.get(claim, nanos))
        first = sorted(left.items(), key=lambda item: item[1])[:MOST_GAUGES]
        return {claim: nanos / NANOS_PER_SECOND for claim, nanos in first}

    def _take_over(self, compiler: Compiler) -> None:
        versions = self._store.claim_versions()
        self._compiler = compiler
        overlaid = self._compiler.verified(versions)
        self._claims = self._compiler.claims()
        self._seen = len(versions)
        for void in overlaid.void:
            _warn(void)


def _warn(void: Void) -> None:
    version = void.version
    log.warning(
        "a verified claim has no effect: %s",
        void.why,
        extra={"claim": f"{version.deployment}.{version.control}", "version": version.number},
    )


def _when(one: Sourced, now: int) -> str:
    left = one.expires_in(now) or 0
    days = left // DAY
    return "has expired" if left <= 0 else f"in {days} day{'' if days == 1 else 's'}"
