from __future__ import annotations

from urllib.parse import parse_qs

from trunkline.gateway.exchange import Exchange
from trunkline.tenancy.callers import Caller
from trunkline.wire.server import Request

BEARER = b"bearer "
KEY_HEADERS = (b"x-api-key", b"x-goog-api-key", b"api-key")


def identify(exchange: Exchange, request: Request) -> Caller:
    """Find the caller behind the key that came with the request.

    Raises:
        Unidentified: there is no key, or it is not valid.
    """
    return exchange.ring.identify(secret_of(request), request.peer, exchange.clock.now())


def secret_of(request: Request) -> bytes:
    """Return the key from where the official SDKs put it; empty when there is none."""
    headers = request.headers
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == BEARER:
        return authorization[7:].strip()
    for name in KEY_HEADERS:
        if value := headers.get(name):
            return value.strip()
    if "key=" in request.query:
        return parse_qs(request.query).get("key", [""])[0].encode()
    return b""
