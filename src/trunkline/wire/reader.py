"""What a client sends, cut into requests; each held against the rules before anybody sees it.

The parser is llhttp. Where a request line ends and where a body begins is found here as well, so that what llhttp
forgives is seen; bodies in chunks are taken apart here altogether.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from trunkline.wire.bodies import Chunks, Counted
from trunkline.wire.limits import Limits
from trunkline.wire.peer import Peer
from trunkline.wire.request import (
    LINE_BEGUN,
    METHODS,
    ONLY_ONCE,
    Refused,
    Request,
    check_head,
    head_too_large,
    too_large,
    version_of,
)

IDLE, HEAD, BODY = 0, 1, 2


class Bodies:
    """How many bytes of requests one server holds."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class _Apart(Exception):
    """No fault: it stops the parser at the end of a head, because the body is collected apart."""


class Reader:
    """Reads one client's requests, in order.

    Attributes:
        stage: between requests, in a head, or in a body.
        expects: the client waits for a word before it sends the body.
        over: the last request has come; what follows is not read.
        held: the bytes of bodies that this client has in memory.
        incoming: the request whose body is being read; None while nothing of one is known for sure.
    """

    __slots__ = (
        "_apart",
        "_bodies",
        "_body",
        "_data",
        "_early",
        "_end",
        "_headers",
        "_limits",
        "_parser",
        "_peer",
        "_repeats",
        "_start",
        "_take",
        "_twice",
        "_url",
        "expects",
        "held",
        "incoming",
        "over",
        "stage",
    )

    def __init__(self, limits: Limits, bodies: Bodies, peer: Peer, take: Callable[[Request], None]) -> None:
        self._limits = limits
        self._bodies = bodies
        self._peer = peer
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._repeats = 0
        self._twice = b""
        self._url = b""
        self._body: bytes | bytearray = b""
        self.incoming: Request | None = None
        self._apart: Chunks | Counted | None = None
        # What came of the present head in earlier reads, and where in this read it, or the first new one, begins.
        self._early = bytearray()
        self._data = b""
        self._start = 0
        # Where in this read the body under way ends; beyond it, where more is to come.
        self._end = 0
        self.stage = IDLE
        self.expects = False
        self.over = False
        self.held = 0

    def feed(self, data: bytes) -> None:
        """Read on; each whole request goes to `take` at once.

        Raises:
            Refused: what came breaks HTTP or a limit; nothing more can be read.
        """
        if self.stage == IDLE and not self._early and len(data) <= self._limits.header_bytes:
            taken = self._parse(data)
            if taken == len(data):
                return
            data = data[taken:]
        at = 0
        while at < len(data) and not self.over:
            if self._apart is not None:
                at = self._collect(self._apart, data, at)
                continue
            # No more at once than the head may have, so that what is wrong behind its bound plays no part.
            room = self._limits.header_bytes + (self._end if self.stage == BODY else -len(self._early))
            if room <= 0:
                raise head_too_large(self._limits)
            at += self._parse(data[at : at + room])

    def begun(self) -> Request | None:
        """Return the request that is under way, if only with its target; None where not even that is for sure."""
        line = LINE_BEGUN.match(self._early) if self.incoming is None else None
        return self.incoming if line is None else self._known(line[1], {})

    def release(self, size: int) -> None:
        """Give back the bytes of a body that is not needed any more."""
        self.held -= size
        self._bodies.held -= size

    def drop(self) -> None:
        """Give back everything: the connection ends."""
        self._body = b""
        self.release(self.held)

    # The parser's calls.

    def on_message_begin(self) -> None:
        """Make room for a head."""
        self.stage = HEAD
        self._headers = {}
        self._repeats = 0
        self._twice = b""
        self._url = b""

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        headers = self._headers
        name = name.lower()
        if name not in headers:
            headers[name] = value.rstrip()
            return
        # Judged at the end of the head: only there it does not matter how the reads were cut.
        self._repeats += 1
        if name in ONLY_ONCE:
            self._twice = name
        elif self._repeats <= self._limits.header_count:
            headers[name] += b", " + value.rstrip()

    def on_headers_complete(self) -> None:
        """Hold the head against the rules."""
        limits, headers, parser = self._limits, self._headers, self._parser
        if len(headers) + self._repeats > limits.header_count:
            raise Refused(431, "headers_too_large", f"the request has more than {limits.header_count} headers")
        if self._twice:
            raise Refused(400, "bad_request", f"the header {self._twice.decode()} must come only once")
        method, early = parser.get_method(), self._early
        raw, at = (bytes(early) + self._data, 0) if early else (self._data, self._start)
        line = b"%b %b HTTP/1.1\r\n" % (method, self._url)
        if raw.startswith(line, at):
            version, at = "1.1", at + len(line)
        else:
            version, at = version_of(raw, at)
        url = check_head(method, self._url, headers, version, limits)
        length = 0
        request = self.incoming = Request(self._peer, METHODS[method], url, headers, version)
        if b"content-length" in headers:
            length = int(headers[b"content-length"])
            if length > limits.body:
                raise too_large(limits)
        self._end = raw.index(b"\r\n\r\n", at - 2) + 4 - len(early)
        early.clear()
        self.stage = BODY
        request.keep_alive = parser.should_keep_alive()
        if b"expect" in headers and version == "1.1":
            self.expects = True
        if b"transfer-encoding" in headers:
            self._apart = Chunks(limits)
            raise _Apart
        if b"upgrade" in headers and parser.should_upgrade():
            # A server may ignore the wish (RFC 9110 section 7.8); the parser would take it as granted.
            self._apart = Counted(length)
            raise _Apart
        self._end += length

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        body = self._body
        if not body:
            self._body = data
        elif type(body) is bytearray:
            body += data
        else:
            self._body = bytearray(body)
            self._body += data
        self._hold(len(data))

    def on_message_complete(self) -> None:
        """Hand the request over."""
        request = self.incoming
        if request is None:
            return
        if self._body:
            request.body = bytes(self._body)
            self._body = b""
        self.incoming = None
        self.stage = IDLE
        self.expects = False
        self._start = self._end
        if not request.keep_alive:
            self.over = True
        self._take(request)

    # Within.

    def _parse(self, data: bytes) -> int:
        """Feed the parser; return how much of `data` is read: less than all where a body is collected apart."""
        self._data = data
        self._start = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as fault:
            if self.over:
                return len(data)
            cause = fault.__context__
            if isinstance(cause, Refused):
                self.incoming = self.incoming or self._known(self._url, self._headers)
                raise cause from None
            if not isinstance(cause, _Apart):
                self._early += data[self._start :]
                raise Refused(400, "bad_request", f"this is not an HTTP/1.1 request: {fault}") from fault
            self._parser = httptools.HttpRequestParser(self)
            end = self._end
            if self._apart is not None and self._apart.whole:
                self._close()
            return end
        if self.stage == BODY:
            self._end -= len(data)
        elif self._start < len(data):
            self._early += data[self._start :]
        self._data = b""
        return len(data)

    def _known(self, url: bytes, headers: dict[bytes, bytes]) -> Request:
        return Request(self._peer, "", url.decode("latin-1"), headers, "")

    def _collect(self, apart: Chunks | Counted, data: bytes, at: int) -> int:
        body = self._body
        if type(body) is not bytearray:
            body = self._body = bytearray()
        before = len(body)
        at = apart.take(data, at, body)
        self._hold(len(body) - before)
        if apart.whole:
            self._close()
        return at

    def _close(self) -> None:
        self._apart = None
        self._end = 0
        self.on_message_complete()

    def _hold(self, size: int) -> None:
        bodies = self._bodies
        self.held += size
        bodies.held += size
        if bodies.held > bodies.most:
            raise Refused(503, "overloaded", "the exchange holds as many requests as it can; try again in a moment")
