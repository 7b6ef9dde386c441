"""The first process of an exchange with several workers: it answers no calls itself.

It holds the data folder and the socket, runs the engines, follows the estate, and keeps the workers alive. On its
plain event loop nothing is in a hurry.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from trunkline.app.beginning import announce, become_ready, begin, welcome
from trunkline.app.engine_room import EngineRoom
from trunkline.app.following import follow
from trunkline.app.listening import inherited
from trunkline.app.options import Options
from trunkline.app.orders import Surrounding
from trunkline.app.signals import Signals
from trunkline.app.welcome import Announcer
from trunkline.app.workers import Workers
from trunkline.estate.endpoints import Address
from trunkline.wire.server import bind

TELL_EVERY = 0.2
"""Seconds between two looks whether the engines fare otherwise than the workers know."""


class Supervisor:
    """One run of an exchange with several workers."""

    def __init__(self, options: Options, announcer: Announcer) -> None:
        self._options = options
        self._announcer = announcer
        self._room = EngineRoom(options.data, announcer.progress, self._engine_changed, engines=options.engines)
        self._workers: Workers | None = None

    async def run(self) -> None:
        """Start, keep alive, stop; whatever was begun is ended in the opposite order."""
        signals = Signals.heard()
        options, announcer, room = self._options, self._announcer, self._room
        async with AsyncExitStack() as stack:
            start = await begin(stack, options, announcer, signals)
            checked, estate = start.checked, start.checked.loaded.estate
            stack.push_async_callback(room.stop)
            await room.start(estate)
            listener = stack.enter_context(inherited() or bind(options.host, options.port))
            port = int(listener.getsockname()[1])
            announce(start, port)  # Before the workers begin: they read the estate that is kept.
            workers = self._workers = Workers(start.ground, listener, start.lock, self._surrounding)
            stack.push_async_callback(workers.stop, signals.at_once)
            stack.callback(listener.close)  # Before the workers end: then nobody is taken in any more.
            workers.begin(estate.currency)
            follow(stack, "telling workers of engines", partial(self._keep_telling, workers))
            follow(stack, "counting", workers.keep_counting)
            follow(stack, "following the estate", partial(start.reloading.follow, room, workers, workers.metrics))
            if await become_ready(self._ready(workers), signals):
                announcer.welcome(welcome(start, port, checked.compiler.compile(), room.states()))
                await signals.stop.wait()
            announcer.progress("Stopping: running calls may finish.")

    async def _ready(self, workers: Workers) -> None:
        await workers.ready()
        await self._room.ready()

    async def _keep_telling(self, workers: Workers) -> None:
        told = self._surrounding()
        while True:
            await asyncio.sleep(TELL_EVERY)
            if (now := self._surrounding()) != told:
                told = now if workers.tell_surrounding() else told

    def _surrounding(self) -> Surrounding:
        waiting = self._workers.waiting() if self._workers is not None else ()
        return Surrounding(dict(self._room.addresses), self._room.states(), waiting)

    def _engine_changed(self, _deployment: str, _address: Address | None) -> None:
        if self._workers is not None:
            self._workers.tell_surrounding()


def supervise(options: Options, announcer: Announcer) -> None:
    """Run an exchange with several workers until it is told to stop.

    Raises:
        Unstartable: it cannot start; the message says why and what to do.
    """
    asyncio.run(Supervisor(options, announcer).run())
