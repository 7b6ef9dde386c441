from __future__ import annotations

from decimal import Decimal

import msgspec


class Lend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom idle capacity is lent, and how much of the pool at most (a share between 0 and 1)."""

    to: tuple[str, ...] = ()
    at_most: Decimal = Decimal(1)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit has of a pool: guaranteed, and at most borrowed beyond it (shares between 0 and 1)."""

    guarantee: Decimal = Decimal(0)
    borrow: Decimal = Decimal(1)


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deployments shared under one owner, in tiers: the first tier is tried first."""

    owner: str
    tiers: tuple[tuple[str, ...], ...]
    lend: Lend | None = None
    shares: dict[str, Share] = {}
