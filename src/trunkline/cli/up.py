from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trunkline.app import run
from trunkline.app.options import GRACE, Options
from trunkline.cli.options import DEFAULT_DATA, Data, EstateFile, Host, Port
from trunkline.cli.output import console
from trunkline.cli.welcome import Greeter
from trunkline.observability import log

app = typer.Typer(add_completion=False)


class Level(StrEnum):
    """From which weight on the log is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Workers = Annotated[int, typer.Option("--workers", envvar="TRUNKLINE_WORKERS", min=1, help="Processes that answer.")]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", envvar="TRUNKLINE_STORE", metavar="URL", help="The database.", show_default="data folder"),
]
NoEngine = Annotated[
    bool, typer.Option("--no-engine", envvar="TRUNKLINE_NO_ENGINE", help="Run no engines; they show as not configured.")
]
LogLevel = Annotated[Level, typer.Option("--log-level", envvar="TRUNKLINE_LOG_LEVEL", help="The least to log.")]
LogStyle = Annotated[log.Style, typer.Option("--log-style", envvar="TRUNKLINE_LOG_STYLE", help="How to write the log.")]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="TRUNKLINE_CA_FILE",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="Certificates to trust upstream, beside the system's own, in PEM form.",
    ),
]
Grace = Annotated[
    float,
    typer.Option(
        "--grace",
        envvar="TRUNKLINE_GRACE",
        metavar="SECONDS",
        min=0,
        help="How long running calls may take to finish when it is told to stop.",
    ),
]


@app.command()
def up(  # noqa: PLR0913 - one for each option
    *,
    estate: EstateFile = None,
    data: Data = DEFAULT_DATA,
    host: Host = "127.0.0.1",
    port: Port = 8440,
    workers: Workers = 1,
    store: StoreUrl = None,
    no_engine: NoEngine = False,
    log_level: LogLevel = Level.INFO,
    log_style: LogStyle = log.Style.AUTO,
    ca_file: CaFile = None,
    grace: Grace = GRACE,
) -> None:
    """Start the exchange."""
    if store is not None:
        raise typer.BadParameter(
            "another store than the data folder's own is not in force in this version: leave it out",
            param_hint="--store",
        )
    options = Options(
        data=data.expanduser().absolute(),
        estate=estate.expanduser() if estate is not None else None,
        host=host,
        port=port,
        engines=not no_engine,
        log_level=log_level,
        ca_file=ca_file,
        workers=workers,
        grace=grace,
        log_style=log_style,
    )
    log.configure(log_level, log_style)
    with Greeter(console()) as greeter:
        run.up(options, greeter)
