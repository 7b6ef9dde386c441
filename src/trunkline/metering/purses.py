"""All purses of a worker: holds each attempt in every allowance above it, and asks the store ahead of need."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from trunkline.clock import Clock
from trunkline.errors import TrunklineError, Unavailable
from trunkline.ids import JournalId
from trunkline.metering.journal import Journal
from trunkline.metering.leases import Answer, Ask, LeaseId
from trunkline.metering.ports import LeaseStore
from trunkline.metering.purse import Account, Moment, Purse, Slice

PATIENCE = 2.0
"""Seconds that a call waits for what others may give back."""

TICK = 0.25
"""Seconds between two looks whether something is to be renewed or given back."""

RETRY = 0.1
"""Seconds after which the store is asked again while calls wait."""

GRACE = 0.5
"""Seconds more that a call waits once that waited in vain behind a dearer one, where there is enough for it."""

STALE = 1_000_000_000
"""Nanoseconds after which what the store said last is no reason any more to refuse for good."""

AWAY = "The store of the budgets cannot be reached, and what this exchange had leased of them is used up or has lapsed."
LATE = (
    "The store of the budgets gave no answer in time, and what this exchange had leased of them is used up. Try again."
)

log = logging.getLogger(__name__)


class Short(Exception):
    """An allowance has not enough left for an attempt; never leaves the exchange.

    Attributes:
        account: which allowance.
        wanted: what was to be held.
        answer: how it stood when it was refused; None where the store never said so.
        final: not even all that is held would be enough.
        soon: what may come back is held by somebody who is alive, and not frozen.
    """

    def __init__(self, purse: Purse, wanted: int) -> None:
        super().__init__(purse.account.name)
        self.account = purse.account
        self.wanted = wanted
        self.answer = purse.refused
        self.final = wanted > purse.most
        self.soon = self.answer is not None and wanted <= purse.may_return(self.answer)


class Pledge:
    """What one attempt holds in the allowances above it, until it settles.

    Attributes:
        leases: in which leases.
        journal: the file that its intent must be written to.
        output_limit: the bound of each answer that has to be sent upstream, so that the hold is the most it can cost.
    """

    __slots__ = ("_amount", "_purses", "_slices", "journal", "leases", "output_limit")

    def __init__(self, purses: Purses, slices: Sequence[Slice], amount: int) -> None:
        self._purses = purses
        self._slices = slices
        self._amount = amount
        self.journal: JournalId | None = slices[0].journal if slices else None
        self.output_limit: int | None = None
        self.leases: tuple[LeaseId, ...] = tuple(one.id for one in slices)

    def settle(self, cost: int) -> None:
        """Release the hold and count what was used up."""
        for one in self._slices:
            one.settle(self._amount, cost)
        self._purses.freed()


class _Waiter:
    """A call that waits for one purse."""

    __slots__ = ("amount", "asked", "future")

    def __init__(self, amount: int, future: asyncio.Future[Exception | None]) -> None:
        self.amount = amount
        self.future = future
        self.asked = False


class Purses:
    """The purses of one worker.

    Args:
        store: where leases are granted.
        journal: the worker's journal: calls are held in leases of the file that they are written to.
        clock: the worker's.
        patience: seconds that a call waits for what others may give back.
    """

    def __init__(self, store: LeaseStore, journal: Journal, clock: Clock, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._purses: dict[str, Purse] = {}
        self._leaving: list[Purse] = []
        self._waiting: dict[str, deque[_Waiter]] = {}
        self._wake = asyncio.Event()
        self._away = False
        self._heard_at = 0

    def adopt(self, accounts: Iterable[Account]) -> None:
        """Go on with these allowances: a lowered limit binds at once, what is gone is given back."""
        wanted = {account.name: account for account in accounts}
        for name in self._purses.keys() - wanted.keys():
            gone = self._purses.pop(name)
            gone.retire()
            self._leaving.append(gone)
        for name, account in wanted.items():
            self._purses.setdefault(name, Purse(account)).adopt(account)
        self._wake.set()

    def named(self, names: Iterable[str]) -> tuple[Purse, ...]:
        """Return the purses of these allowances."""
        return tuple(self._purses[name] for name in names if name in self._purses)

    async def pledge(self, purses: tuple[Purse, ...], amount: int) -> Pledge:
        """Hold an amount in each of these purses, or in none. Waits only where a lease has too little left.

        Raises:
            Short: an allowance has not enough left, and nothing came back in time.
            errors.Unavailable: the store is away, and the leases are used up or lapsed.
        """
        slices = self._slices(purses, amount)
        if isinstance(slices, Purse):
            slices = await self._wait(purses, slices, amount)
        ticks = self._clock.ticks()
        for purse, one in zip(purses, slices, strict=True):
            one.take(amount)
            purse.held(amount, ticks)
            if one.room < one.low:
                self._wake.set()
        return Pledge(self, slices, amount)

    def freed(self) -> None:
        """Let calls that wait try again: something was released."""
        if self._waiting:
            self._wake_those_who_fit()

    async def follow(self) -> None:
        """Ask the store for what is needed, whenever it is, for ever."""
        while True:
            await self._rest()
            await self.ask()
            if not self._waiting:
                await self._look_around()

    async def stop(self) -> None:
        """Give everything back, as far as the store takes it; what is still held stays leased."""
        self._waiting.clear()
        for purse in self._purses.values():
            purse.retire()
        await self.ask()

    async def ask(self) -> None:
        """Ask the store once for all that is to be asked."""
        at, journal = self._now(), self._journal.id
        asks: list[Ask] = []
        asked: list[tuple[str, _Waiter]] = []
        for purse in (*self._purses.values(), *self._leaving):
            waiting = self._waiting.get(purse.account.name, ())
            asks.extend(purse.asks(journal, at, tuple(one.amount for one in waiting)))
            asked.extend((purse.account.name, waiter) for waiter in waiting)
        if not asks:
            return
        self._journal.flush()  # What settlements have freed may go back only once they are written.
        try:
            answers = await asyncio.to_thread(self._store.ask, asks)
        except Exception as fault:  # noqa: BLE001 - the border to the store, which may raise anything while it is away
            self._lost(fault)
            return
        self._away, self._heard_at = False, self._clock.ticks()
        told = {ask.allowance: answer for ask, answer in zip(asks, answers, strict=True) if ask.need}
        for ask, answer in zip(asks, answers, strict=True):
            for purse in (*self._named(ask.allowance), *self._leaving):
                purse.hear(answer, at)
        self._leaving = [purse for purse in self._leaving if purse.retired]
        for name, waiter in asked:
            if name in told:
                waiter.asked = True
            else:  # Something had to go back first.
                self._wake.set()
        self._wake_those_who_fit()
        self._refuse_the_hopeless(told)

    def _named(self, name: str) -> tuple[Purse, ...]:
        found = self._purses.get(name)
        return () if found is None else (found,)

    def _now(self) -> Moment:
        return Moment(self._clock.ticks(), self._clock.now())

    def _slices(self, purses: tuple[Purse, ...], amount: int, *, first: bool = True) -> Sequence[Slice] | Purse:
        """Return a lease with room enough of every purse, or the first purse that has none."""
        at, journal = self._now(), self._journal.id
        found: list[Slice] = []
        for purse in purses:
            if not purse.account.hard:
                found.append(self._watched(purse, journal, at))
                continue
            if purse.dry and amount >= purse.dry and at.ticks < purse.dry_until:
                raise Short(purse, amount)
            one = purse.usable(journal, at)
            if one is None or one.room < amount or (first and purse.account.name in self._waiting):
                return purse
            found.append(one)
        return found

    def _watched(self, purse: Purse, journal: JournalId, at: Moment) -> Slice:
        one = purse.watched(journal, at)
        if one.version == 0:
            self._wake.set()
        return one

    async def _wait(self, purses: tuple[Purse, ...], lacking: Purse, amount: int) -> Sequence[Slice]:
        loop = asyncio.get_running_loop()
        until, late = loop.time() + self._patience, False
        while True:
            waiter = _Waiter(amount, loop.create_future())
            name = lacking.account.name
            self._waiting.setdefault(name, deque()).append(waiter)
            self._wake.set()
            try:
                async with asyncio.timeout_at(until):
                    refused = await waiter.future
            except TimeoutError:
                if not waiter.asked or self._clock.ticks() - self._heard_at > STALE:
                    message = AWAY if self._away else LATE
                    raise Unavailable(message, code="store_unavailable", retry_after=5) from None
                if late or not lacking.has_left(amount):
                    raise self._dry(lacking, amount) from None
                late, until, refused = True, until + GRACE, None
            finally:
                self._forget(name, waiter)
            if refused is not None:
                raise refused
            slices = self._slices(purses, amount, first=False)
            if not isinstance(slices, Purse):
                return slices
            lacking = slices

    def _forget(self, name: str, waiter: _Waiter) -> None:
        waiting = self._waiting.get(name)
        if waiting is None:
            return
        with contextlib.suppress(ValueError):
            waiting.remove(waiter)
        if not waiting:
            del self._waiting[name]

    def _dry(self, purse: Purse, amount: int) -> Short:
        """Refuse, and as dear calls after it for a moment without asking."""
        purse.refuse(amount, self._clock.ticks())
        return Short(purse, amount)

    def _wake_those_who_fit(self) -> None:
        at, journal = self._now(), self._journal.id
        for name, waiting in tuple(self._waiting.items()):
            for purse in self._named(name):
                one = purse.usable(journal, at)
                room = one.room if one is not None else -1
                if room >= purse.dry:
                    purse.dry = 0
                for waiter in waiting:
                    if waiter.future.done():
                        continue
                    if waiter.amount > room:
                        break
                    room -= waiter.amount
                    waiter.future.set_result(None)

    def _refuse_the_hopeless(self, told: Mapping[str, Answer]) -> None:
        """Refuse at once where nobody has anything that could come back."""
        for name, answer in told.items():
            for purse in self._named(name):
                if purse.slice is None or not purse.slice.period.holds(answer.now):
                    continue
                left = purse.may_return(answer)
                for waiter in tuple(self._waiting.get(name, ())):
                    if not waiter.future.done() and waiter.asked and waiter.amount > left:
                        waiter.future.set_result(self._dry(purse, waiter.amount))

    def _lost(self, fault: Exception) -> None:
        inside = fault.inside if isinstance(fault, TrunklineError) else f"{type(fault).__name__}: {fault}"
        if not self._away:
            log.warning("the store grants nothing; calls go on within what is leased: %s", inside)
        self._away = True
        for waiting in self._waiting.values():
            for waiter in waiting:
                if not waiter.future.done():
                    refusal = Unavailable(AWAY, code="store_unavailable", inside=inside, retry_after=5)
                    waiter.future.set_result(refusal)

    async def _rest(self) -> None:
        """Wait until something is to be asked; while calls wait in vain, not for long."""
        again = any(waiter.asked for waiting in self._waiting.values() for waiter in waiting)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY if again else TICK):
                await self._wake.wait()
        self._wake.clear()

    async def _look_around(self) -> None:
        """Give back what is not needed where somebody elsewhere goes without."""
        names = [name for name, purse in self._purses.items() if purse.account.hard and purse.room > 0]
        if not names:
            return
        try:
            short = await asyncio.to_thread(self._store.short, names)
        except Unavailable:
            return
        now = self._clock.ticks()
        for name in short:
            for purse in self._named(name):
                purse.tighten(now)
                self._wake.set()
