"""Tokens of clouds' own chains of credentials: fetched beside the path, renewed ahead of their end.

The path never waits for one: a token stands in the compiled estate as a key does, and the estate is compiled again when
another comes or the last one lapses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from trunkline.app.chains import CHAINS, Chain, Fetched, NoLibrary, Open
from trunkline.app.compiling import Compiler
from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.estate.endpoints import Grant, Wanted
from trunkline.observability.log import redact

AHEAD: Final = 300.0
"""Seconds before a token's end in which libraries fetch another."""
AGAIN: Final = (1.0, 30.0)
"""Seconds to wait at the least, and at the most where there is no token, or none but the one before."""
WITHIN: Final = 60.0
"""Seconds after which a chain that does not answer has failed."""
QUOTED: Final = 300

log = logging.getLogger("trunkline.app")


class Refreshed(Protocol):
    """What compiles the estate again."""

    def refresh(self) -> None:
        """Compile it."""
        ...


class Counted(Protocol):
    """What counts how asking for tokens ended."""

    def token(self, chain: str, outcome: str) -> None:
        """Count one."""
        ...


class GrantWatch:
    """Keeps the tokens that the estate's boundaries want: each process has its own.

    Args:
        compiler: of the estate in force.
        clock: tells when tokens end.
        counted: counts how asking ended.
        chains: how each chain is opened.
    """

    def __init__(self, compiler: Compiler, clock: Clock, counted: Counted, chains: Mapping[str, Open] = CHAINS) -> None:
        self._compiler = compiler
        self._clock = clock
        self._counted = counted
        self._open = chains
        self._chains: dict[str, Chain] = {}
        self._grants: dict[Wanted, Grant] = {}
        self._followers: dict[Wanted, asyncio.Task[None]] = {}
        self._exchange: Refreshed | None = None

    def begin(self, exchange: Refreshed) -> None:
        """Begin to fetch what is wanted; the exchange compiles again whenever a token came or lapsed."""
        self._exchange = exchange
        self._follow()

    def end(self) -> None:
        """Fetch nothing any more."""
        for task in self._followers.values():
            task.cancel()

    def adopt(self, compiler: Compiler) -> bool:
        """Go on with another estate's compiler; return whether it has to compile again, for it got tokens."""
        self._compiler = compiler
        compiler.granted(self._grants)
        self._follow()
        return any(wanted in self._grants for wanted in compiler.wanted)

    def _follow(self) -> None:
        for wanted in self._compiler.wanted - self._followers.keys():
            self._followers[wanted] = asyncio.create_task(self._keep(wanted))

    async def _keep(self, wanted: Wanted) -> None:
        while wanted in self._compiler.wanted:
            pause = await self.renew(wanted)
            await asyncio.sleep(pause)
        del self._followers[wanted]

    async def renew(self, wanted: Wanted) -> float:
        """Ask for a token once; return after how many seconds to ask again.

        Where there is none to be had, the one before goes on until its end.
        """
        held = self._grants.get(wanted)
        try:
            fetched = await asyncio.wait_for(asyncio.to_thread(self._fetch, wanted), WITHIN)
        except Exception as fault:  # noqa: BLE001 - the border: libraries raise what they like, and nothing may end this
            self._fail(wanted, held, fault)
            return self._pause(held)
        self._counted.token(wanted.chain, "fetched")
        expires = int(fetched.expires * NANOS_PER_SECOND)
        if held is not None and held.token == fetched.token:
            return self._pause(held)
        self._put(wanted, Grant(token=fetched.token, expires=expires))
        log.info("a token was fetched", extra={"chain": wanted.chain, "seconds": round(self._left(expires))})
        return self._due(fetched)

    def _fetch(self, wanted: Wanted) -> Fetched:
        chain = self._chains.get(wanted.chain)
        if chain is None:
            chain = self._chains[wanted.chain] = self._open[wanted.chain]()
        return chain.fetch(wanted.scope)

    def _fail(self, wanted: Wanted, held: Grant | None, fault: Exception) -> None:
        self._counted.token(wanted.chain, "failed")
        said = f"{type(fault).__name__}: {redact(str(fault)[:QUOTED])}"
        left = self._left(held.expires) if held is not None else 0.0
        goes_on = f"the one before goes on for {left:.0f} s" if left > 0 else "its deployments are not configured"
        log.warning("no token could be fetched, %s: %s", goes_on, said, extra={"chain": wanted.chain})
        if left > 0:
            return
        why = str(fault) if isinstance(fault, NoLibrary) else "no token can be had; the exchange's log says why"
        grant = Grant(why=why)
        if held != grant:
            self._put(wanted, grant)

    def _put(self, wanted: Wanted, grant: Grant) -> None:
        self._grants = self._grants | {wanted: grant}
        self._compiler.granted(self._grants)
        if self._exchange is not None:
            self._exchange.refresh()

    def _left(self, expires: int) -> float:
        return (expires - self._clock.now()) / NANOS_PER_SECOND

    def _due(self, fetched: Fetched) -> float:
        """Seconds until the next one is due: when the library says, else well before the end of this one."""
        now = self._clock.now() / NANOS_PER_SECOND
        left = fetched.expires - now
        due = left - AHEAD if left > 2 * AHEAD else left / 2
        if fetched.renew is not None:
            due = min(due, fetched.renew - now)
        return max(due, AGAIN[0])

    def _pause(self, held: Grant | None) -> float:
        """Seconds until it is tried again: sooner where the one before ends."""
        left = self._left(held.expires) if held is not None and held.expires else 0.0
        return min(max(left / 4, AGAIN[0]), AGAIN[1]) if left > 0 else AGAIN[0] * 5
