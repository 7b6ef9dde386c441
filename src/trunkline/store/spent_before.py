"""What was spent of a node before a budget on it was declared: from roll-ups, and from attempts at the span's ends.

Roll-ups know no end customers and no persons; the attempts of one are found by an index of their own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from trunkline.metering.leases import Ask, Covers
from trunkline.metering.ports import Span
from trunkline.store.levels import Level, cover, ladder
from trunkline.store.schema import attempts

BEFORE = "before:"
"""Before the name of an allowance and its period: the row of what was spent in the period before it was declared."""


def spent_before(connection: Connection, ask: Ask) -> int:
    """Return what the ledger has of an allowance's period until it was declared; open attempts at their hold."""
    since, until = ask.period.starts, min(ask.declared_at, ask.period.ends)
    covers, spent = ask.covers, 0
    if covers is None or since >= until:
        return 0
    for sign, level, span in cover(Span(since, until), ladder([covers.kind])):
        part = _of_attempts(covers, span) if level is None else _of_rollups(covers, level, span)
        spent += sign * int(connection.execute(part).scalar_one())
    return spent


def _of_attempts(covers: Covers, span: Span) -> Select[Any]:
    return select(func.coalesce(func.sum(attempts.c.cost), 0)).where(
        attempts.c.at >= span.since,
        attempts.c.at < span.until,
        attempts.c[covers.kind].in_(covers.names),
        attempts.c.currency == covers.currency,
    )


def _of_rollups(covers: Covers, level: Level, span: Span) -> Select[Any]:
    table, cells = level.table, level.cells
    number = next(iter(table.primary_key))
    whole = select(func.coalesce(func.sum(table.c.cost), 0))
    return whole.select_from(table.join(cells, cells.c.id == table.c.cell)).where(
        number >= span.since,
        number < span.until,
        cells.c[covers.kind].in_(covers.names),
        cells.c.currency == covers.currency,
    )
