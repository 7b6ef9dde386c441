from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.dialect import Door
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation
from trunkline.wire.server import Request

DATA_CLASS = b"x-trunkline-data-class"
END_CUSTOMER = b"x-trunkline-end-customer"
SESSION = b"x-trunkline-session"
TIME_LIMIT = b"x-trunkline-timeout"
PATIENCE = b"x-stainless-read-timeout"
OLDER_PATIENCE = b"x-stainless-timeout"
"""How long official SDKs wait for an answer's beginning, in seconds; they say so with each request."""
AGENT = b"user-agent"
HEARTBEAT = b"x-trunkline-heartbeat"
OFTENEST = 1.0
"""Seconds between two heartbeats at least."""
LONGEST = 86_400.0
SESSION_MOST = 200


def decode(door: Door, request: Request) -> Asked:
    """Turn the body into a neutral request, with what the headers say of data class and end customer.

    Raises:
        Malformed: the body cannot be read.
    """
    asked = door.dialect.decode(door.operation, request.body, request.path, request.query)
    headers = request.headers
    said: dict[str, Any] = {}
    if (data_class := headers.get(DATA_CLASS)) is not None:
        said["data_class"] = data_class.decode("latin-1").strip()
    if (end_customer := headers.get(END_CUSTOMER)) is not None:
        said["end_customer"] = end_customer.decode("latin-1").strip()
    if door.dialect.forwards:
        said["forwarded"] = b"".join(
            b"%b: %b\r\n" % (name, headers[name]) for name in door.dialect.forwards if name in headers
        )
    if (session := headers.get(SESSION)) is not None:
        said["session"] = session.decode("latin-1").strip()[:SESSION_MOST] or None
    if (time_limit := headers.get(TIME_LIMIT)) is not None:
        said["time_limit"] = _time_limit(time_limit)
    if asked.stream and (heartbeat := headers.get(HEARTBEAT)) is not None:
        seconds = _seconds(heartbeat)
        said["heartbeat"] = None if seconds is None else max(seconds, OFTENEST)
    if asked.operation is Operation.EMBEDDINGS and (suit := door.dialect.suit) is not None:
        said["suited"] = suit.client in headers.get(AGENT, b"")
    if (patience := headers.get(PATIENCE) or headers.get(OLDER_PATIENCE)) is not None:
        said["patience"] = _seconds(patience)
    return msgspec.structs.replace(asked, **said) if said else asked


def _time_limit(value: bytes) -> float:
    seconds = _seconds(value)
    if seconds is None:
        raise Malformed(
            "`x-trunkline-timeout` must be a number of seconds above 0, such as 30 or 2.5.",
            code="unknown_timeout",
            param="x-trunkline-timeout",
        )
    return seconds


def _seconds(value: bytes) -> float | None:
    """Read a number of seconds; None where it is none, or says nothing."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return min(seconds, LONGEST) if seconds > 0 else None
