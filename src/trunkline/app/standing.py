from __future__ import annotations

from trunkline.app.welcome import Standing
from trunkline.estate.stages import Snapshot
from trunkline.observability.metrics import UpstreamState
from trunkline.serving.engine import Engines
from trunkline.serving.specs import Stage

STATES = {
    Stage.STARTING: UpstreamState.STARTING,
    Stage.RESTARTING: UpstreamState.DOWN,
    Stage.FAILED: UpstreamState.DOWN,
}


def standings(snapshot: Snapshot, engines: Engines | None) -> tuple[Standing, ...]:
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


def _state(deployment: str, missing: str, engines: Engines | None) -> UpstreamState:
    if not missing:
        return UpstreamState.READY
    engine = engines.states().get(deployment) if engines is not None else None
    return UpstreamState.NOT_CONFIGURED if engine is None else STATES.get(engine.stage, UpstreamState.STARTING)
