"""Sums of the ledger, as rows for programs and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from rich.console import RenderableType

from trunkline.cli.output import Column, Page, money
from trunkline.metering.ports import SUM_KEYS, SumRow
from trunkline.money import bare

CURRENCY: Final = "currency"
_NUMBERS = (
    Column("calls", number=True),
    Column("attempts", rank=1, number=True),
    Column("estimated", rank=3, number=True),
    Column("in", rank=2, number=True),
    Column("cached", rank=4, number=True),
    Column("out", rank=2, number=True),
    Column("reasoning", rank=4, number=True),
)


def sum_keys(text: str) -> tuple[str, ...]:
    """Read what to sum by: names parted by commas, each once.

    Raises:
        ValueError: one of them is no key of the ledger.
    """
    asked = tuple(dict.fromkeys(name.strip().replace("-", "_") for name in text.split(",") if name.strip()))
    for name in asked:
        if name not in SUM_KEYS:
            near = get_close_matches(name, SUM_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it can be summed by {', '.join(SUM_KEYS)}"
            raise ValueError(f"the ledger has no key {name!r}: {hint}")
    return asked


def part_currencies(by: Sequence[str], rows: Sequence[SumRow]) -> tuple[tuple[str, ...], tuple[SumRow, ...], str]:
    """Take rows that were summed by currency, too, and return by what they are told apart, the rows, and the currency.

    Where all are in one currency, that is not told apart unless it was asked for; amounts of several never add up.
    """
    found = {row.by[CURRENCY] or "" for row in rows}
    if CURRENCY in by:
        return tuple(by), tuple(rows), ""
    if len(found) > 1:
        return (*by, CURRENCY), tuple(rows), ""
    plain = (msgspec.structs.replace(row, by={key: row.by[key] for key in by}) for row in rows)
    return tuple(by), tuple(plain), "".join(found)


def sum_json(row: SumRow) -> dict[str, Any]:
    """Return the keys asked for and the sums; cost as an exact number."""
    return {
        **row.by,
        "calls": row.calls,
        "attempts": row.attempts,
        "estimated": row.estimated,
        "cost": money(row.cost),
        "tokens_input": row.tokens_input,
        "tokens_cached": row.tokens_cached,
        "tokens_cache_write": row.tokens_cache_write,
        "tokens_output": row.tokens_output,
        "tokens_reasoning": row.tokens_reasoning,
    }


def sum_table(by: Sequence[str], rows: Sequence[SumRow], currency: str, width: int) -> RenderableType:
    """Return the sums as a table, with a total below where there is more than one row.

    A call with attempts in several rows is counted in each, so the total has no calls. Currencies have none.
    """
    columns = (
        *(Column(key.replace("_", " ")) for key in by),
        *_NUMBERS,
        Column(f"cost {currency}".strip(), number=True),
    )
    cells = [tuple(row.by[key] or "-" for key in by) + _numbers(row) for row in rows]
    several = len(rows) > 1 and bool(by) and CURRENCY not in by
    if several:
        cells.append(("total", *("" for _ in by[1:]), *_total(rows)))
    return Page(columns, width).more(cells, total=several)


def _numbers(row: SumRow) -> tuple[str, ...]:
    counts = (row.calls, row.attempts, row.estimated, row.tokens_input)
    rest = (row.tokens_cached, row.tokens_output, row.tokens_reasoning)
    return (*(f"{count:,}" for count in (*counts, *rest)), bare(row.cost))


def _total(rows: Sequence[SumRow]) -> tuple[str, ...]:
    counts = (
        sum(row.attempts for row in rows),
        sum(row.estimated for row in rows),
        sum(row.tokens_input for row in rows),
        sum(row.tokens_cached for row in rows),
        sum(row.tokens_output for row in rows),
        sum(row.tokens_reasoning for row in rows),
    )
    return ("", *(f"{count:,}" for count in counts), bare(sum(row.cost for row in rows)))
