"""Which web pages may call the exchange from a browser. Source: Fetch Standard, "HTTP extensions: CORS protocol"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from trunkline.errors import Unstartable
from trunkline.wire.headers import line
from trunkline.wire.server import Request

ANY = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
EXPOSED = (
    b"access-control-expose-headers: retry-after, x-should-retry, x-trunkline-cost, x-trunkline-deployment, "
    b"x-trunkline-note, x-trunkline-pattern, x-trunkline-request-id\r\n"
)
VARY = b"vary: origin\r\n"
MAX_AGE = 600


class CrossOrigin:
    """The origins that are let in. Cookies never are: keys come in headers, and credentials are not allowed.

    `*` lets every page in, which then still needs a key of its own.
    """

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Iterable[str]) -> None:
        """Take the origins as browsers write them: `https://chat.example`, with a port where it is not the usual one.

        Raises:
            Unstartable: one of them is no origin.
        """
        names = tuple(origins)
        for name in names:
            if name != ANY and not ORIGIN.fullmatch(name):
                raise Unstartable(
                    f'"{name}" is no origin: write scheme, host and, where it is not the usual one, port, in small '
                    "letters and without a path, such as https://chat.example"
                )
        self._any = ANY in names
        self._origins = frozenset(name.encode() for name in names)

    def lines(self, request: Request) -> bytes:
        """Return the header lines that an answer to this request gets."""
        if not self._origins:
            return b""
        origin = request.headers.get(b"origin")
        if self._any:
            return b"access-control-allow-origin: *\r\n" + EXPOSED if origin is not None else b""
        if origin not in self._origins:
            return VARY
        return line(b"access-control-allow-origin", origin) + VARY + EXPOSED

    def preflight(self, request: Request, methods: bytes) -> bytes:
        """Return the lines that answer a browser's question whether it may send what it describes."""
        headers = request.headers
        allowed = self._any or headers.get(b"origin") in self._origins
        if not allowed or b"origin" not in headers or b"access-control-request-method" not in headers:
            return b""
        lines = b"access-control-allow-methods: %b\r\naccess-control-max-age: %d\r\n" % (methods, MAX_AGE)
        wanted = headers.get(b"access-control-request-headers")
        if wanted is not None and NAMES.fullmatch(wanted):
            lines += line(b"access-control-allow-headers", wanted)
        return lines
