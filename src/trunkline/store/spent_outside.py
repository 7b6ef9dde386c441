"""What was spent of a node outside the leases of its budget: before it was declared, or where nobody had heard of it.

At the declaration it is summed up from roll-ups, and from attempts at the span's ends; roll-ups know no end customers
and no persons, and the attempts of one are found by an index of their own. What is booked later, out of journals that
were not drained yet, is added in the transaction that books it. Each attempt counts once: in the lease that it names,
or else here. The ids of leases tell whose they are, so that no clock has a say in that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Select, bindparam, func, select

from trunkline.metering.leases import Ask, Covers, LeaseId, mark
from trunkline.metering.ports import Span
from trunkline.metering.records import Intent
from trunkline.store.levels import Level, cover, ladder
from trunkline.store.posting import Facts
from trunkline.store.schema import allowances, attempts, leases

BEFORE = "before:"
"""Before the name of an allowance and its period: the row of what was spent of it outside its leases."""

AFTER = 3_600_000_000_000
"""Nanoseconds from the declaration on within which calls without a lease count, too: exchanges hear of it one after the
other, and their clocks differ."""

SPENDING = "spending"
"""What who books does together with others, and who sums up alone."""

KINDS = ("unit", "use_case", "deployment", "boundary", "key", "person", "end_customer")
_MARK = 4
"""Letters of a lease's mark; it begins behind twelve others."""

_decode = msgspec.json.Decoder(Covers).decode

Moved = tuple[Intent | Facts, int]
"""An attempt, and by how much more it counts now."""


def row_of(name: str, starts: int) -> LeaseId:
    """Return the id of the row that accounts for what is spent outside."""
    return LeaseId(f"{BEFORE}{name}@{starts}")


def spent_outside(connection: Connection, ask: Ask, until: int) -> int:
    """Return what the ledger has of an allowance's period in no lease of it; open attempts at their hold.

    Only where there is no row of the allowance yet: then nobody has asked for any of its leases either.
    """
    covers, since, spent = ask.covers, ask.period.starts, 0
    if covers is None or since >= until:
        return 0
    for sign, level, span in cover(Span(since, until), ladder([covers.kind])):
        part = _of_attempts(covers, span) if level is None else _of_rollups(covers, level, span)
        spent += sign * int(connection.execute(part).scalar_one())
    return max(spent - _leased(connection, mark(ask.allowance, since)), 0)


class Outside:
    """Finds what is booked outside the leases of budgets that were declared a short time before, or after it began."""

    def __init__(self, engine: Engine) -> None:
        late = select(allowances.c.name, allowances.c.starts, allowances.c.counts_until, allowances.c.covers)
        late = late.where(allowances.c.counts_until > bindparam("first"))
        self._late = str(late.compile(dialect=engine.dialect))

    def find(self, connection: Connection, moved: Sequence[Moved]) -> Iterator[tuple[LeaseId, int]]:
        """Return the rows in which attempts count that moved, each with its amount."""
        if not moved:
            return
        rows = connection.exec_driver_sql(self._late, (min(one.at for one, _ in moved),)).all()
        if not rows:
            return
        of: dict[tuple[str, str, str], list[_Late]] = defaultdict(list)
        for name, starts, until, written in rows:
            covers = _decode(written)
            late = _Late(row_of(name, starts), starts, until, mark(name, starts))
            for node in covers.names:
                of[covers.kind, node, covers.currency].append(late)
        for one, amount in moved:
            for kind in KINDS:
                for late in of.get((kind, getattr(one, kind), one.currency), ()):
                    if late.starts <= one.at < late.until and not _within(one.leases, late.mark):
                        yield late.row, amount


class _Late(NamedTuple):
    row: LeaseId
    starts: int
    until: int
    mark: str


def _within(named: Iterable[str] | str | None, mark: str) -> bool:
    names = named.split() if isinstance(named, str) else named or ()
    return any(name.endswith(mark) for name in names)


def _leased(connection: Connection, mark: str) -> int:
    """What was booked already in leases that nobody has asked for yet: it counts as soon as somebody does."""
    unknown = (leases.c.allowance == "", leases.c.known.is_(False), func.substr(leases.c.id, 13) == mark)
    ended = connection.execute(select(func.coalesce(func.sum(leases.c.settled), 0)).where(*unknown)).scalar_one()
    under_way = select(attempts.c.leases, attempts.c.hold).where(attempts.c.settled_at.is_(None))
    return int(ended) + sum(int(hold) for named, hold in connection.execute(under_way) if _within(named, mark))


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
