"""Who keeps the answers of a use case under a class, and for how long: as it is explained, compared and warned of."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.estate.decisions import Decision
from trunkline.estate.use_cases import Keeper, days_kept
from trunkline.policy.failover import as_configured

STORED: Final = "stored_answer"
"""The feature of requests whose answers a provider stores."""
KEEPING_DIALECT: Final = "responses"
NOBODY: Final = "nobody"


class Kept(msgspec.Struct, frozen=True):
    """What becomes of answers.

    Attributes:
        by: who keeps them; None where nobody does.
        days: how long; None where nobody does, or a provider says it.
        where: the deployments that keep them, where such do.
        refused: why those that are declared to keep them may not, be it some of several deployments.
    """

    by: Keeper | None = None
    days: int | None = None
    where: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """All of it, for people."""
        if self.by is Keeper.EXCHANGE:
            said = f"the exchange, for {self.days} day{'' if self.days == 1 else 's'}"
        elif self.by is Keeper.DEPLOYMENT:
            said = f"{', '.join(self.where)}, as long as its provider says"
        else:
            said = NOBODY
        return "; ".join((said, *(f"not kept: {why}" for why in self.refused)))


def kept_under(decision: Decision) -> Kept:
    """Return who keeps the answers of what is decided, with all configured that policy allows."""
    keeps = decision.keeps
    if keeps is None:
        return Kept()
    if keeps.by is Keeper.EXCHANGE:
        if decision.unkept:
            return Kept(refused=tuple(f"{one.rule}, but {one.claim}" for one in decision.unkept))
        return Kept(Keeper.EXCHANGE, days_kept(keeps))
    able = tuple(one.deployment for one in as_configured(decision).endpoints if one.dialect == KEEPING_DIALECT)
    denied = {one: decision.features.get(one, {}).get(STORED) for one in able}
    where = tuple(one for one in able if denied[one] is None)
    refused = tuple(f"at {one}, {denial.rule}, but {denial.claim}" for one, denial in denied.items() if denial)
    if not able:
        refused = (f"no deployment that it may use speaks {KEEPING_DIALECT}",)
    return Kept(Keeper.DEPLOYMENT if where else None, None, where, refused)


def loosens(before: Kept, after: Kept) -> bool:
    """Whether more is kept, longer, or in another place than before."""
    if after.by is None:
        return False
    if before.by is not after.by:
        return True
    if after.by is Keeper.DEPLOYMENT:
        return not set(after.where) <= set(before.where)
    return (after.days or 0) > (before.days or 0)
