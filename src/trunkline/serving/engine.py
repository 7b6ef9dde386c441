"""The engines of one exchange: started, watched, started again, ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import msgspec

from trunkline.errors import EngineUnusable
from trunkline.estate.endpoints import Address
from trunkline.serving.cores import count_cores, share_cores
from trunkline.serving.engine_log import EngineLog
from trunkline.serving.process import EngineDied, launch
from trunkline.serving.specs import EngineSpec, EngineState, Pace, Stage
from trunkline.serving.weights import Weights, find_weights

OnChange = Callable[[str, Address | None], None]
Report = Callable[[str], None]


class Engines:
    """Keeps one process per deployment.

    Args:
        specs: what to run.
        data: the exchange's data folder; made weights, hashes and logs go there.
        on_change: called on the event loop with a deployment's new address when it is ready, with None at once when it
            is lost. It must not raise.
        report: takes lines of progress for people.
        pace: how patiently engines are watched.
    """

    def __init__(
        self, specs: Iterable[EngineSpec], data: Path, on_change: OnChange, report: Report, *, pace: Pace | None = None
    ) -> None:
        self._specs = tuple(specs)
        self._data = data
        self._on_change = on_change
        self._report = report
        self._pace = pace or Pace()
        self._keepers: dict[str, _Keeper] = {}

    async def start(self) -> None:
        """Find all weights, then start all engines; does not wait until they are ready.

        Raises:
            EngineUnusable: weights are missing or not what was declared; nothing was started.
        """
        await self.apply(self._specs)

    async def apply(self, specs: Iterable[EngineSpec]) -> None:
        """Run these engines from now on: ends those gone or changed, starts those new or changed, leaves the others.

        Raises:
            EngineUnusable: weights are missing or not what was declared; nothing was changed.
        """
        self._specs = tuple(specs)
        found = await self.look_for(self._specs)
        wanted = {spec.deployment: spec for spec in self._specs}
        threads = share_cores({name: weights.kind for name, weights in found.items()}, count_cores())
        await self.drop([name for name, keeper in self._keepers.items() if wanted.get(name) != keeper.spec])
        for name, spec in wanted.items():
            if name not in self._keepers:
                log = EngineLog(self._data / "engines" / f"{quote(name, safe='')}.log")
                keeper = _Keeper(spec, found[name], threads[name], log, self._pace)
                self._keepers[name] = keeper
                keeper.begin(self._on_change, self._report)

    async def look_for(self, specs: Iterable[EngineSpec]) -> dict[str, Weights]:
        """Find the weights of engines without starting any, by deployment.

        Raises:
            EngineUnusable: weights are missing or not what was declared.
        """
        return {spec.deployment: await asyncio.to_thread(self._find, spec) for spec in specs}

    async def drop(self, deployments: Iterable[str]) -> None:
        """End the engines of these deployments, where there are any."""
        keepers = [self._keepers.pop(name) for name in deployments if name in self._keepers]
        await asyncio.gather(*(keeper.stop() for keeper in keepers))

    async def ready(self) -> None:
        """Wait until every engine has been ready once.

        Raises:
            EngineUnusable: one has failed for good; names it and says why.
        """
        await asyncio.gather(*(keeper.ready() for keeper in self._keepers.values()))

    def state(self, deployment: str) -> EngineState:
        """How the engine of a deployment fares.

        Raises:
            KeyError: no engine runs for it.
        """
        return self._keepers[deployment].state

    def states(self) -> dict[str, EngineState]:
        """How each engine fares, by deployment."""
        return {name: keeper.state for name, keeper in self._keepers.items()}

    async def stop(self) -> None:
        """End all engines; returns when their processes are gone, within some seconds."""
        keepers, self._keepers = self._keepers, {}
        await asyncio.gather(*(keeper.stop() for keeper in keepers.values()))

    def _find(self, spec: EngineSpec) -> Weights:
        return find_weights(spec.model, spec.weights, spec.sha256, self._data, self._report)


class _Keeper:
    """Keeps the engine of one deployment alive."""

    def __init__(self, spec: EngineSpec, weights: Weights, threads: int, log: EngineLog, pace: Pace) -> None:
        self.spec = spec
        self.state = EngineState(Stage.STARTING, "loading its weights")
        self._weights = weights
        self._threads = threads
        self._log = log
        self._pace = pace
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, on_change: OnChange, report: Report) -> None:
        """Start keeping."""
        self._task = asyncio.create_task(self._keep(on_change, report), name=f"engine {self.spec.deployment}")

    async def ready(self) -> None:
        """Wait until it has been ready once; raises EngineUnusable if it never will."""
        await self._settled.wait()
        if self.state.stage is Stage.FAILED:
            raise EngineUnusable(f"the engine of {self.spec.deployment} does not start: {self.state.detail}")

    async def stop(self) -> None:
        """End keeping and the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._log.close()

    async def _keep(self, on_change: OnChange, report: Report) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._live(on_change, report)
            except EngineDied as died:
                detail = died.message
            failures = 1 if time.monotonic() - began > self._pace.calm else failures + 1
            name = self.spec.deployment
            if not self._settled.is_set() and failures >= self._pace.first_tries:
                self.state = EngineState(Stage.FAILED, detail, restarts=self.state.restarts)
                self._settled.set()
                report(f"engine {name} failed: {detail}")
                return
            wait = min(self._pace.back_off * 2 ** (failures - 1), self._pace.most_back_off)
            self.state = EngineState(Stage.RESTARTING, detail, restarts=self.state.restarts + 1)
            report(f"engine {name}: {detail}; starting it again in {wait:g} s")
            await asyncio.sleep(wait)

    async def _live(self, on_change: OnChange, report: Report) -> NoReturn:
        """Run one process to its end, which is always an EngineDied."""
        name, began = self.spec.deployment, time.monotonic()
        process = await launch(self.spec, self._weights, self._threads, self._log)
        try:
            self.state = msgspec.structs.replace(self.state, pid=process.pid)
            address = await process.ready(self._pace)
            report(f"engine {name} is ready after {time.monotonic() - began:.1f} s ({self.spec.model})")
            self.state = EngineState(Stage.READY, pid=process.pid, restarts=self.state.restarts)
            on_change(name, address)
            self._settled.set()
            try:
                raise EngineDied(await process.watch(address, self._pace))
            finally:
                self.state = EngineState(Stage.RESTARTING, "it is ending", restarts=self.state.restarts)
                on_change(name, None)
        finally:
            await process.end(self._pace.farewell)
