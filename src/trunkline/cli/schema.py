from __future__ import annotations

import typer

from trunkline.cli.output import print_json
from trunkline.estate.schema import schema as estate_schema

app = typer.Typer(add_completion=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the estate file, for editors."""
    print_json(estate_schema())
