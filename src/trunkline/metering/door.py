"""Calls that wait for what only the store can give, and how it is asked for all of them at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from trunkline.errors import TrunklineError, Unavailable
from trunkline.metering.counters import Counter

TICK: Final = 0.25
"""Seconds between two looks whether something is to be asked for, renewed or given back."""
PATIENCE: Final = 2.0
"""Seconds that a call waits for the store."""
AWAY: Final = "The store of the limits cannot be reached, and this exchange's share of {} is used up."

Told = TypeVar("Told")
log = logging.getLogger(__name__)


class Waiter(msgspec.Struct):
    """A call that waits for more of a limit.

    Attributes:
        amount: how much it counts.
        unit: whose call it is.
        future: resolves when it may look again, or to why it need not.
        asked: whether the store was asked for it already, and has nothing for it yet.
    """

    counter: Counter
    amount: int
    unit: str
    future: asyncio.Future[Exception | None]
    asked: bool = False

    @property
    def name(self) -> str:
        """The limit's."""
        return self.counter.rate.name


class Door:
    """Where calls wait until the store has been asked.

    Args:
        what: what the store gives, in words.

    Attributes:
        wake: set where the store is to be asked soon.
    """

    def __init__(self, what: str) -> None:
        self.wake = asyncio.Event()
        self._what = what
        self._waiting: list[Waiter] = []
        self._away = False

    @property
    def waiting(self) -> list[Waiter]:
        """The calls that still wait."""
        return [one for one in self._waiting if not one.future.done()]

    async def wait(self, counter: Counter, amount: int, unit: str = "") -> None:
        """Wait until there is more of a limit, or until it is known that there is not.

        Raises:
            Unavailable: the store does not answer.
        """
        waiter = Waiter(counter, amount, unit, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self.wake.set()
        try:
            async with asyncio.timeout(PATIENCE):
                refused = await waiter.future
        except TimeoutError:
            refused = None if waiter.asked else self._refusal()
        finally:
            self._waiting.remove(waiter)
        if refused is not None:
            raise refused

    async def follow(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask whenever something may be needed, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self.wake.wait()
            self.wake.clear()
            await ask()

    async def ask(self, store: Callable[[], Told]) -> Told | None:
        """Return what the store says; None where it is away, which all that wait are told."""
        waiting = self.waiting
        try:
            told = await asyncio.to_thread(store)
        except Exception as fault:  # noqa: BLE001 - the border to the store, which may raise anything while it is away
            inside = fault.inside if isinstance(fault, TrunklineError) else f"{type(fault).__name__}: {fault}"
            if not self._away:
                log.warning("the store gives no %s; calls go on within what is in hand: %s", self._what, inside)
            self._away = True
            for one in waiting:
                if not one.future.done():
                    one.future.set_result(self._refusal(inside))
            return None
        self._away = False
        return told

    def _refusal(self, inside: str | None = None) -> Unavailable:
        return Unavailable(AWAY.format(self._what), code="store_unavailable", inside=inside, retry_after=5)
