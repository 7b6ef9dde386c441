"""The answer to one request, whole or in pieces."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable
from typing import Protocol

from trunkline.wire.outbox import Outbox
from trunkline.wire.request import Request

STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in http.HTTPStatus}
WITHOUT_BODY = frozenset((204, 304))
JOINED_MOST = 64 * 1024
"""Up to this many bytes, head and body are joined into one write: a copy costs less than a second buffer."""


class House(Protocol):
    """What all connections of a server have alike: a ready `Date` line, whether none is to be kept, and the outbox."""

    date: bytes
    closing: bool
    outbox: Outbox


class Line(Protocol):
    """The connection that an answer goes out over."""

    congested: bool
    gone: bool
    transport: asyncio.Transport

    @property
    def hall(self) -> House:
        """What it shares with the others."""
        ...

    def hang_up(self) -> None:
        """Close once everything written is sent."""
        ...

    def break_off(self, *, reset: bool) -> None:
        """Close in the middle of an answer."""
        ...

    async def caught_up(self) -> None:
        """Wait until the client has read enough, or has left."""
        ...


class Reply:
    """Writes the answer to one request; an answer to a client that has left goes nowhere, without an error.

    Attributes:
        started: an answer was begun, so no other can be.
        status: the HTTP status it began with; 0 before.
        ended: the answer is complete, or was given up.
    """

    __slots__ = (
        "_also",
        "_chunked",
        "_connection",
        "_head",
        "_head_only",
        "_pause",
        "_request",
        "_resume",
        "ended",
        "started",
        "status",
    )

    def __init__(self, connection: Line, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._head_only = request.method == "HEAD"
        self._also = b""
        self._head = b""
        self._chunked = True
        self._pause: Callable[[], None] | None = None
        self._resume: Callable[[], None] | None = None
        self.started = False
        self.status = 0
        self.ended = False

    @property
    def congested(self) -> bool:
        """Whether the client reads too slowly at the moment: more should not be written."""
        return self._connection.congested

    def also(self, headers: bytes) -> None:
        """Have these lines go out with the answer, whatever it will be; each ends with CRLF."""
        self._also += headers

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Send a whole answer.

        Args:
            status: the HTTP status.
            headers: ready lines, each ended by CRLF, without Content-Length, Connection and Date;
                `headers.line` writes them safely.
            body: sent as it is; for HEAD, only its length is told.

        Raises:
            RuntimeError: an answer was begun already.
        """
        if status in WITHOUT_BODY:
            head = self._begin(status, headers)
            body = b""
        else:
            head = self._begin(status, b"%bcontent-length: %d\r\n" % (headers, len(body)))
            if self._head_only:
                body = b""
        self.ended = True
        connection = self._connection
        if connection.gone:
            return
        outbox = connection.hall.outbox
        if len(body) <= JOINED_MOST:
            outbox.put(connection.transport, head + body)
        else:
            outbox.flush()
            connection.transport.writelines((head, body))
        if not self._request.keep_alive:
            connection.hang_up()

    def start(self, status: int, headers: bytes) -> None:
        """Begin an answer in pieces; its head goes out with the first of them.

        HTTP/1.1 gets chunks; HTTP/1.0 gets an answer that the end of the connection ends.

        Raises:
            RuntimeError: an answer was begun already.
        """
        if self._request.version == "1.0":
            self._chunked = False
            self._request.keep_alive = False
        else:
            headers += b"transfer-encoding: chunked\r\n"
        self._head = self._begin(status, headers)

    def write(self, data: bytes) -> None:
        """Send a piece, at once."""
        if not data or self.ended or self._connection.gone:
            return
        if self._head_only:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data = self._head + data
            self._head = b""
        if data:
            outbox = self._connection.hall.outbox
            if outbox.waiting:
                outbox.flush()
            self._connection.transport.write(data)

    def end(self) -> None:
        """Complete an answer in pieces; does nothing to one that is complete or given up."""
        if self.ended:
            return
        self.ended = True
        connection = self._connection
        if connection.gone:
            return
        tail = b"0\r\n\r\n" if self._chunked and not self._head_only else b""
        if self._head or tail:
            connection.hall.outbox.flush()
            connection.transport.write(self._head + tail)
        if not self._request.keep_alive:
            connection.hang_up()

    def abort(self) -> None:
        """Give the answer up so that the client can tell: the connection closes without the answer's end."""
        if self.ended:
            return
        self.ended = True
        self._request.keep_alive = False
        if not self._connection.gone:
            self._connection.break_off(reset=not self._chunked)

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have `pause` called when the client stops reading fast enough, `resume` when it has caught up."""
        self._pause = pause
        self._resume = resume
        if self._connection.congested:
            pause()

    async def drained(self) -> None:
        """Wait until the client has caught up; returns at once when it has, or has left."""
        connection = self._connection
        if connection.congested and not connection.gone:
            await connection.caught_up()

    def paused(self) -> None:
        """The transport's buffer is full."""
        if self._pause is not None:
            self._pause()

    def resumed(self) -> None:
        """The transport's buffer has room again."""
        if self._resume is not None:
            self._resume()

    def _begin(self, status: int, headers: bytes) -> bytes:
        if self.started:
            raise RuntimeError("this request has its answer already")
        if self._also:
            headers = self._also + headers
        if b"\r\n\r\n" in headers:
            raise ValueError("headers must not hold an empty line")
        self.started = True
        self.status = status
        request = self._request
        hall = self._connection.hall
        if hall.closing:
            request.keep_alive = False
        status_line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        if not request.keep_alive:
            ending = b"connection: close\r\n\r\n"
        elif request.version == "1.0":
            ending = b"connection: keep-alive\r\n\r\n"
        else:
            ending = b"\r\n"
        return b"%b%b%b%b" % (status_line, hall.date, headers, ending)


class Waiters:
    """Those who wait until a client has caught up."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for `release`."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        await future

    def release(self) -> None:
        """Wake everyone."""
        for future in self._futures:
            if not future.done():
                future.set_result(None)
        self._futures.clear()
