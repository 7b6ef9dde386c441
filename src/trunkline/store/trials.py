"""How the arms of splits, and calls and their copies, compare: counted from the attempts that belong to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from trunkline.messages import SHADOW
from trunkline.metering.ports import Span, TrialRow
from trunkline.metering.records import Status
from trunkline.store.schema import attempts

COPY, ORIGINAL = "copy", "original"
ERRORS = frozenset({Status.FAILED, Status.BROKEN, Status.LOST})
_SPLIT = "split "


def trials(connection: Connection, span: Span, use_case: str | None) -> tuple[TrialRow, ...]:
    """Return one row for each arm of each split, and two for each shadow: its copies, and the calls they are copies of.

    Only settled attempts count. Durations are those of attempts that ended well.
    """
    groups: dict[tuple[str, str, str, str], list[Row[Any]]] = {}
    for row in connection.execute(_marked(span, use_case)):
        groups.setdefault((row.use_case, *_named(row.trial)), []).append(row)
    for row in connection.execute(_copied(span, use_case)):
        kind, name, _ = _named(row.shadow)
        groups.setdefault((row.use_case, kind, name, ORIGINAL), []).append(row)
    return tuple(_sum_up(key, rows) for key, rows in sorted(groups.items()))


def _named(trial: str) -> tuple[str, str, str]:
    """The kind, the name and the arm of a trial as the ledger writes it."""
    if trial.startswith(SHADOW):
        return "shadow", trial.removeprefix(SHADOW), COPY
    name, _, arm = trial.removeprefix(_SPLIT).partition(": ")
    return "split", name, arm


def _where(span: Span, use_case: str | None) -> Iterator[ColumnElement[bool]]:
    yield attempts.c.trial.is_not(None)
    if span.since is not None:
        yield attempts.c.at >= span.since
    if span.until is not None:
        yield attempts.c.at < span.until
    if use_case is not None:
        yield attempts.c.use_case == use_case


def _marked(span: Span, use_case: str | None) -> Select[Any]:
    return select(attempts).where(attempts.c.settled_at.is_not(None), *_where(span, use_case))


def _copied(span: Span, use_case: str | None) -> Select[Any]:
    """The attempts of calls that were copied, once for each copy."""
    own = attempts.alias("own")
    shadows = _where(span, use_case)
    return (
        select(own, attempts.c.trial.label("shadow"))
        .join(attempts, attempts.c.request == own.c.request)
        .where(
            attempts.c.trial.startswith(SHADOW),
            own.c.trial.is_(None) | ~own.c.trial.startswith(SHADOW),
            own.c.settled_at.is_not(None),
            *shadows,
        )
    )


def _sum_up(key: tuple[str, str, str, str], rows: Sequence[Row[Any]]) -> TrialRow:
    use_case, kind, name, arm = key
    well = [row for row in rows if row.status == Status.OK]
    latency = sorted(row.latency for row in well if row.latency is not None)
    first = sorted(row.first_byte for row in well if row.first_byte is not None)
    return TrialRow(
        use_case=use_case,
        kind=kind,
        trial=name,
        arm=arm,
        calls=len({row.request for row in rows}),
        attempts=len(rows),
        errors=sum(row.status in ERRORS for row in rows),
        cost=sum(row.cost for row in rows),
        tokens_input=sum(row.tokens_input for row in rows),
        tokens_cached=sum(row.tokens_cached for row in rows),
        tokens_output=sum(row.tokens_output for row in rows),
        tokens_reasoning=sum(row.tokens_reasoning for row in rows),
        latency_p50=_at(latency, 0.5),
        latency_p95=_at(latency, 0.95),
        first_byte_p50=_at(first, 0.5),
        first_byte_p95=_at(first, 0.95),
    )


def _at(ordered: Sequence[int], share: float) -> int | None:
    """The value that this share of them does not exceed (nearest rank); None where there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
