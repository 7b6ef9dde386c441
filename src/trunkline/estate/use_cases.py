from __future__ import annotations

from enum import StrEnum

import msgspec

from trunkline.estate.deployments import Pattern


class State(StrEnum):
    """Where a use case stands in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits on what a request may ask for."""

    max_output_tokens: int | None = None
    tools: bool | None = None
    modalities: tuple[str, ...] | None = None


class UseCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The unit that callers name in `model`: who may use it, with which data, on which pools.

    `audience` names units (all below them included), groups (`oidc:...`) and keys. `patterns`, where given, are the
    only patterns allowed. `direct` lists models that its audience may also name by themselves.
    """

    owner: str
    audience: tuple[str, ...]
    data_class: str
    pools: tuple[str, ...]
    patterns: tuple[Pattern, ...] | None = None
    direct: tuple[str, ...] = ()
    instructions: str | None = None
    purpose: str | None = None
    parameters: Parameters | None = None
    data_sets: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    state: State = State.ACTIVE
    successor: str | None = None
    version: str | int | None = None
