from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from trunkline.cli.options import DEFAULT_DATA, AsJson, Data
from trunkline.cli.output import console, counted, print_json
from trunkline.clock import SystemClock, iso
from trunkline.errors import DataFolderUnusable
from trunkline.store.backup import Manifest, back_up
from trunkline.store.folder import DataFolder
from trunkline.store.place import VARIABLE, shown
from trunkline.store.telling import Stderr

app = typer.Typer(add_completion=False)

Destination = Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is new or empty.")]


@app.command()
def backup(destination: Destination, *, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Copy the data folder, while an exchange runs on it or not: ledger, keys, journals and applied estate."""
    path = data.expanduser()
    if not path.is_dir():
        raise DataFolderUnusable(f"there is no data folder {path}: name it with --data")
    folder = DataFolder(path)
    place = shown(folder, os.environ.get(VARIABLE))
    manifest = back_up(folder, place, destination.expanduser().absolute(), iso(SystemClock.now()), Stderr())
    if as_json:
        print_json(msgspec.to_builtins(manifest))
    else:
        _say(manifest, folder, destination)


def _say(manifest: Manifest, folder: DataFolder, destination: Path) -> None:
    size = sum(copied.size for copied in manifest.files.values())
    console().print(f"copied {counted(len(manifest.files), 'file')}, {counted(size, 'byte')}, to {destination}")
    if manifest.store != folder.store_path.name:
        console().print(
            f"The store is not in it: {manifest.store}. Copy that with pg_dump, after this copy: then what is in "
            "no journal here is in the dump."
        )
