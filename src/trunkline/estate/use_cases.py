from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.estate.names import (
    AudienceName,
    Count,
    DataClassName,
    ModelName,
    Moment,
    Name,
    PoolName,
    UnitName,
    UseCaseName,
)
from trunkline.estate.trials import Shadow, Split


class State(StrEnum):
    """Where a use case stands in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Priority(StrEnum):
    """Which calls go first where capacity is short, and which are refused last."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits on what a request may ask for.

    `max_output_tokens` bounds each answer: more is lowered to it, none is set to it. `tools` says whether a request
    may offer tools at all, or which types of them. `modalities` lists what prompts and answers may be, `text` always.
    `answers` is the most answers to one request (`n`), `max_request_bytes` its largest size.
    """

    max_output_tokens: Count | None = None
    tools: bool | tuple[str, ...] | None = None
    modalities: tuple[Literal["text", "image", "audio", "file"], ...] | None = None
    answers: Count | None = None
    max_request_bytes: Count | None = None


class Keeper(StrEnum):
    """Who keeps answers, so that a conversation goes on from them."""

    EXCHANGE = "exchange"
    DEPLOYMENT = "deployment"


class Keeping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How answers and conversations are kept that OpenAI's Responses go on from by their ids.

    These are `store`, `previous_response_id`, `conversation` and `item_reference`, and `/v1/conversations`.

    The `exchange` keeps them itself, before deployments of every dialect, where their data class allows it, and erases
    each so many `days` after it was made (30 where none are given); no more of each unit than `most` answers and as
    many conversations at once (a million where that is not given). Or a `deployment` that speaks Responses keeps its
    own, where policy lets it; then the exchange erases nothing.
    """

    by: Keeper = Keeper.EXCHANGE
    days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None
    most: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None


DAYS_KEPT = 30
"""How many days the exchange keeps answers where a use case does not say; as long as OpenAI keeps its own."""


MOST_KEPT = 1_000_000
"""How many answers, and how many conversations, the exchange keeps of one unit where a use case does not say."""


def days_kept(keeps: Keeping) -> int:
    """Return after how many days the exchange erases an answer."""
    return DAYS_KEPT if keeps.days is None else keeps.days


def most_kept(keeps: Keeping) -> int:
    """Return how many answers, and how many conversations, the exchange keeps of one unit."""
    return MOST_KEPT if keeps.most is None else keeps.most


class UseCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The unit that callers name in `model`: who may use it, with which data, on which pools.

    `audience` names units (all below them included), groups (`oidc:...`) and keys. `patterns`, where given, are the
    only patterns allowed. `direct` lists models that its audience may also name by themselves.

    A call goes to the model of the first deployment that is allowed and configured, and to further deployments of it;
    then to the model that leads each further pool. No other model follows within a pool, and none at all where
    `substitutes` is given, but for those that it names: `vendor/name`, or `vendor/name@version`.

    `splits` share calls out among models or deployments of its pools, `shadows` send copies of calls elsewhere.

    `uncarried` says what becomes of fields that a deployment of another dialect cannot carry: the request is refused
    there, or they are dropped and named in the answer's header `x-trunkline-dropped`.

    `keeps` says who keeps answers of OpenAI's Responses, and for how long; without it nobody does.

    A draft answers its owner unit alone. A deprecated one, as it is since `deprecated_at`, answers with a warning that
    names its `successor` and when it `retires`; from then on it is retired, and answers only who took its place.

    Where capacity is short, calls of a higher `priority` go first, and those of a lower one are refused first. `wait`
    is how many seconds a call waits at most for its turn; 0 refuses it at once.
    """

    owner: UnitName
    audience: Annotated[tuple[AudienceName, ...], msgspec.Meta(min_length=1)]
    data_class: DataClassName
    pools: Annotated[tuple[PoolName, ...], msgspec.Meta(min_length=1)]
    patterns: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)] | None = None
    direct: tuple[ModelName, ...] = ()
    substitutes: tuple[ModelName, ...] | None = None
    splits: dict[Name, Split] = {}
    shadows: dict[Name, Shadow] = {}
    instructions: str | None = None
    purpose: str | None = None
    parameters: Parameters | None = None
    data_sets: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    state: State = State.ACTIVE
    priority: Priority = Priority.NORMAL
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    uncarried: Literal["refuse", "drop"] = "refuse"
    keeps: Keeping | None = None
    successor: UseCaseName | None = None
    deprecated_at: Moment | None = None
    retires: Moment | None = None
    version: str | int | None = None
