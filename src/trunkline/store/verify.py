"""Whether what is kept ready besides the lines is what the lines say.

Millions of rows are compared stretch by stretch, in the order in which they are kept, so that what the database has to
sort or to keep stays small, and it can be said how far it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any, NamedTuple, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union_all,
)

from trunkline.metering.lines import Difference, Kind, Verified
from trunkline.store.levels import DAY, KEYLESS, LADDERS, Level
from trunkline.store.schema import SUMMED, accounts, attempts, lines, repeats
from trunkline.store.telling import Work

MOST = 100
"""How many differences are told of each sort."""

STRETCH = 50_000
"""Attempts that are compared at once."""

Reach = Callable[[float], None]
"""Hears how much of a comparison is done, from 0 to 1."""


class Check(Protocol):
    """A comparison of something kept with what it should be; its name says of what with what."""

    __name__: str

    def __call__(self, connection: Connection, reach: Reach, /) -> Iterator[Difference]:
        """Return the differences."""
        ...


def verify(connection: Connection, checks: tuple[Check, ...], work: Work) -> Verified:
    """Rebuild all that is kept ready and compare. The connection must see one state throughout.

    `work` is told in words what is compared next, and how much of it is done.
    """
    if connection.dialect.name == "postgresql":
        # Joined by so many names, tables look to it as if they had a row in common, and it would read all for each.
        connection.execute(text("SET LOCAL enable_nestloop = off"))
    differences: list[Difference] = []
    for number, check in enumerate(checks, 1):
        work.begin(f"{check.__name__.replace('_', ' ')}, {number} of {len(checks)}", 0)
        differences += islice(check(connection, work.reach), MOST)
    work.begin("counts")
    counted = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _COUNTED]
    return Verified(int(counted[0]), int(counted[1]), int(counted[2]), tuple(differences))


_COUNTED = (attempts, lines, accounts)


class Stretch(NamedTuple):
    """A part of a table in the order of one of its columns: what lies above one value, up to another and with it."""

    above: Any
    upto: Any

    def of(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a row lies in it, by a column."""
        ends = [] if self.above is None else [column > self.above]
        return and_(True, *ends, *([] if self.upto is None else [column <= self.upto]))  # noqa: FBT003 - SQL's own


def by_request(connection: Connection, reach: Reach) -> Iterator[Stretch]:
    """Part all calls into stretches, so that those of the ledger have some STRETCH attempts each."""
    return _stretches(connection, reach, attempts.c.request, lambda request: request)


def by_time(connection: Connection, reach: Reach) -> Iterator[Stretch]:
    """Part all time into stretches of whole days, so that some STRETCH attempts or those of one day are in each."""
    return _stretches(connection, reach, attempts.c.at, lambda at: (at // DAY + 1) * DAY - 1)


def _stretches(connection: Connection, reach: Reach, column: Any, upto: Callable[[Any], Any]) -> Iterator[Stretch]:
    whole = connection.execute(select(func.count()).select_from(attempts)).scalar_one()
    above, done = None, 0
    while True:
        following = select(column).where(Stretch(above, None).of(column)).order_by(column).offset(STRETCH - 1).limit(1)
        last = connection.execute(following).scalar()
        if last is None:
            yield Stretch(above, None)
            return
        yield Stretch(above, upto(last))
        above = upto(last)
        done += STRETCH
        reach(min(done / whole, 1))


def attempts_as_lines(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """Each attempt holds and costs what its lines add up to, and every line belongs to an attempt."""
    for stretch in by_request(connection, reach):
        yield from _attempts_as_lines(connection, stretch)


def _attempts_as_lines(connection: Connection, stretch: Stretch) -> Iterator[Difference]:
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
        .where(lines.c.kind <= Kind.ADJUST, stretch.of(lines.c.request))
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
    for row in connection.execute(found.where(wrong, stretch.of(attempts.c.request)).limit(MOST)):
        kept = f"holds {row[2]}, costs {row[3]}"
        said = "no lines" if row[4] is None else f"holds {row[4]}, costs {row[5]}"
        yield Difference("attempt", f"{row[0]} {row[1]}", kept, said)
    orphans = select(per_attempt.c.request, per_attempt.c.attempt, per_attempt.c.cost)
    orphans = orphans.select_from(per_attempt.outerjoin(attempts, same)).where(attempts.c.request.is_(None))
    for request, attempt, costs in connection.execute(orphans.limit(MOST)):
        yield Difference("attempt", f"{request} {attempt}", "no attempt", f"costs {costs}")


def balances_as_lines(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """Each account has the balance that its lines leave; together they have none."""
    rebuilt: Counter[int] = Counter()
    moved = select(lines.c.debit, lines.c.credit, func.sum(lines.c.amount)).group_by(lines.c.debit, lines.c.credit)
    for stretch in by_request(connection, reach):
        for debit, credit, amount in connection.execute(moved.where(stretch.of(lines.c.request))):
            rebuilt[debit] += int(amount)
            rebuilt[credit] -= int(amount)
    found = select(accounts.c.id, accounts.c.name, accounts.c.currency, accounts.c.balance).order_by(accounts.c.name)
    for account, name, currency, kept in connection.execute(found):
        if int(kept) != rebuilt[account]:
            yield Difference("account", f"{name} {currency}", str(int(kept)), str(rebuilt[account]))


def finest_as_attempts(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """The finest roll-ups are the sums of their attempts, whose cost is that of their lines."""
    for stretch in by_time(connection, reach):
        for ladder in LADDERS:
            level = ladder[-1]
            within = Stretch(*(None if at is None else level.number(at) for at in stretch))
            yield from _differences(connection, level, within, _of_attempts(level, stretch))


def _of_attempts(level: Level, stretch: Stretch) -> Select[Any]:
    """Rebuild roll-ups from attempts; those that have no cell stand at none."""
    cell = [
        one == attempts.c["model_sent" if one.name == "model" else one.name]
        for one in level.cells.c
        if one.name != "id"
    ]
    summed = (
        func.count(),
        func.sum(case((attempts.c.estimated, 1), else_=0)),
        *(func.sum(attempts.c[name]) for name in SUMMED[2:]),
    )
    # Names are looked up for sums, not for each attempt.
    number = attempts.c.at // literal_column(str(level.lasts))
    rebuilt = select(number, level.cells.c.id, *summed).select_from(attempts.outerjoin(level.cells, and_(*cell)))
    return rebuilt.where(stretch.of(attempts.c.at)).group_by(number, level.cells.c.id)


def coarser_as_finer(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """The roll-ups of days are the sums of those of their hours, and those of months of those of their days."""
    for ladder in LADDERS:
        for coarse, fine in pairwise(ladder):
            for month in _months(connection, (coarse, fine), reach):
                starts, ends = KEYLESS[0].begins(month), KEYLESS[0].begins(month + 1) - 1
                within, finer = (Stretch(level.number(starts) - 1, level.number(ends)) for level in (coarse, fine))
                number: Any = literal(month)
                if coarse.lasts:
                    number = _number(fine.table) // literal_column(str(coarse.lasts // fine.lasts))
                summed = (func.sum(fine.table.c[name]) for name in SUMMED)
                rebuilt = select(number.label("number"), fine.table.c.cell, *summed)
                rebuilt = rebuilt.where(finer.of(_number(fine.table))).group_by(text("number"), fine.table.c.cell)
                yield from _differences(connection, coarse, within, rebuilt)


def _months(connection: Connection, levels: tuple[Level, Level], reach: Reach) -> Iterator[int]:
    """Return the months of which either of two levels has something."""
    first, month, last = None, None, 0
    while True:
        found = []
        for level in levels:
            number = _number(level.table)
            above: int | None = None if month is None else level.number(KEYLESS[0].begins(month + 1) - 1)
            ends = select(func.min(number), func.max(number)).where(Stretch(above, None).of(number))
            found += [KEYLESS[0].number(level.begins(one)) for one in connection.execute(ends).one() if one is not None]
        if not found:
            return
        month, last = min(found), max(last, *found)
        first = month if first is None else first
        reach((month - first) / (last + 1 - first))
        yield month


def _number(table: Table) -> Any:
    return next(iter(table.primary_key))


def _differences(connection: Connection, level: Level, within: Stretch, rebuilt: Select[Any]) -> Iterator[Difference]:
    """Where a stretch of roll-ups differs from what was rebuilt of it."""
    table = level.table
    number = _number(table)
    kept = select(literal(0).label("side"), number.label("number"), table.c.cell, *(table.c[name] for name in SUMMED))
    should = rebuilt.subquery()
    columns = zip(should.c, ("number", "cell", *SUMMED), strict=True)
    again = select(literal(1).label("side"), *(column.label(name) for column, name in columns))
    both = union_all(kept.where(within.of(number)), again).subquery()

    def of(side: int, name: str) -> Any:
        return func.sum(case((both.c.side == side, both.c[name])))

    same = and_(func.count() == len(("kept", "rebuilt")), *(of(0, name) == of(1, name) for name in SUMMED))
    told = [of(side, name) for side in (0, 1) for name in ("attempts", "cost", "tokens_output")]
    found = select(both.c.number, both.c.cell, *told).group_by(both.c.number, both.c.cell)
    for row in connection.execute(found.having(or_(same.is_(None), ~same)).limit(MOST)):
        yield Difference("roll-up", f"{number.name} {row[0]}, cell {row[1]}", _words(row[2:5]), _words(row[5:8]))


def calls_as_attempts(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """The attempts of calls that have several are all noted, and no others."""
    for stretch in by_request(connection, reach):
        several = select(attempts.c.request).where(stretch.of(attempts.c.request)).group_by(attempts.c.request)
        of_several = several.having(func.count() > 1).subquery()
        same = of_several.c.request == attempts.c.request
        should = select(attempts.c.request, attempts.c.attempt).join(of_several, same)
        noted = select(repeats.c.request, repeats.c.attempt).where(stretch.of(repeats.c.request))
        for statement, kept, rebuilt in (
            (_without(should, noted), "not noted", "one of several attempts"),
            (_without(noted, should), "noted", "not one of several attempts"),
        ):
            for request, attempt in connection.execute(statement):
                yield Difference("call", f"{request} {attempt}", kept, rebuilt)


CHECKS: tuple[Check, ...] = (
    attempts_as_lines,
    balances_as_lines,
    finest_as_attempts,
    coarser_as_finer,
    calls_as_attempts,
)


def _without(these: Select[Any], those: Select[Any]) -> Any:
    return these.except_(those).limit(MOST)


def _words(sums: Any) -> str:
    if sums[0] is None:
        return "nothing"
    return f"{int(sums[0])} attempts, cost {int(sums[1])}, {int(sums[2])} output tokens"
