from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from trunkline.estate.names import DeploymentName, Portion, UnitName

Tier = Annotated[tuple[DeploymentName, ...], msgspec.Meta(min_length=1)]


class Lend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom idle capacity is lent, and how much of the pool at most (a share between 0 and 1)."""

    to: tuple[UnitName, ...] = ()
    at_most: Portion = Decimal(1)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit has of a pool: guaranteed, and at most borrowed beyond it (shares between 0 and 1)."""

    guarantee: Portion = Decimal(0)
    borrow: Portion = Decimal(1)


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deployments shared under one owner, in tiers: the first tier is tried first."""

    owner: UnitName
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(min_length=1)]
    lend: Lend | None = None
    shares: dict[UnitName, Share] = {}
