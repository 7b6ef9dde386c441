"""The figures against their budgets: as a table for the terminal, and as `docs/benchmarks.md`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One line of the table. Each run gives a pair: ours and, where something is measured beside it, that one's.

    Attributes:
        unit: of the values.
        against: what is measured beside it.
        must: the budget; a ratio to what is beside it where `ratio` says so, else in `unit`.
        places: decimals to print.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    beside: tuple[float, ...] = ()
    must: float | None = None
    aim: float | None = None
    ratio: bool = False
    places: int = 1
    against: str = "nginx"

    @property
    def value(self) -> float:
        """The median of our runs."""
        return statistics.median(self.ours)

    @property
    def verdict_value(self) -> float:
        """What the budget is held against: the median of our values, or of each run's ratio to what ran just before."""
        if self.ratio:
            return statistics.median(ours / beside for ours, beside in zip(self.ours, self.beside, strict=True))
        return self.value

    @property
    def verdict(self) -> str:
        """Where the figure stands."""
        if self.must is None:
            return ""
        if self.aim is not None and self.verdict_value <= self.aim:
            return "aim met"
        return "met" if self.verdict_value <= self.must else "MISSED"


def _range(values: Sequence[float], places: int) -> str:
    middle = f"{statistics.median(values):.{places}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{places}f}-{max(values):.{places}f})"


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = f"{figure.verdict_value:.2f} x" if figure.ratio else ""
    suffix = " x" if figure.ratio else f" {figure.unit}"
    must = "" if figure.must is None else f"{figure.must:g}{suffix}"
    aim = "" if figure.aim is None else f"{figure.aim:g}{suffix}"
    return (
        figure.name,
        figure.unit,
        _range(figure.ours, figure.places),
        f"{figure.against} {_range(figure.beside, figure.places)}" if figure.beside else "-",
        ratio,
        must,
        aim,
        figure.verdict,
    )


HEAD = ("figure", "unit", "trunkline (range)", "beside it (range)", "ratio", "must be", "aim", "")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, aligned so that it reads well in a terminal, too."""
    return aligned(HEAD, [_cells(figure) for figure in figures])


def aligned(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table with columns of even width."""
    rows = [head, *cells]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
