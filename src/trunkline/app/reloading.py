"""Puts a changed estate in force while the exchange runs, or says why not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from trunkline.app.applied import keep_applied, load_applied
from trunkline.app.engine_room import EngineRoom
from trunkline.app.garbage import building
from trunkline.app.ground import Checked, Ground, check
from trunkline.app.watching import EstateWatch
from trunkline.errors import TrunklineError
from trunkline.estate.load import Loaded, load
from trunkline.observability.metrics import Metrics, Reload

log = logging.getLogger("trunkline.app")


class Answerer(Protocol):
    """What answers calls under the estate: this process, or its workers."""

    async def swap(self, checked: Checked, retired: frozenset[str]) -> None:
        """Put another estate in force; nothing new is sent to the retired deployments."""
        ...

    async def quiet(self, deployments: Collection[str], within: float) -> None:
        """Wait until no attempt at these deployments is under way any more, but no longer than so many seconds."""
        ...


def read_estate(data: Path, estate: Path | None) -> Loaded:
    """Read the estate at a path, or the one that was applied last.

    Raises:
        BadEstate: it has faults.
        Unstartable: no path is given and none was applied yet.
    """
    return load(estate) if estate is not None else load_applied(data)


class Reloading:
    """Follows the estate's files and SIGHUP.

    Make it before the estate is read for the first time, so that no change slips through between.
    """

    def __init__(self, ground: Ground, asked: asyncio.Event) -> None:
        self._ground = ground
        self._asked = asked
        path = ground.options.estate
        self._watch = EstateWatch(path) if path is not None else None
        self._turn = asyncio.Lock()

    async def follow(self, room: EngineRoom, answerer: Answerer, metrics: Metrics) -> None:
        """Reload whenever the files change or it is asked for, for ever."""
        while True:
            await self._cause()
            await self.reload(room, answerer, metrics)

    async def reload(self, room: EngineRoom, answerer: Answerer, metrics: Metrics) -> Reload:
        """Read the estate again and put it in force; on any fault the one before goes on."""
        options = self._ground.options
        async with self._turn:
            try:
                with building():
                    loaded = await asyncio.to_thread(read_estate, options.data, options.estate)
                    retired = await self._apply(loaded, room, answerer)
                await self._finish(loaded, retired, room, answerer)
            except Exception as fault:  # noqa: BLE001 - the border: no file, however bad, may end what runs
                reason = fault.inside if isinstance(fault, TrunklineError) else f"{type(fault).__name__}: {fault}"
                log.error("the estate was not reloaded, the one before goes on: %s", reason)  # noqa: TRY400
                result = Reload.REFUSED
            else:
                log.info("the estate was reloaded", extra={"estate": loaded.estate.version})
                for notice in loaded.notices:
                    log.warning("%s", notice.message)
                result = Reload.APPLIED
            metrics.reloads[result] += 1
        return result

    async def _apply(self, loaded: Loaded, room: EngineRoom, answerer: Answerer) -> frozenset[str]:
        """Put a read estate in force; return the deployments whose engines end with the one before."""
        ground, estate = self._ground, loaded.estate
        retired = await room.look_at(estate)
        addresses = {name: where for name, where in room.addresses.items() if name not in retired}
        checked = await asyncio.to_thread(check, ground, loaded, addresses)
        await asyncio.to_thread(keep_applied, ground.folder.path, loaded.files, loaded.folder)
        room.retire(retired)
        await answerer.swap(checked, retired)
        return retired

    async def _finish(self, loaded: Loaded, retired: frozenset[str], room: EngineRoom, answerer: Answerer) -> None:
        if retired:
            # Calls under way at an engine that is to end finish first.
            await answerer.quiet(retired, self._ground.options.grace)
        await room.change(loaded.estate)

    async def _cause(self) -> None:
        """Wait for a reason to reload."""
        causes: set[asyncio.Task[object]] = {asyncio.create_task(self._asked.wait())}
        if self._watch is not None:
            causes.add(asyncio.create_task(self._watch.changed()))
        try:
            await asyncio.wait(causes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for cause in causes:
                cause.cancel()
        self._asked.clear()
