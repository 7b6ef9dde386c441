from __future__ import annotations

from urllib.parse import parse_qs

from trunkline.errors import Unidentified
from trunkline.gateway.exchange import Exchange
from trunkline.tenancy.callers import Caller
from trunkline.wire.server import Request

BEARER = b"bearer "
KEY_HEADERS = (b"x-api-key", b"x-goog-api-key", b"api-key")


async def identify(exchange: Exchange, request: Request) -> Caller:
    """Find the caller behind the key that came with the request, or without one, behind the client's certificate.

    A key counts before a certificate, also one that is not valid: it is never made good by another proof.
    A key that is not known may have been made a moment ago: the store is asked once more for changes.

    Raises:
        Unidentified: there is no key, or it is not valid.
    """
    secret = secret_of(request)
    peer = request.peer
    if not secret and peer.certificate is not None:
        return exchange.ring.bearers.identify(peer.certificate)
    try:
        return exchange.ring.identify(secret, peer.address, exchange.clock.now())
    except Unidentified as fault:
        if fault.code != Unidentified.default_code or not await exchange.keys_changed():
            raise
    return exchange.ring.identify(secret, peer.address, exchange.clock.now())


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
