"""What was spent of a node before a budget on it was declared: from roll-ups for whole hours, else from attempts.

Roll-ups know no end customers and no persons; the attempts of one are found by an index of their own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from trunkline.metering.leases import Ask, Covers
from trunkline.store.posting import HOUR
from trunkline.store.schema import attempts, cells, rollups

BEFORE = "before:"
"""Before the name of an allowance and its period: the row of what was spent in the period before it was declared."""


ATTEMPTS_ONLY = frozenset({"end_customer", "person"})
"""What roll-ups are not kept apart by."""


def spent_before(connection: Connection, ask: Ask) -> int:
    """Return what the ledger has of an allowance's period until it was declared; open attempts at their hold."""
    since, until = ask.period.starts, min(ask.declared_at, ask.period.ends)
    covers = ask.covers
    if covers is None or since >= until:
        return 0
    first, last = -(-since // HOUR), until // HOUR
    parts = [_of_attempts(covers, since, until)]
    if first < last and covers.kind not in ATTEMPTS_ONLY:
        parts = [
            _of_attempts(covers, since, first * HOUR),
            _of_rollups(covers, first, last),
            _of_attempts(covers, last * HOUR, until),
        ]
    return sum(int(connection.execute(part).scalar_one()) for part in parts)


def _of_attempts(covers: Covers, since: int, until: int) -> Select[Any]:
    return select(func.coalesce(func.sum(attempts.c.cost), 0)).where(
        attempts.c.at >= since,
        attempts.c.at < until,
        attempts.c[covers.kind].in_(covers.names),
        attempts.c.currency == covers.currency,
    )


def _of_rollups(covers: Covers, first: int, last: int) -> Select[Any]:
    whole = select(func.coalesce(func.sum(rollups.c.cost), 0))
    return whole.select_from(rollups.join(cells, cells.c.id == rollups.c.cell)).where(
        rollups.c.hour >= first,
        rollups.c.hour < last,
        cells.c[covers.kind].in_(covers.names),
        cells.c.currency == covers.currency,
    )
