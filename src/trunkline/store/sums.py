"""Sums over the ledger: from the roll-ups for whole hours, from the attempts for what is left at the ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, distinct, func, select

from trunkline.metering.ports import SUM_KEYS, Span, SumRow
from trunkline.store.posting import HOUR, SUMMED
from trunkline.store.schema import attempts, cells, repeats, rollups

NOT_ROLLED_UP = frozenset({"end_customer"})
"""Keys of which there may be any number: they are summed from the attempts."""

_columns = {name: attempts.c.model_sent if name == "model" else attempts.c[name] for name in SUM_KEYS}
_TOKENS = SUMMED[3:]
_ATTEMPTS, _ESTIMATED = 0, 1


def sums(connection: Connection, by: Sequence[str], span: Span, *, rolled_up: bool = True) -> tuple[SumRow, ...]:
    """Return sums grouped by some of SUM_KEYS, dearest first; the same with and without the help of roll-ups.

    The connection must see one state throughout.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    calls: dict[tuple[Any, ...], int] = {}
    whole = _whole_hours(span) if rolled_up and not NOT_ROLLED_UP.intersection(by) else None
    if whole is None:
        for row in connection.execute(_of_attempts(by, span, calls=True)):
            if row[len(by)]:
                groups[tuple(row[: len(by)])] = [int(number) for number in row[len(by) + 1 :]]
                calls[tuple(row[: len(by)])] = row[len(by)]
    else:
        parts = [_of_rollups(by, whole)]
        parts += [_of_attempts(by, end) for end in _ends(span, whole)]
        for part in parts:
            _add(groups, len(by), connection.execute(part))
        calls = {group: numbers[_ATTEMPTS] for group, numbers in groups.items()}
        for row in connection.execute(_repeated(by, span)):
            if row[-1]:
                calls[tuple(row[:-1])] -= row[-1]
    rows = [SumRow(dict(zip(by, group, strict=True)), calls[group], *numbers) for group, numbers in groups.items()]
    return tuple(sorted(rows, key=_dearest_first))


def _dearest_first(row: SumRow) -> tuple[Any, ...]:
    return (-row.cost, *((value is not None, value or "") for value in row.by.values()))


def _whole_hours(span: Span) -> Span | None:
    """Return the whole hours within a span, numbered since 1970; None where there is none."""
    since = None if span.since is None else -(-span.since // HOUR)
    until = None if span.until is None else span.until // HOUR
    return None if since is not None and until is not None and since >= until else Span(since, until)


def _ends(span: Span, whole: Span) -> Iterable[Span]:
    """Return what of a span lies before and after its whole hours."""
    if span.since is not None and whole.since is not None and span.since < whole.since * HOUR:
        yield Span(span.since, whole.since * HOUR)
    if span.until is not None and whole.until is not None and whole.until * HOUR < span.until:
        yield Span(whole.until * HOUR, span.until)


def _add(groups: dict[tuple[Any, ...], list[int]], width: int, rows: Iterable[Any]) -> None:
    for row in rows:
        if row[width]:
            sums = groups.setdefault(tuple(row[:width]), [0] * len(SUMMED))
            for place, number in enumerate(row[width:]):
                sums[place] += int(number)


def _of_rollups(by: Sequence[str], hours: Span) -> Select[Any]:
    # Added up by cell first: there are far fewer of those than of hours, and only then are names needed.
    per_cell = select(rollups.c.cell, *(func.sum(rollups.c[name]).label(name) for name in SUMMED))
    per_cell = _within(per_cell, rollups.c.hour, hours).group_by(rollups.c.cell)
    inner = per_cell.subquery()
    groups = [cells.c[name] for name in by]
    whole = select(*groups, *(func.sum(inner.c[name]) for name in SUMMED))
    return whole.select_from(inner.join(cells, cells.c.id == inner.c.cell)).group_by(*groups)


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
