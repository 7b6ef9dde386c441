"""Starts an exchange and runs it to its end: folder, estate, store, journal, engines, socket, in this order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import uvloop

from trunkline.app.answering import Answering
from trunkline.app.beginning import announce, become_ready, begin, welcome
from trunkline.app.engine_room import EngineRoom, readiness
from trunkline.app.following import follow
from trunkline.app.front import front
from trunkline.app.listening import inherited
from trunkline.app.options import Options
from trunkline.app.signals import Signals
from trunkline.app.supervise import supervise
from trunkline.app.welcome import Announcer
from trunkline.estate.endpoints import Address
from trunkline.gateway.exchange import Readiness


def up(options: Options, announcer: Announcer) -> None:
    """Run an exchange until it is told to stop by SIGINT or SIGTERM.

    Raises:
        Unstartable: it cannot start; the message says why and what to do.
    """
    front(options, trial=True)  # What it refuses, it refuses before anything begins.
    if options.workers > 1:
        supervise(options, announcer)
    else:
        uvloop.run(_Run(options, announcer).run())


class _Run:
    """One run of an exchange in one process."""

    def __init__(self, options: Options, announcer: Announcer) -> None:
        self._options = options
        self._announcer = announcer
        self._room = EngineRoom(options.data, announcer.progress, self._engine_changed, engines=options.engines)
        self._answering: Answering | None = None

    async def run(self) -> None:
        """Start, answer, stop; whatever was begun is ended in the opposite order."""
        signals = Signals.heard()
        options, announcer, room = self._options, self._announcer, self._room
        async with AsyncExitStack() as stack:
            start = await begin(stack, options, announcer, signals)
            ground, checked = start.ground, start.checked
            answering = self._answering = Answering(
                ground, checked, ground.folder.journal_folder, engines=room.states, readiness=self._readiness
            )
            answering.begin(stack)
            stack.push_async_callback(room.stop)
            await room.start(checked.loaded.estate)
            await answering.listen(stack, signals, inherited())
            announce(start, answering.port)
            reloading = partial(start.reloading.follow, room, answering, answering.exchange.metrics)
            follow(stack, "following the estate", reloading)
            if await become_ready(room.ready(), signals):
                announcer.welcome(welcome(start, answering.port, answering.exchange.snapshot, room.states()))
                await signals.stop.wait()
            announcer.progress("Stopping: running calls may finish.")

    def _engine_changed(self, deployment: str, address: Address | None) -> None:
        if self._answering is not None:
            self._answering.engine_changed(deployment, address)

    def _readiness(self) -> Readiness:
        return readiness(self._room.states())
