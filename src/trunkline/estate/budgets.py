from __future__ import annotations

from typing import Literal

import msgspec

from trunkline.estate.names import BoundaryName, Count, DeploymentName, Portion, SomeAmount, UnitName, UseCaseName


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a budget or limit binds: exactly one of these."""

    unit: UnitName | None = None
    use_case: UseCaseName | None = None
    key: str | None = None
    boundary: BoundaryName | None = None
    deployment: DeploymentName | None = None
    person: str | None = None
    end_customer: str | None = None


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that a node may spend in a period. A hard one is never overshot; a soft one warns at its thresholds."""

    on: Node
    per: Literal["day", "week", "month", "quarter"]
    amount: SomeAmount
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
