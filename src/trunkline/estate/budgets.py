from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a budget or limit binds: exactly one of these."""

    unit: str | None = None
    use_case: str | None = None
    key: str | None = None
    boundary: str | None = None
    deployment: str | None = None
    person: str | None = None
    end_customer: str | None = None


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that a node may spend in a period. A hard one is never overshot; a soft one warns at its thresholds."""

    on: Node
    per: Literal["day", "week", "month", "quarter"]
    amount: Decimal
    hard: bool = False
    warn_at: tuple[Decimal, ...] = ()
    time_zone: str | None = None


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens and requests per minute and day, and calls at once, that a node may use."""

    on: Node
    tpm: int | None = None
    rpm: int | None = None
    tpd: int | None = None
    rpd: int | None = None
    concurrency: int | None = None
