"""The program of one worker: `python -m trunkline.app.worker CHANNEL LISTENER LOCK`, descriptors all three.

The channel leads to the process that started it; its end means that process is gone, and the worker ends, too. The
listener is shared by all workers. The lock is kept open and never used: the data folder stays held until the last
process of the exchange is gone.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import threading
from contextlib import AsyncExitStack
from typing import NoReturn

import msgspec
import uvloop

from trunkline.app.answering import Answering
from trunkline.app.applied import load_applied
from trunkline.app.channel import Channel, ChannelFault
from trunkline.app.engine_room import readiness
from trunkline.app.garbage import building
from trunkline.app.ground import Checked, Ground, check
from trunkline.app.orders import (
    Apply,
    Begun,
    Count,
    Done,
    Farewell,
    Orders,
    Quiet,
    Scrape,
    Stop,
    Surrounding,
    ToWorker,
    Whole,
)
from trunkline.app.signals import Signals
from trunkline.clock import SystemClock
from trunkline.errors import TrunklineError, Unavailable, Unstartable
from trunkline.gateway.exchange import Readiness
from trunkline.observability import log
from trunkline.observability.metrics import Metrics, Readings
from trunkline.observability.scrape import render
from trunkline.observability.tally import add, take
from trunkline.serving.specs import EngineState
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.place import place_of
from trunkline.upstream.health import Mark
from trunkline.upstream.turns import Queued

ORPHAN_PATIENCE = 3.0
"""Seconds that an orphaned worker has to settle its calls before it ends without."""
SCRAPE_WITHIN = 3.0
ORPHANED = 70


def run(channel: int, listener: int, lock: int) -> None:
    """Answer calls until told to stop.

    Raises:
        Unstartable: it cannot begin; the message says why.
    """
    for descriptor in (channel, listener, lock):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library takes it so
    end = socket.socket(fileno=channel)
    threading.Thread(target=_end_with_the_parent, args=(end.dup(),), daemon=True, name="lifeline").start()
    end.setblocking(False)  # noqa: FBT003 - the same
    uvloop.run(_live(end, socket.socket(fileno=listener)))


def _end_with_the_parent(end: socket.socket) -> NoReturn:
    """End this process some time after its parent, even if the loop hangs."""
    poll = select.poll()
    poll.register(end, 0)  # A hang-up is always reported.
    poll.poll()
    threading.Event().wait(ORPHAN_PATIENCE)
    os._exit(ORPHANED)


async def _live(end: socket.socket, listener: socket.socket) -> None:
    signals = Signals.heard()
    channel: Channel[ToWorker] = await Channel.over(end, ToWorker)
    orders = await channel.receive()
    if isinstance(orders, Orders):
        log.configure(orders.options.log_level, log.Style(orders.options.log_style))
        await Worker(channel, orders, signals).run(listener)


class Worker:
    """One process that answers."""

    def __init__(self, channel: Channel[ToWorker], orders: Orders, signals: Signals) -> None:
        self._channel = channel
        self._orders = orders
        self._signals = signals
        self._surrounding = orders.surrounding
        self._answering: Answering | None = None
        self._ground: Ground | None = None

    async def run(self, listener: socket.socket) -> None:
        """Begin, answer, drain; the parent's end, too, is a reason to stop."""
        options = self._orders.options
        async with AsyncExitStack() as stack:
            folder = DataFolder(options.data)
            store = stack.enter_context(open_store(place_of(folder, options.store)))
            self._ground = Ground(options, folder, store, SystemClock(), self._orders.exchange)
            with building():
                checked = check(self._ground, load_applied(options.data), self._surrounding.addresses)
            self._answering = answering = Answering(
                self._ground, checked, self._orders.journal_folder, engines=self._engines, readiness=self._readiness
            )
            answering.tell_too(self._channel.tell)
            answering.exchange.scrape = self._scrape
            answering.exchange.waiting.tell = self._channel.tell
            stack.push_async_callback(self._say_farewell)
            answering.begin(stack)
            listening = asyncio.create_task(self._listen())
            await answering.listen(stack, self._signals, listener)
            self._channel.tell(Begun())
            await self._signals.stop.wait()
        listening.cancel()

    def hear(self, news: ToWorker) -> None:
        """Take notice of what is around."""
        match news:
            case Surrounding():
                self._surrounding = news
                if self._answering is not None:
                    self._answering.engines_at(news.addresses)
            case Stop():
                self._signals.stop.set()
                if news.at_once:
                    self._signals.at_once.set()
            case Mark():
                if self._answering is not None:
                    self._answering.exchange.hear(news)
            case Queued():
                if self._answering is not None:
                    self._answering.exchange.waiting.hear(news)
            case _:
                raise ChannelFault(f"{type(news).__name__} is no news")

    async def answer(self, question: ToWorker) -> object:
        """Do what the parent asks for."""
        answering = self._answering
        if answering is None:
            raise ChannelFault("the worker has not begun")
        match question:
            case Apply():
                with building():
                    checked = await asyncio.to_thread(self._check, question.version)
                    await answering.swap(checked, frozenset(question.retired))
            case Quiet():
                await answering.quiet(question.deployments, question.within)
            case Count():
                return await asyncio.to_thread(take, answering.exchange.metrics)
            case _:
                raise ChannelFault(f"{type(question).__name__} is no question")
        return Done()

    async def _listen(self) -> None:
        """Hear the parent out; when it is gone, cut off what runs and end."""
        try:
            await self._channel.listen(self)
        finally:
            self._signals.stop.set()
            self._signals.at_once.set()

    def _check(self, version: str) -> Checked:
        ground = self._ground
        if ground is None:
            raise ChannelFault("the worker has not begun")
        loaded = load_applied(ground.options.data)
        if loaded.estate.version != version:
            raise Unstartable(f"the applied estate is {loaded.estate.version}, but {version} is to be put in force")
        return check(ground, loaded, self._surrounding.addresses)

    def _engines(self) -> dict[str, EngineState]:
        return self._surrounding.engines

    def _readiness(self) -> Readiness:
        engines = readiness(self._surrounding.engines)
        waiting = engines.waiting + self._surrounding.waiting
        return Readiness(ready=not waiting, waiting=waiting)

    async def _scrape(self, accept: str) -> tuple[bytes, str]:
        """Render the counts of all workers."""
        if self._answering is None:
            raise Unavailable("The worker has not begun.", retry_after=1)
        try:
            whole = await self._channel.ask(Scrape(), Whole, SCRAPE_WITHIN)
        except ChannelFault as fault:
            message = "The counts of all workers did not come in time; try again."
            raise Unavailable(message, inside=f"{message} {fault.inside}", retry_after=1) from fault
        own = self._answering.exchange.metrics
        return await asyncio.to_thread(_render, own, whole, accept)

    async def _say_farewell(self) -> None:
        if self._answering is not None:
            self._channel.tell(Farewell(take(self._answering.exchange.metrics)))
        await self._channel.close()


def _render(own: Metrics, whole: Whole, accept: str) -> tuple[bytes, str]:
    tally = whole.tally
    readings: Readings = msgspec.structs.replace(
        own.readings,
        connections=lambda: tally.connections,
        journal_lag=lambda: tally.journal_lag,
        store_away=lambda: tally.store_away,
        drained=lambda: tally.drained,
        workers=lambda: whole.workers,
        loads=lambda: tally.loads,
    )
    shown = Metrics(own.currency, readings)
    add(shown, tally)
    return render(shown, accept, whole.processes)


if __name__ == "__main__":
    try:
        run(*map(int, sys.argv[1:4]))
    except TrunklineError as stopped:
        sys.stderr.write(f"trunkline: {stopped.inside}\n")
        sys.exit(1)
