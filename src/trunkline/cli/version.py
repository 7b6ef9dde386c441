from __future__ import annotations

import platform
import sys

import msgspec
import typer

from trunkline import __version__
from trunkline.cli.options import AsJson

app = typer.Typer(add_completion=False)


@app.command()
def version(*, as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        facts = {"trunkline": __version__, "python": platform.python_version(), "platform": platform.platform()}
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    else:
        sys.stdout.write(f"trunkline {__version__} on Python {platform.python_version()}\n")
