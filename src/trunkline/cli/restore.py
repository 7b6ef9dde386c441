from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.options import DEFAULT_DATA, Data
from trunkline.cli.output import console, counted
from trunkline.clock import SystemClock, as_datetime
from trunkline.store.backup import restore as put_back
from trunkline.store.folder import DataFolder

app = typer.Typer(add_completion=False)

Source = Annotated[Path, typer.Argument(metavar="SRC", help="A folder that `trunkline backup` made.")]
Force = Annotated[bool, typer.Option("--force", help="Put aside what the data folder holds.")]


@app.command()
def restore(source: Source, *, data: Data = DEFAULT_DATA, force: Force = False) -> None:
    """Put a copy back into a data folder on which no exchange runs. Every file is compared with its checksum first."""
    aside = f"before-restore-{as_datetime(SystemClock.now()):%Y%m%dT%H%M%S}"
    folder = DataFolder(data)
    manifest = put_back(source.expanduser().absolute(), folder, aside, force=force)
    console().print(f"put back {counted(len(manifest.files), 'file')} of {manifest.made_at} into {folder.path}")
    if manifest.store != folder.store_path.name:
        console().print(f"The store was not in the copy: {manifest.store}. Put that back, too, before the next start.")
