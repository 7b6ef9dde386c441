from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.estate.names import AudienceName, Count, DataClassName, ModelName, PoolName, UnitName, UseCaseName


class State(StrEnum):
    """Where a use case stands in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits on what a request may ask for."""

    max_output_tokens: Count | None = None
    tools: bool | None = None
    modalities: tuple[str, ...] | None = None


class UseCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The unit that callers name in `model`: who may use it, with which data, on which pools.

    `audience` names units (all below them included), groups (`oidc:...`) and keys. `patterns`, where given, are the
    only patterns allowed. `direct` lists models that its audience may also name by themselves.
    """

    owner: UnitName
    audience: Annotated[tuple[AudienceName, ...], msgspec.Meta(min_length=1)]
    data_class: DataClassName
    pools: Annotated[tuple[PoolName, ...], msgspec.Meta(min_length=1)]
    patterns: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)] | None = None
    direct: tuple[ModelName, ...] = ()
    instructions: str | None = None
    purpose: str | None = None
    parameters: Parameters | None = None
    data_sets: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    state: State = State.ACTIVE
    successor: UseCaseName | None = None
    version: str | int | None = None
