from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from trunkline.estate.names import Count, DeploymentName, Portion, UnitName

Tier = (
    Annotated[tuple[DeploymentName, ...], msgspec.Meta(min_length=1)]
    | Annotated[dict[DeploymentName, Count], msgspec.Meta(min_length=1)]
)
"""Equals: a list of them, or each with its weight, by which calls are shared out: `{gpt-payg: 3, gpt-saas: 1}`."""


class Lend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom idle capacity is lent, and how much of the pool at most (a share between 0 and 1)."""

    to: tuple[UnitName, ...] = ()
    at_most: Portion = Decimal(1)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit has of a pool: guaranteed, and at most borrowed beyond it (shares between 0 and 1)."""

    guarantee: Portion = Decimal(0)
    borrow: Portion = Decimal(1)


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deployments shared under one owner, in tiers: the first tier is tried first.

    A tier is a list of equals, of which the least loaded is taken, or gives each a weight: `{gpt-a: 3, gpt-b: 1}`.

    Where less than `min_healthy` of the pool (a share between 0 and 1) is in good health, those of it that fail only
    now and then get calls like the others: or what is left would break under all of them. 0 never does so.
    """

    owner: UnitName
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(min_length=1)]
    lend: Lend | None = None
    shares: dict[UnitName, Share] = {}
    min_healthy: Portion = Decimal("0.5")
