from __future__ import annotations

import msgspec

from trunkline.dialects.dialect import Door
from trunkline.errors import Malformed
from trunkline.messages import Asked
from trunkline.wire.server import Request

DATA_CLASS = b"x-trunkline-data-class"
END_CUSTOMER = b"x-trunkline-end-customer"
SESSION = b"x-trunkline-session"
TIME_LIMIT = b"x-trunkline-timeout"
PATIENCE = (b"x-stainless-read-timeout", b"x-stainless-timeout")
"""How long official SDKs wait for an answer's beginning, in seconds; they say so with each request."""
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
    data_class, end_customer = request.headers.get(DATA_CLASS), request.headers.get(END_CUSTOMER)
    if data_class is not None:
        asked = msgspec.structs.replace(asked, data_class=data_class.decode("latin-1").strip())
    if end_customer is not None:
        asked = msgspec.structs.replace(asked, end_customer=end_customer.decode("latin-1").strip())
    if door.dialect.forwards:
        lines = [
            b"%b: %b\r\n" % (name, request.headers[name]) for name in door.dialect.forwards if name in request.headers
        ]
        if lines:
            asked = msgspec.structs.replace(asked, forwarded=b"".join(lines))
    session, time_limit = request.headers.get(SESSION), request.headers.get(TIME_LIMIT)
    if session is not None:
        asked = msgspec.structs.replace(asked, session=session.decode("latin-1").strip()[:SESSION_MOST] or None)
    if time_limit is not None:
        asked = msgspec.structs.replace(asked, time_limit=_time_limit(time_limit))
    if asked.stream and (heartbeat := request.headers.get(HEARTBEAT)) is not None:
        seconds = _seconds(heartbeat)
        asked = msgspec.structs.replace(asked, heartbeat=None if seconds is None else max(seconds, OFTENEST))
    for name in PATIENCE:
        said = request.headers.get(name)
        if said is not None:
            return msgspec.structs.replace(asked, patience=_seconds(said))
    return asked


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
