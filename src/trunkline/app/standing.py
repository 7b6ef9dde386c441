from __future__ import annotations

from collections.abc import Mapping

from trunkline.app.welcome import Standing
from trunkline.estate.snapshot import Snapshot
from trunkline.observability.metrics import UpstreamState
from trunkline.serving.specs import EngineState, Stage

STATES = {
    Stage.STARTING: UpstreamState.STARTING,
    Stage.RESTARTING: UpstreamState.DOWN,
    Stage.FAILED: UpstreamState.DOWN,
}


def standings(snapshot: Snapshot, engines: Mapping[str, EngineState]) -> tuple[Standing, ...]:
    """Tell how each deployment stands, in the order of the estate."""
    return tuple(
        Standing(
            deployment=name,
            pattern=endpoint.pattern,
            model=endpoint.model,
            state=_state(name, endpoint.missing, engines),
            reason=endpoint.missing,
        )
        for name, endpoint in snapshot.endpoints.items()
    )


def _state(deployment: str, missing: str, engines: Mapping[str, EngineState]) -> UpstreamState:
    if not missing:
        return UpstreamState.READY
    engine = engines.get(deployment)
    return UpstreamState.NOT_CONFIGURED if engine is None else STATES.get(engine.stage, UpstreamState.STARTING)
