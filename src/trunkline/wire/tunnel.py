"""A way through an HTTP proxy to an origin that speaks TLS.

Source: RFC 9110 section 9.3.6 (CONNECT).
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

from trunkline.errors import Unreachable

HEAD_MOST = 64 * 1024
OPENED = re.compile(rb"HTTP/1\.[01] 2\d\d\b")


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel; `opened` resolves when it stands, and fails with Unreachable when it is refused."""

    __slots__ = ("_authority", "_authorization", "_head", "opened", "transport")
    transport: asyncio.Transport

    def __init__(self, authority: str, authorization: bytes) -> None:
        self._authority = authority.encode()
        self._authorization = authorization
        self._head = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        self.transport = cast("asyncio.Transport", transport)
        proof = b"proxy-authorization: %b\r\n" % self._authorization if self._authorization else b""
        request = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (self._authority, self._authority, proof)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the proxy's head; behind it, the origin waits for us."""
        self._head += data
        if b"\r\n\r\n" in self._head:
            if OPENED.match(self._head) and self._head.endswith(b"\r\n\r\n"):
                self._settle(None)
            else:
                status = self._head.partition(b"\r\n")[0].decode("latin-1")
                self._settle(f"the proxy refused a tunnel to {self._authority.decode()}: {status!r}")
        elif len(self._head) > HEAD_MOST:
            self._settle("the proxy's answer to CONNECT is too large")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, where the tunnel does not stand yet."""
        self._settle(f"the proxy closed the connection: {exc or 'end of file'}")

    def _settle(self, fault: str | None) -> None:
        if self.opened.done():
            return
        if fault is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Unreachable("the proxy on the way to the upstream gave no tunnel", inside=fault))
