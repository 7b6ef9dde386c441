from __future__ import annotations

from typing import Literal

import msgspec

from trunkline.estate.names import (
    BoundaryName,
    Count,
    DeploymentName,
    Moment,
    Portion,
    SomeAmount,
    UnitName,
    UseCaseName,
)


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a budget or limit binds: exactly one of these.

    A `person` is named as in `trunkline key create --person`, to the letter; all keys of that person draw
    on it together.
    """

    unit: UnitName | None = None
    use_case: UseCaseName | None = None
    key: str | None = None
    boundary: BoundaryName | None = None
    deployment: DeploymentName | None = None
    person: str | None = None
    end_customer: str | None = None


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that a node may spend in a period. A hard one is never overshot; a soft one warns at its thresholds.

    The period begins anew each day, week, month or quarter (`per`), or lies between two dates (`from`, `until`; both
    days belong to it).
    """

    on: Node
    amount: SomeAmount
    per: Literal["day", "week", "month", "quarter"] | None = None
    since: Moment | None = msgspec.field(default=None, name="from")
    until: Moment | None = None
    hard: bool = False
    warn_at: tuple[Portion, ...] = ()
    time_zone: str | None = None


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens and requests per minute and day, and calls at once, that a node may use."""

    on: Node
    tpm: Count | None = None
    rpm: Count | None = None
    tpd: Count | None = None
    rpd: Count | None = None
    concurrency: Count | None = None
