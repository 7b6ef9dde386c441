"""Options that several commands share. Each has one `TRUNKLINE_*` name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA = Path("~/.trunkline")

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="TRUNKLINE_DATA", metavar="DIR", help="The data folder.", show_default="~/.trunkline"
    ),
]

EstateFile = Annotated[
    Path | None,
    typer.Option(
        "--estate",
        envvar="TRUNKLINE_ESTATE",
        metavar="FILE",
        help="The estate file, or a folder of such files.",
        show_default="the one last applied",
    ),
]

Host = Annotated[str, typer.Option("--host", envvar="TRUNKLINE_HOST", help="The address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", envvar="TRUNKLINE_PORT", min=0, max=65_535, help="The port; 0 takes a free one.")
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.")]

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="TRUNKLINE_STORE",
        metavar="URL",
        help="The database: postgresql://USER:PASSWORD@HOST/NAME, where URL or PASSWORD may be env:NAME or file:PATH.",
        show_default="the one used last, else the data folder's own",
    ),
]
