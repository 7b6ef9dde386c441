"""The ledger's lines and what was found about them, as rows for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from trunkline.cli.output import Column, Page, counted, money
from trunkline.clock import as_datetime, iso
from trunkline.metering.lines import Difference, LineRow, Verified
from trunkline.money import bare

_COLUMNS = (
    Column("attempt", number=True),
    Column("time", rank=2),
    Column("line"),
    Column("to", rank=1),
    Column("from", rank=1),
    Column("amount", number=True),
    Column("price", rank=5),
    Column("reason", rank=3),
    Column("by", rank=4),
)
_DIFFERENCES = (Column("where"), Column("which"), Column("kept"), Column("by the lines"))


def line_json(line: LineRow) -> dict[str, Any]:
    """Return a line with its time as RFC 3339 and its amount as an exact number."""
    return {
        "request": line.request,
        "attempt": line.attempt,
        "number": line.number,
        "at": iso(line.at),
        "kind": line.kind.word,
        "debit": line.debit,
        "credit": line.credit,
        "amount": money(line.amount),
        "currency": line.currency,
        "price_version": line.price_version,
        "reason": line.reason,
        "by": line.by,
    }


def lines_table(lines: Sequence[LineRow], width: int) -> RenderableType:
    """Return lines as a table."""
    return Page(_COLUMNS, width).more([_cells(line) for line in lines])


def difference_json(difference: Difference) -> dict[str, Any]:
    """Return where books differ."""
    return {
        "where": difference.where,
        "which": difference.which,
        "kept": difference.kept,
        "rebuilt": difference.rebuilt,
    }


def differences_table(differences: Sequence[Difference], width: int) -> RenderableType:
    """Return where books differ, as a table."""
    return Page(_DIFFERENCES, width).more([(one.where, one.which, one.kept, one.rebuilt) for one in differences])


def in_words(verified: Verified) -> str:
    """Say what was compared and found."""
    numbers = ((verified.attempts, "attempt"), (verified.lines, "line"), (verified.accounts, "account"))
    compared = ", ".join(counted(count, noun) for count, noun in numbers)
    found = len(verified.differences)
    return f"{compared}: {counted(found, 'difference') if found else 'everything agrees'}"


def _cells(line: LineRow) -> tuple[str, ...]:
    return (
        str(line.attempt),
        f"{as_datetime(line.at).astimezone():%Y-%m-%d %H:%M:%S}",
        line.kind.word.replace("_", " "),
        line.debit,
        line.credit,
        f"{bare(line.amount)} {line.currency}",
        line.price_version,
        line.reason,
        line.by or "",
    )
