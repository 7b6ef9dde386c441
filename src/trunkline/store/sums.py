"""Sums over the ledger: from the roll-ups of whole days, then of whole hours, and from the attempts at the ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, case, distinct, func, select

from trunkline.metering.ports import SUM_KEYS, Span, SumRow
from trunkline.store.posting import DAY, HOUR
from trunkline.store.schema import SUMMED, attempts, cells, day_cells, days, repeats, rollups

NOT_ROLLED_UP = frozenset({"end_customer", "person"})
"""Keys of which there may be any number: they are summed from the attempts."""


class _Level(NamedTuple):
    """A table of roll-ups, the names of its cells, and how long what it sums up lasts."""

    table: Table
    cells: Table
    lasts: int


_LEVELS = (_Level(days, day_cells, DAY), _Level(rollups, cells, HOUR))
_columns = {name: attempts.c.model_sent if name == "model" else attempts.c[name] for name in SUM_KEYS}
_TOKENS = SUMMED[3:]
_ATTEMPTS, _ESTIMATED = 0, 1


def sums(connection: Connection, by: Sequence[str], span: Span, *, rolled_up: bool = True) -> tuple[SumRow, ...]:
    """Return sums grouped by some of SUM_KEYS, dearest first; the same with and without the help of roll-ups.

    The connection must see one state throughout.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    calls: dict[tuple[Any, ...], int] = {}
    if not rolled_up or NOT_ROLLED_UP.intersection(by):
        for row in connection.execute(_of_attempts(by, span, calls=True)):
            if row[len(by)]:
                groups[tuple(row[: len(by)])] = [int(number) for number in row[len(by) + 1 :]]
                calls[tuple(row[: len(by)])] = row[len(by)]
    else:
        levels = [level for level in _LEVELS if all(name in level.cells.c for name in by)]
        for part in _parts(by, span, levels):
            _add(groups, len(by), connection.execute(part))
        calls = {group: numbers[_ATTEMPTS] for group, numbers in groups.items()}
        for row in connection.execute(_repeated(by, span)):
            if row[-1]:
                calls[tuple(row[:-1])] -= row[-1]
    rows = [SumRow(dict(zip(by, group, strict=True)), calls[group], *numbers) for group, numbers in groups.items()]
    return tuple(sorted(rows, key=_dearest_first))


def _dearest_first(row: SumRow) -> tuple[Any, ...]:
    return (-row.cost, *((value is not None, value or "") for value in row.by.values()))


def _parts(by: Sequence[str], span: Span, levels: Sequence[_Level]) -> Iterator[Select[Any]]:
    """Cover a span by what is whole of the coarsest level, and what that leaves at its ends by the finer ones."""
    if not levels:
        yield _of_attempts(by, span)
        return
    level, *finer = levels
    whole = _whole(span, level.lasts)
    if whole is None:
        yield from _parts(by, span, finer)
        return
    yield _of_rollups(by, level, whole)
    for end in _ends(span, whole, level.lasts):
        yield from _parts(by, end, finer)


def _whole(span: Span, lasts: int) -> Span | None:
    """Return the whole hours or days within a span, numbered since 1970; None where there is none."""
    since = None if span.since is None else -(-span.since // lasts)
    until = None if span.until is None else span.until // lasts
    return None if since is not None and until is not None and since >= until else Span(since, until)


def _ends(span: Span, whole: Span, lasts: int) -> Iterator[Span]:
    """Return what of a span lies before and after its whole hours or days."""
    if span.since is not None and whole.since is not None and span.since < whole.since * lasts:
        yield Span(span.since, whole.since * lasts)
    if span.until is not None and whole.until is not None and whole.until * lasts < span.until:
        yield Span(whole.until * lasts, span.until)


def _add(groups: dict[tuple[Any, ...], list[int]], width: int, rows: Iterable[Any]) -> None:
    for row in rows:
        if row[width]:
            sums = groups.setdefault(tuple(row[:width]), [0] * len(SUMMED))
            for place, number in enumerate(row[width:]):
                sums[place] += int(number)


def _of_rollups(by: Sequence[str], level: _Level, whole: Span) -> Select[Any]:
    # Added up by cell first: there are far fewer of those than of hours, and only then are names needed.
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


def _repeated(by: Sequence[str], span: Span) -> Select[Any]:
    """By how many attempts exceed calls in each group."""
    groups = [cells.c[name] for name in by]
    more = select(*groups, func.count() - func.count(distinct(repeats.c.request)))
    more = more.select_from(repeats.join(cells, cells.c.id == repeats.c.cell))
    return _within(more, repeats.c.at, span).group_by(*groups)


def _within(statement: Select[Any], column: Any, span: Span) -> Select[Any]:
    if span.since is not None:
        statement = statement.where(column >= span.since)
    if span.until is not None:
        statement = statement.where(column < span.until)
    return statement
