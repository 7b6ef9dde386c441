"""What is known of an engine: what the estate asks of it, and how it fares."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from trunkline.estate.deployments import Deployment
from trunkline.estate.estate import Estate
from trunkline.serving.weights import BUILTIN


class EngineSpec(msgspec.Struct, frozen=True):
    """One deployment that the exchange runs itself.

    Attributes:
        alias: the model's name in the engine's answers.
        weights: `builtin` or the path of a GGUF file.
        slots: how many calls it works on at once.
        context: tokens of one slot.
    """

    deployment: str
    model: str
    alias: str
    weights: str = BUILTIN
    sha256: str | None = None
    slots: int = 4
    context: int = 2048


class Stage(StrEnum):
    """Where an engine is in its life."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


class EngineState(msgspec.Struct, frozen=True):
    """How an engine fares.

    Attributes:
        detail: why it is not ready, for the operator; empty when it is.
        pid: of the running process.
        restarts: since the exchange started.
    """

    stage: Stage
    detail: str = ""
    pid: int | None = None
    restarts: int = 0


class Pace(msgspec.Struct, frozen=True):
    """How patiently engines are watched; all in seconds but `probe_failures` and `first_tries`.

    Attributes:
        back_off: before the first restart; it doubles with each.
        most_back_off: the longest wait before a restart.
        calm: after so long in health, the back-off begins anew.
        start: the longest that weights may load.
        probe_every: between two looks at a ready engine.
        probe_timeout: a look that takes longer has failed.
        probe_failures: so many in a row end a hung engine.
        first_tries: so many starts in a row without ever being ready make a failed engine, which is left alone.
        farewell: how long an engine may take to end, before it is terminated, and again before it is killed.
    """

    back_off: float = 0.2
    most_back_off: float = 30.0
    calm: float = 60.0
    start: float = 600.0
    probe_every: float = 5.0
    probe_timeout: float = 5.0
    probe_failures: int = 3
    first_tries: int = 4
    farewell: float = 2.0


def specs_of(estate: Estate) -> tuple[EngineSpec, ...]:
    """Return the engines that the estate asks for, in its order."""
    return tuple(
        spec for name, deployment in estate.deployments.items() if (spec := _spec(name, deployment)) is not None
    )


def _spec(name: str, deployment: Deployment) -> EngineSpec | None:
    engine = deployment.engine
    if engine is None:
        return None
    return EngineSpec(
        deployment=name,
        model=deployment.model,
        alias=deployment.upstream_model or deployment.model.partition("/")[2] or deployment.model,
        weights=engine.weights,
        sha256=engine.sha256,
        slots=engine.slots,
        context=engine.context,
    )
