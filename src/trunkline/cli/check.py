from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.padding import Padding
from rich.text import Text

from trunkline.app.compiling import Compiler
from trunkline.app.standing import standings
from trunkline.app.welcome import Standing
from trunkline.cli.options import AsJson
from trunkline.cli.output import console, print_json
from trunkline.cli.unknown_keys import states_of_keys, unknown_keys
from trunkline.cli.welcome import deployments_table, notices
from trunkline.clock import SystemClock
from trunkline.config.environment import Environment
from trunkline.errors import BadEstate, TrunklineError
from trunkline.estate.load import Loaded, load
from trunkline.estate.snapshot import Snapshot
from trunkline.observability.metrics import UpstreamState
from trunkline.policy.warn import Unwise

app = typer.Typer(add_completion=False)

EstatePath = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, readable=True, help="The estate file, or a folder of such files.")
]

KeysOf = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="TRUNKLINE_DATA",
        metavar="DIR",
        help="The data folder in which the keys are looked up that the estate names.",
        show_default="they are not looked up",
    ),
]
StoreOf = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="TRUNKLINE_STORE",
        metavar="URL",
        help="The database in which they are looked up, where it is not the one of the data folder.",
        show_default=False,
    ),
]


@app.command()
def check(path: EstatePath, *, data: KeysOf = None, store: StoreOf = None, as_json: AsJson = False) -> None:
    """Check an estate: all its faults at once, or what it declares.

    Exit code 1 where there are faults. What is declared but not in force yet is announced, and what is legal but
    unwise: a single route, claims that expire soon, classes that nothing satisfies, and what nobody uses; with --data
    or --store, also keys that the estate names and that do not exist there.
    """
    try:
        loaded = load(path)
    except BadEstate as bad:
        _refuse(bad, as_json=as_json)
        raise typer.Exit(1) from None
    compiler = Compiler(loaded.estate, Environment(loaded.folder, os.environ), SystemClock())
    snapshot = compiler.compile()
    states: Mapping[str, str] | None = None
    in_vain: tuple[str, ...] = ()
    try:
        states = states_of_keys(data, store, SystemClock().now())
    except TrunklineError as unusable:
        in_vain = (f"the keys that it names were not looked up: {unusable.inside}",)
    unwise = (*compiler.warn(snapshot), *unknown_keys(loaded.estate, states))
    warnings = (*_warnings(loaded, unwise, snapshot), *in_vain)
    if as_json:
        print_json(_report(loaded, snapshot, warnings))
    else:
        _show(loaded, snapshot, warnings)


def _refuse(bad: BadEstate, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "faults": list(bad.faults)})
        return
    shown = console()
    for fault in bad.faults:
        shown.print(Text(fault), soft_wrap=True)
    count = len(bad.faults)
    shown.print(Text(f"{count} fault{'s' if count != 1 else ''}: nothing of it would be applied", style="bold red"))


def _standings(loaded: Loaded, snapshot: Snapshot) -> tuple[Standing, ...]:
    """How each deployment would stand; engines are not started to find out."""
    return tuple(
        msgspec.structs.replace(standing, state=UpstreamState.READY, reason="its engine starts with the exchange")
        if loaded.estate.deployments[standing.deployment].engine is not None
        else standing
        for standing in standings(snapshot, {})
    )


def _warnings(loaded: Loaded, unwise: Iterable[Unwise], snapshot: Snapshot) -> tuple[str, ...]:
    """What is legal but unwise, in the order of the files; then what compiling had to say."""
    order = {str(file): number for number, file in enumerate(loaded.files)}
    placed = [(loaded.place(*one.path), one.message) for one in unwise]
    placed.sort(key=lambda found: (order.get(found[0].file, 0), found[0].line, found[0].column))
    return (*(f"{place}: {message}" for place, message in placed), *snapshot.warnings)


def _report(loaded: Loaded, snapshot: Snapshot, warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ok": True,
        "estate": loaded.estate.name,
        "version": loaded.estate.version,
        "files": [str(file) for file in loaded.files],
        "units": len(loaded.estate.units),
        "use_cases": len(loaded.estate.use_cases),
        "deployments": [
            {
                "deployment": standing.deployment,
                "pattern": standing.pattern,
                "model": standing.model,
                "state": standing.state,
                "reason": standing.reason,
            }
            for standing in _standings(loaded, snapshot)
        ],
        "notices": [str(notice) for notice in loaded.notices],
        "warnings": list(warnings),
    }


def _show(loaded: Loaded, snapshot: Snapshot, warnings: tuple[str, ...]) -> None:
    shown = console()
    estate = loaded.estate
    counts = (
        (len(estate.units), "units"),
        (len(estate.boundaries), "boundaries"),
        (len(estate.deployments), "deployments"),
        (len(estate.pools), "pools"),
        (len(estate.use_cases), "use cases"),
    )
    shown.print(Text.assemble((estate.name, "bold"), "  ", ", ".join(f"{count} {what}" for count, what in counts)))
    shown.print()
    shown.print(Padding(deployments_table(shown, _standings(loaded, snapshot)), (0, 2), expand=False))
    for title, lines in (
        ("declared, not in force in this version", tuple(str(notice) for notice in loaded.notices)),
        ("worth a look", warnings),
    ):
        if lines:
            shown.print()
            shown.print(Text(title, style="yellow"))
            shown.print(notices(lines))
    shown.print()
    shown.print(Text("no faults", style="bold green"))
