from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.gateway.exchange import Readiness
from trunkline.serving.engine import Engines
from trunkline.serving.specs import EngineState, Stage, specs_of

OnChange = Callable[[str, Address | None], None]
Report = Callable[[str], None]


class EngineRoom:
    """The engines of the applied estate, or none where the exchange is to run none.

    Args:
        data: the data folder.
        report: takes lines of progress for people.
        on_change: told of every engine that comes or goes.
        engines: whether to run any.
    """

    def __init__(self, data: Path, report: Report, on_change: OnChange, *, engines: bool) -> None:
        self._on_change = on_change
        self._runs = engines
        self._retired: frozenset[str] = frozenset()
        self._estate: Estate | None = None
        self._engines = Engines((), data, self._changed, report)
        self.addresses: dict[str, Address] = {}

    async def start(self, estate: Estate) -> None:
        """Start the engines of the first estate.

        Raises:
            EngineUnusable: weights are missing or not what was declared; nothing was started.
        """
        self._estate = estate
        if self._runs:
            await self._engines.apply(specs_of(estate))

    async def look_at(self, estate: Estate) -> frozenset[str]:
        """Hold another estate's engines against what is there; return the deployments whose engines would end.

        Raises:
            EngineUnusable: weights are missing or not what was declared.
        """
        if not self._runs or self._estate is None:
            return frozenset()
        wanted = specs_of(estate)
        await self._engines.look_for(wanted)
        return frozenset(spec.deployment for spec in specs_of(self._estate) if spec not in wanted)

    def retire(self, deployments: frozenset[str]) -> None:
        """Give no addresses of these engines any more: another estate is in force. They run until `change`."""
        self._retired = deployments
        self.addresses = {name: address for name, address in self.addresses.items() if name not in deployments}

    async def change(self, estate: Estate) -> None:
        """End and start engines as another estate has them; those that it leaves as they are go on.

        Raises:
            EngineUnusable: weights vanished since they were looked at.
        """
        self._estate = estate
        if not self._runs:
            return
        gone = self._retired
        await self._engines.drop(gone)
        self._retired = frozenset()
        await self._engines.apply(specs_of(estate))

    async def ready(self) -> None:
        """Wait until every engine has been ready once.

        Raises:
            EngineUnusable: one has failed for good; names it and says why.
        """
        await self._engines.ready()

    def states(self) -> dict[str, EngineState]:
        """How each engine fares, by deployment."""
        return self._engines.states()

    async def stop(self) -> None:
        """End all engines."""
        await self._engines.stop()

    def _changed(self, deployment: str, address: Address | None) -> None:
        if deployment in self._retired:
            return
        if address is None:
            self.addresses.pop(deployment, None)
        else:
            self.addresses[deployment] = address
        self._on_change(deployment, address)


def readiness(states: dict[str, EngineState]) -> Readiness:
    """Say whether all engines answer, and which do not."""
    waiting = tuple(f"engine {name}: {one.stage}" for name, one in states.items() if one.stage is not Stage.READY)
    return Readiness(ready=not waiting, waiting=waiting)
