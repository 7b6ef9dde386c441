from __future__ import annotations

from typing import Final

from trunkline.errors import UpstreamFault
from trunkline.estate.endpoints import Endpoint
from trunkline.upstream.send import OK
from trunkline.wire.client import Pool
from trunkline.wire.origins import Times

SERVER_ERROR: Final = 500
KNOCKING: Final = Times(1, 2, 2, 3)


async def knock(pool: Pool, endpoint: Endpoint) -> bool | None:
    """Ask a deployment whether it is there, by its probe: with nothing of any caller. None where that does not tell."""
    line = b"GET %b HTTP/1.1\r\n%b\r\n" % (endpoint.probe.encode(), endpoint.headers)
    try:
        response = await pool.send(endpoint.origin, line, KNOCKING)
        await response.read()
    except UpstreamFault:
        return False
    if response.status in OK:
        return True
    return False if response.status >= SERVER_ERROR else None
