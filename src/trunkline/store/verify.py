"""Whether what is kept ready besides the lines is what the lines say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, Select, Table, and_, case, func, literal_column, or_, select, text, union_all

from trunkline.metering.lines import Difference, Kind, Verified
from trunkline.store.posting import HOUR, HOURS_OF_DAY
from trunkline.store.schema import SUMMED, accounts, attempts, cells, day_cells, days, lines, repeats, rollups

MOST = 100
"""How many differences are told of each sort."""


class Check(Protocol):
    """A comparison of something kept with what it should be; its name says of what with what."""

    __name__: str

    def __call__(self, connection: Connection) -> Iterator[Difference]:
        """Return the differences."""
        ...


def verify(connection: Connection, checks: tuple[Check, ...], begin: Callable[[str], None]) -> Verified:
    """Rebuild all that is kept ready and compare. The connection must see one state throughout.

    `begin` is told in words what is compared next. All adding up is the database's: no row is kept here.
    """
    if connection.dialect.name == "postgresql":
        # Joined by so many names, tables look to it as if they had a row in common, and it would read all for each.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
    differences: list[Difference] = []
    for number, check in enumerate(checks, 1):
        begin(f"{check.__name__.replace('_', ' ')}, {number} of {len(checks)}")
        differences += islice(check(connection), MOST)
    counted = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _COUNTED]
    return Verified(int(counted[0]), int(counted[1]), int(counted[2]), tuple(differences))


_COUNTED = (attempts, lines, accounts)


def attempts_as_lines(connection: Connection) -> Iterator[Difference]:
    """Each attempt holds and costs what its lines add up to, and every line belongs to an attempt."""
    paid = lines.c.kind.in_((Kind.SETTLE, Kind.OVERRUN, Kind.ADJUST))
    takes = accounts.c.name.like("cost:%")
    per_attempt = (
        select(
            lines.c.request,
            lines.c.attempt,
            func.sum(
                case(
                    (lines.c.kind == Kind.HOLD, lines.c.amount),
                    (lines.c.kind == Kind.RELEASE, -lines.c.amount),
                    else_=0,
                )
            ).label("held"),
            func.sum(case((and_(paid, takes), lines.c.amount), (paid, -lines.c.amount), else_=0)).label("cost"),
            func.sum(case((lines.c.kind == Kind.SETTLE, 1), else_=0)).label("settled"),
        )
        .select_from(lines.join(accounts, accounts.c.id == lines.c.debit))
        .where(lines.c.kind <= Kind.ADJUST)
        .group_by(lines.c.request, lines.c.attempt)
        .subquery()
    )
    still_open = attempts.c.settled_at.is_(None)
    held = case((still_open, attempts.c.hold), else_=0)
    cost = case((still_open, 0), else_=attempts.c.cost)
    settled = case((still_open, 0), else_=1)
    same = and_(attempts.c.request == per_attempt.c.request, attempts.c.attempt == per_attempt.c.attempt)
    found = select(
        attempts.c.request, attempts.c.attempt, held, cost, per_attempt.c.held, per_attempt.c.cost
    ).select_from(attempts.outerjoin(per_attempt, same))
    wrong = or_(
        per_attempt.c.request.is_(None),
        per_attempt.c.held != held,
        per_attempt.c.cost != cost,
        per_attempt.c.settled != settled,
    )
    for row in connection.execute(found.where(wrong).limit(MOST)):
        kept = f"holds {row[2]}, costs {row[3]}"
        said = "no lines" if row[4] is None else f"holds {row[4]}, costs {row[5]}"
        yield Difference("attempt", f"{row[0]} {row[1]}", kept, said)
    orphans = select(per_attempt.c.request, per_attempt.c.attempt, per_attempt.c.cost)
    orphans = orphans.select_from(per_attempt.outerjoin(attempts, same)).where(attempts.c.request.is_(None))
    for request, attempt, costs in connection.execute(orphans.limit(MOST)):
        yield Difference("attempt", f"{request} {attempt}", "no attempt", f"costs {costs}")


def balances_as_lines(connection: Connection) -> Iterator[Difference]:
    """Each account has the balance that its lines leave; together they have none."""
    sides = union_all(
        select(lines.c.debit.label("account"), lines.c.amount.label("change")),
        select(lines.c.credit.label("account"), (-lines.c.amount).label("change")),
    ).subquery()
    rebuilt = select(sides.c.account, func.sum(sides.c.change).label("balance")).group_by(sides.c.account).subquery()
    found = (
        select(accounts.c.name, accounts.c.currency, accounts.c.balance, func.coalesce(rebuilt.c.balance, 0))
        .select_from(accounts.outerjoin(rebuilt, rebuilt.c.account == accounts.c.id))
        .where(accounts.c.balance != func.coalesce(rebuilt.c.balance, 0))
        .order_by(accounts.c.name)
    )
    for name, currency, kept, should in connection.execute(found.limit(MOST)):
        yield Difference("account", f"{name} {currency}", str(int(kept)), str(int(should)))


def rollups_as_attempts(connection: Connection) -> Iterator[Difference]:
    """Each roll-up is the sum of its attempts, whose cost is that of their lines."""
    hour = attempts.c.at // literal_column(str(HOUR))
    summed = (
        func.count(),
        func.sum(case((attempts.c.estimated, 1), else_=0)),
        *(func.sum(attempts.c[name]) for name in SUMMED[2:]),
    )
    rebuilt = (
        select(
            hour.label("hour"),
            cells.c.id.label("cell"),
            *(one.label(name) for one, name in zip(summed, SUMMED, strict=True)),
        )
        .select_from(attempts.join(cells, _in_cell()))
        .group_by(hour, cells.c.id)
        .subquery()
    )
    yield from _rebuilt(connection, rollups, rebuilt)
    every = select(func.count()).select_from(attempts).scalar_subquery()
    yield from _all_counted(connection, rollups, every)


def days_as_hours(connection: Connection) -> Iterator[Difference]:
    """The roll-ups of each day are the sums of those of its hours."""
    day = rollups.c.hour // literal_column(str(HOURS_OF_DAY))
    names = [column.name for column in day_cells.c if column.name != "id"]
    of_key = rollups.join(cells, cells.c.id == rollups.c.cell)
    of_day = of_key.join(day_cells, and_(*(day_cells.c[name] == cells.c[name] for name in names)))
    summed = (func.sum(rollups.c[name]).label(name) for name in SUMMED)
    rebuilt = select(day.label("day"), day_cells.c.id.label("cell"), *summed).select_from(of_day)
    yield from _rebuilt(connection, days, rebuilt.group_by(day, day_cells.c.id).subquery())
    every = select(func.coalesce(func.sum(rollups.c.attempts), 0)).scalar_subquery()
    yield from _all_counted(connection, days, every)


def _rebuilt(connection: Connection, table: Table, rebuilt: Any) -> Iterator[Difference]:
    """Where a table of roll-ups differs from what was rebuilt."""
    bucket = next(iter(table.primary_key)).name
    same = and_(table.c[bucket] == rebuilt.c[bucket], table.c.cell == rebuilt.c.cell)
    differs = or_(rebuilt.c[bucket].is_(None), *(table.c[name] != rebuilt.c[name] for name in SUMMED))
    columns = [of.c[name] for of in (table, rebuilt) for name in ("attempts", "cost", "tokens_output")]
    kept = select(table.c[bucket], table.c.cell, *columns).select_from(table.outerjoin(rebuilt, same)).where(differs)
    missing = select(rebuilt.c[bucket], rebuilt.c.cell, *columns).select_from(rebuilt.outerjoin(table, same))
    missing = missing.where(table.c[bucket].is_(None))
    for statement in (kept, missing):
        for row in connection.execute(statement.limit(MOST)):
            yield Difference("roll-up", f"{bucket} {row[0]}, cell {row[1]}", _words(row[2:5]), _words(row[5:8]))


def _all_counted(connection: Connection, table: Table, every: Any) -> Iterator[Difference]:
    """Whether a table of roll-ups counts every attempt: what has no cell has no row to compare."""
    counted = select(func.coalesce(func.sum(table.c.attempts), 0)).scalar_subquery()
    whole, there = connection.execute(select(counted, every)).one()
    if int(whole) != int(there):
        yield Difference("roll-up", f"all of {table.name}", f"{int(whole)} attempts", f"{int(there)} attempts")


def calls_as_attempts(connection: Connection) -> Iterator[Difference]:
    """The attempts of calls that have several are all noted, and no others."""
    several = select(attempts.c.request).group_by(attempts.c.request).having(func.count() > 1).subquery()
    should = select(attempts.c.request, attempts.c.attempt).join(several, several.c.request == attempts.c.request)
    noted = select(repeats.c.request, repeats.c.attempt)
    for statement, kept, rebuilt in (
        (_without(should, noted), "not noted", "one of several attempts"),
        (_without(noted, should), "noted", "not one of several attempts"),
    ):
        for request, attempt in connection.execute(statement):
            yield Difference("call", f"{request} {attempt}", kept, rebuilt)


CHECKS: tuple[Check, ...] = (
    attempts_as_lines,
    balances_as_lines,
    rollups_as_attempts,
    days_as_hours,
    calls_as_attempts,
)


def _without(these: Select[Any], those: Select[Any]) -> Any:
    return these.except_(those).limit(MOST)


def _in_cell() -> Any:
    names = [column.name for column in cells.c if column.name != "id"]
    return and_(*(cells.c[name] == attempts.c["model_sent" if name == "model" else name] for name in names))


def _words(sums: Any) -> str:
    if sums[0] is None:
        return "nothing"
    return f"{int(sums[0])} attempts, cost {int(sums[1])}, {int(sums[2])} output tokens"
