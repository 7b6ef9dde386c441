"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from trunkline.money import bare

ROOMY = 400
"""The width where the output is no terminal: nothing is cut or dropped for a file or a pipe."""


class Column(msgspec.Struct, frozen=True):
    """A table's column. On a narrow terminal those with the highest `rank` are dropped first; 0 never is."""

    title: str
    rank: int = 0
    number: bool = False


def console() -> Console:
    """Return the console on standard output: plain and roomy where that is no terminal."""
    plain = Console(highlight=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, emoji=False, width=ROOMY)


def counted(count: int, noun: str) -> str:
    """Say how many of something there are: `1 line`, `2,000 lines`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def money(amount: int) -> msgspec.Raw:
    """Return an amount as a bare JSON number, exact to the last digit."""
    return msgspec.Raw(bare(amount).encode())


def print_json(value: Any) -> None:
    """Print one JSON value: an array with a row per line, anything else indented."""
    if isinstance(value, list):
        text = ",\n".join(f"  {row_json(row)}" for row in value)
        sys.stdout.write(f"[\n{text}\n]\n" if text else "[]\n")
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def row_json(row: Any) -> str:
    """Return one value as JSON on one line."""
    return msgspec.json.encode(row).decode()


Row = Sequence[str | Text]


class Page:
    """A table without lines that fits the width, as far as dropping columns can make it; it can go on below itself."""

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        self._columns = columns
        self._width = width
        self._kept: list[int] = []
        self._widths = [0] * len(columns)

    def more(self, rows: Sequence[Row], *, total: bool = False) -> Table:
        """Return the rows, under the header the first time. `total` marks the last of them."""
        header = not self._kept
        self._widths = [
            max(width, *(len(cell) for cell in cells))
            for width, *cells in zip(self._widths, [column.title for column in self._columns], *rows, strict=True)
        ]
        if header:
            self._kept = self._fitting()
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=header)
        for place in self._kept:
            column = self._columns[place]
            justify: JustifyMethod = "right" if column.number else "left"
            made.add_column(column.title, justify=justify, no_wrap=True, min_width=self._widths[place])
        for number, row in enumerate(rows):
            last = total and number == len(rows) - 1
            made.add_row(*(row[place] for place in self._kept), style="bold" if last else None)
        return made

    def _fitting(self) -> list[int]:
        kept = list(range(len(self._columns)))
        while sum(self._widths[place] + 2 for place in kept) - 2 > self._width:
            least = max(kept, key=lambda place: (self._columns[place].rank, place))
            if not self._columns[least].rank:
                break
            kept.remove(least)
        return kept


def facts(pairs: Mapping[str, str | Text]) -> Table:
    """Return names and values in two columns; empty values are left out."""
    made = Table.grid(padding=(0, 3))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value:
            made.add_row(name, value)
    return made
