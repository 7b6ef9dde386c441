from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trunkline.cli.considered import consider_file
from trunkline.cli.options import AsJson
from trunkline.cli.output import console, print_json
from trunkline.estate.declaration import NOUNS
from trunkline.policy.diff import Change, Kind, diff

app = typer.Typer(add_completion=False)

_STYLES = {
    Kind.GAINED: "green",
    Kind.LOST: "red",
    Kind.REASON: "yellow",
    Kind.ADDED: "green",
    Kind.REMOVED: "red",
    Kind.AUDIENCE: "yellow",
    Kind.KEEPS_MORE: "green",
    Kind.KEEPS_LESS: "red",
    Kind.CHANGED: "dim",
}

Old = Annotated[
    Path, typer.Argument(metavar="OLD", exists=True, readable=True, help="The estate as it is: a file or a folder.")
]
New = Annotated[Path, typer.Argument(metavar="NEW", exists=True, readable=True, help="The estate as it would be.")]


@app.command("diff")
def compare(old: Old, new: New, *, as_json: AsJson = False) -> None:
    """Say which decisions change from one estate to another, and what else does.

    Exit code 1 where some use case may use other deployments, is refused them for another reason, is for others, or has
    its answers kept otherwise.
    """
    before, after = consider_file(old), consider_file(new)
    changes = diff((before.estate, before.surroundings), (after.estate, after.surroundings), after.now)
    if as_json:
        print_json([{**msgspec.to_builtins(change), "decides": change.decides} for change in changes])
    else:
        _show(console(), changes)
    if any(change.decides for change in changes):
        raise typer.Exit(1)


def _show(shown: Console, changes: Sequence[Change]) -> None:
    decided = [change for change in changes if change.use_case is not None]
    declared = [change for change in changes if change.use_case is None]
    for use_case, group in groupby(decided, key=lambda change: change.use_case):
        shown.print(Text(str(use_case), style="bold"))
        shown.print(Padding(_table(_decisions(group)), (0, 0, 1, 2), expand=False))
    if declared:
        shown.print(Text("declared", style="bold"))
        shown.print(Padding(_table([_declaration(change) for change in declared]), (0, 0, 1, 2), expand=False))
    count = sum(change.decides for change in changes)
    if count:
        shown.print(Text(f"{count} decision{'s' if count > 1 else ''} would change", style="bold yellow"))
    else:
        shown.print(Text("no decision would change", style="bold green"))


def _table(rows: Sequence[tuple[Text, str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _decisions(changes: Iterable[Change]) -> list[tuple[Text, str, Text]]:
    """One row for each deployment; classes under which the same happens to it stand together."""
    classes: dict[Change, list[str]] = {}
    for change in changes:
        classes.setdefault(msgspec.structs.replace(change, data_class=None), []).append(change.data_class or "")
    return [_decision(change, ", ".join(names)) for change, names in classes.items()]


def _decision(change: Change, classes: str) -> tuple[Text, str, Text]:
    said = Text(change.deployment or "kept answers", style="bold")
    if change.kind is Kind.GAINED:
        said.append(f"\nwas refused: {change.before}", style="not bold dim")
    elif change.kind is Kind.LOST:
        said.append(f"\n{change.after}", style="not bold dim")
    else:
        said.append(f"\nwas: {change.before}\nis:  {change.after}", style="not bold dim")
    return Text(change.kind.replace("_", " "), style=_STYLES[change.kind]), classes, said


def _declaration(change: Change) -> tuple[Text, str, Text]:
    noun = NOUNS[change.section or ""]
    said = Text(f"{change.name or ''} {change.field or ''}".strip(), style="bold")
    if change.before or change.after:
        said.append(f"\n{change.before or 'nothing'} -> {change.after or 'nothing'}", style="not bold dim")
    return Text(change.kind, style=_STYLES[change.kind]), noun, said
