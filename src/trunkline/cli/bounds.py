"""Options of `up` that bound what it takes from its callers."""

from __future__ import annotations

import re
from typing import Annotated

import typer

_SIZE = re.compile(r"([0-9]{1,12})\s*(|k|M|G|Ki|Mi|Gi)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def size(text: str) -> int:
    """Read a number of bytes: `20000000`, `20MB`, `20MiB`.

    Raises:
        typer.BadParameter: it is none, or nothing.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise typer.BadParameter(f"{text!r} is not a size in bytes such as `20000000`, `20MB` or `20MiB`")
    return int(found[1]) * _UNITS[found[2].lower()]


Connections = Annotated[
    int,
    typer.Option(
        "--connections", envvar="TRUNKLINE_CONNECTIONS", metavar="N", min=1, help="Open at once; of each worker."
    ),
]
ConnectionsPerAddress = Annotated[
    int,
    typer.Option(
        "--connections-per-address",
        envvar="TRUNKLINE_CONNECTIONS_PER_ADDRESS",
        metavar="N",
        min=1,
        help="Open at once from one address; of each worker.",
    ),
]
BodyLimit = Annotated[
    str,
    typer.Option(
        "--body-limit",
        envvar="TRUNKLINE_BODY_LIMIT",
        metavar="SIZE",
        help="The largest request body; a use case may have a lower one.",
    ),
]
BytesInFlight = Annotated[
    str,
    typer.Option(
        "--bytes-in-flight",
        envvar="TRUNKLINE_BYTES_IN_FLIGHT",
        metavar="SIZE",
        help="Request bodies in memory at once, all together; of each worker.",
    ),
]


def _seconds(name: str, variable: str, means: str) -> float:
    option: float = typer.Option(name, envvar=variable, metavar="SECONDS", min=0.1, max=86_400, help=means)
    return option


HeaderTime = Annotated[
    float, _seconds("--header-time", "TRUNKLINE_HEADER_TIME", "From a request's first byte to the end of its head.")
]
BodyTime = Annotated[
    float, _seconds("--body-time", "TRUNKLINE_BODY_TIME", "From the end of the head to the end of the body.")
]
IdleTime = Annotated[
    float, _seconds("--idle-time", "TRUNKLINE_IDLE_TIME", "How long a connection may be open without a request.")
]
StallTime = Annotated[
    float, _seconds("--stall-time", "TRUNKLINE_STALL_TIME", "How long a caller may leave its answer unread.")
]
