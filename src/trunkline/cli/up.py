from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from trunkline.app import run
from trunkline.app.options import GRACE, Options
from trunkline.cli import bounds
from trunkline.cli.options import DEFAULT_DATA, Data, EstateFile, Host, Port, StoreUrl
from trunkline.cli.output import console
from trunkline.cli.welcome import Greeter
from trunkline.observability import log
from trunkline.wire.limits import Limits

USUAL = Limits()

app = typer.Typer(add_completion=False)


class Level(StrEnum):
    """From which weight on the log is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Workers = Annotated[int, typer.Option("--workers", envvar="TRUNKLINE_WORKERS", min=1, help="Processes that answer.")]
NoEngine = Annotated[
    bool, typer.Option("--no-engine", envvar="TRUNKLINE_NO_ENGINE", help="Run no engines; they show as not configured.")
]
LogLevel = Annotated[Level, typer.Option("--log-level", envvar="TRUNKLINE_LOG_LEVEL", help="The least to log.")]
LogStyle = Annotated[log.Style, typer.Option("--log-style", envvar="TRUNKLINE_LOG_STYLE", help="How to write the log.")]


def _file(name: str, variable: str, means: str) -> Any:
    return typer.Option(
        name, envvar=variable, metavar="FILE", exists=True, dir_okay=False, readable=True, help=means + ", in PEM form."
    )


CaFile = Annotated[
    Path | None,
    _file("--ca-file", "TRUNKLINE_CA_FILE", "Certificates to trust upstream, beside the system's own"),
]
TlsCert = Annotated[Path | None, _file("--tls-cert", "TRUNKLINE_TLS_CERT", "The certificate to serve HTTPS with")]
TlsKey = Annotated[Path | None, _file("--tls-key", "TRUNKLINE_TLS_KEY", "Its key, without a password")]
TlsClientCa = Annotated[
    Path | None,
    _file("--tls-client-ca", "TRUNKLINE_TLS_CLIENT_CA", "Authorities that must have signed each client's certificate"),
]
TlsClientOptional = Annotated[
    bool,
    typer.Option(
        "--tls-client-optional",
        envvar="TRUNKLINE_TLS_CLIENT_OPTIONAL",
        help="Let in clients that show no certificate, too; a wrong one is refused all the same.",
    ),
]
CorsOrigin = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        envvar="TRUNKLINE_CORS_ORIGIN",
        metavar="ORIGIN",
        help="Let web pages of this origin call; give it once for each. The variable takes several, a space apart.",
    ),
]
ContentKey = Annotated[
    str | None,
    typer.Option(
        "--content-key",
        envvar="TRUNKLINE_CONTENT_KEY",
        metavar="REFERENCE",
        help="Where the key is that kept conversations are encrypted with: env:NAME or file:PATH.",
        show_default="they are not encrypted",
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
    content_key: ContentKey = None,
    no_engine: NoEngine = False,
    log_level: LogLevel = Level.INFO,
    log_style: LogStyle = log.Style.AUTO,
    ca_file: CaFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    tls_client_optional: TlsClientOptional = False,
    cors_origin: CorsOrigin = None,
    grace: Grace = GRACE,
    connections: bounds.Connections = USUAL.connections,
    connections_per_address: bounds.ConnectionsPerAddress = USUAL.connections_per_address,
    body_limit: bounds.BodyLimit = "20MiB",
    bytes_in_flight: bounds.BytesInFlight = "512MiB",
    header_time: bounds.HeaderTime = USUAL.header_time,
    body_time: bounds.BodyTime = USUAL.body_time,
    idle_time: bounds.IdleTime = USUAL.idle_time,
    stall_time: bounds.StallTime = USUAL.stall_time,
) -> None:
    """Start the exchange."""
    limits = Limits(
        connections=connections,
        connections_per_address=min(connections, connections_per_address),
        body=bounds.size(body_limit),
        bodies=bounds.size(bytes_in_flight),
        header_time=header_time,
        body_time=body_time,
        idle_time=idle_time,
        stall_time=stall_time,
    )
    options = Options(
        data=data.expanduser().absolute(),
        estate=estate.expanduser() if estate is not None else None,
        host=host,
        port=port,
        engines=not no_engine,
        log_level=log_level,
        ca_file=ca_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tls_client_optional=tls_client_optional,
        cors_origins=tuple(cors_origin or ()),
        workers=workers,
        grace=grace,
        log_style=log_style,
        limits=limits,
        store=store,
        content_key=content_key,
    )
    log.configure(log_level, log_style)
    with Greeter(console()) as greeter:
        run.up(options, greeter)
