"""Sums over the ledger: from the roll-ups of months, of days and hours at their ends, and from attempts at theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, distinct, func, select

from trunkline.metering.ports import SUM_KEYS, Span, SumRow
from trunkline.store.levels import Level, cover, ladder
from trunkline.store.schema import SUMMED, attempts, key_cells, repeats

_columns = {name: attempts.c.model_sent if name == "model" else attempts.c[name] for name in SUM_KEYS}
_TOKENS = SUMMED[3:]
_ATTEMPTS = 0
_PAIR = ("one", "other")


def sums(connection: Connection, by: Sequence[str], span: Span, *, rolled_up: bool = True) -> tuple[SumRow, ...]:
    """Return sums grouped by some of SUM_KEYS, dearest first; the same with and without the help of roll-ups.

    The connection must see one state throughout.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    calls: dict[tuple[Any, ...], int] = {}
    levels = ladder(by) if rolled_up else ()
    if not levels:
        for row in connection.execute(_of_attempts(by, span, calls=True)):
            if row[len(by)]:
                groups[tuple(row[: len(by)])] = [int(number) for number in row[len(by) + 1 :]]
                calls[tuple(row[: len(by)])] = row[len(by)]
    else:
        for sign, level, part in cover(span, levels):
            found = _of_attempts(by, part) if level is None else _of_rollups(by, level, part)
            _add(groups, len(by), connection.execute(found), sign)
        groups = {group: numbers for group, numbers in groups.items() if numbers[_ATTEMPTS]}
        calls = {group: numbers[_ATTEMPTS] for group, numbers in groups.items()}
        for repeated in (_tried_twice(by, span), _tried_more(by, span)):
            for row in connection.execute(repeated):
                if row[-1]:
                    calls[tuple(row[:-1])] -= int(row[-1])
    rows = [SumRow(dict(zip(by, group, strict=True)), calls[group], *numbers) for group, numbers in groups.items()]
    return tuple(sorted(rows, key=_dearest_first))


def _dearest_first(row: SumRow) -> tuple[Any, ...]:
    return (-row.cost, *((value is not None, value or "") for value in row.by.values()))


def _add(groups: dict[tuple[Any, ...], list[int]], width: int, rows: Iterable[Any], sign: int) -> None:
    for row in rows:
        if row[width]:
            sums = groups.setdefault(tuple(row[:width]), [0] * len(SUMMED))
            for place, number in enumerate(row[width:]):
                sums[place] += sign * int(number)


def _of_rollups(by: Sequence[str], level: Level, whole: Span) -> Select[Any]:
    # Added up by cell first: there are far fewer of those than of rows, and only then are names needed.
    table, names = level.table, level.cells
    per_cell = select(table.c.cell, *(func.sum(table.c[name]).label(name) for name in SUMMED))
    per_cell = _within(per_cell, next(iter(table.primary_key)), whole).group_by(table.c.cell)
    inner = per_cell.subquery()
    groups = [names.c[name] for name in by]
    summed = select(*groups, *(func.sum(inner.c[name]) for name in SUMMED))
    return summed.select_from(inner.join(names, names.c.id == inner.c.cell)).group_by(*groups)


def _of_attempts(by: Sequence[str], span: Span, *, calls: bool = False) -> Select[Any]:
    groups = [_columns[name] for name in by]
    counted = [func.count(distinct(attempts.c.request))] if calls else []
    whole = select(
        *groups,
        *counted,
        func.count(),
        func.sum(case((attempts.c.estimated, 1), else_=0)),
        func.sum(attempts.c.cost),
        *(func.sum(attempts.c[name]) for name in _TOKENS),
    ).select_from(attempts)
    return _within(whole, attempts.c.at, span).group_by(*groups)


def _tried_twice(by: Sequence[str], span: Span) -> Select[Any]:
    """By how many attempts exceed calls in each group, of those calls that have two attempts in a span.

    Counted by pairs of cells first: only these have to be compared by name. Which attempt came first does not matter.
    """
    one, other = key_cells.alias("one"), key_cells.alias("other")
    cell = repeats.c.cell
    calls = select(func.min(cell).label("one"), func.max(cell).label("other"))
    calls = _within(calls, repeats.c.at, span).group_by(repeats.c.request).having(func.count() == len(_PAIR))
    pair = calls.subquery()
    pairs = select(*(pair.c[name] for name in _PAIR), func.count().label("calls")).group_by(pair.c.one, pair.c.other)
    counted = pairs.subquery()
    groups = [one.c[name] for name in by]
    same = (one.c[name] == other.c[name] for name in by)
    more = select(*groups, func.sum(counted.c.calls))
    more = more.select_from(counted.join(one, one.c.id == counted.c.one).join(other, other.c.id == counted.c.other))
    return more.where(*same).group_by(*groups)


def _tried_more(by: Sequence[str], span: Span) -> Select[Any]:
    """The same of those calls that have more than two attempts in a span."""
    calls = _within(select(repeats.c.request), repeats.c.at, span).group_by(repeats.c.request)
    those = calls.having(func.count() > len(_PAIR))
    groups = [key_cells.c[name] for name in by]
    more = select(*groups, func.count() - func.count(distinct(repeats.c.request)))
    more = more.select_from(repeats.join(key_cells, key_cells.c.id == repeats.c.cell))
    return _within(more, repeats.c.at, span).where(repeats.c.request.in_(those)).group_by(*groups)


def _within(statement: Select[Any], column: Any, span: Span) -> Select[Any]:
    if span.since is not None:
        statement = statement.where(column >= span.since)
    if span.until is not None:
        statement = statement.where(column < span.until)
    return statement
