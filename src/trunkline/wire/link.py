"""The client's end of one connection: one request at a time, its answer handed on as it comes."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Protocol, cast

import httptools

from trunkline.errors import Broke, Garbled, Slow
from trunkline.wire.origins import Times
from trunkline.wire.outbox import Outbox
from trunkline.wire.response import Response
from trunkline.wire.untaken import untaken

HEAD_MOST = 256 * 1024
"""Bytes that may come without any of them being body: heads and trailers beyond it are refused."""
REPEATS_MOST = 100
"""Header lines whose name came before, in one answer."""
WITHOUT_BODY = frozenset((204, 304))
SWITCHING_PROTOCOLS = 101
FIRST_FINAL = 200
STATUSES = range(100, 600)
LONGEST_NUMBER = 9
OPENINGS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
"""How an answer begins; the parser also takes other versions, RTSP and ICE, and empty lines before them."""


class Stale(Exception):
    """A connection from the pool had been closed before the whole request was there: it may be sent again, once."""


class Home(Protocol):
    """Where a connection belongs: it hears what becomes of it.

    Attributes:
        outbox: where requests leave.
    """

    outbox: Outbox

    def opened(self, link: Link) -> None:
        """Note a new connection."""
        ...

    def release(self, link: Link, *, keep: bool, rest: bool) -> None:
        """Take a connection back whose request is over; it may have to rest before the next."""
        ...

    def lost(self, link: Link) -> None:
        """Forget a connection that has closed."""
        ...


class Link(asyncio.Protocol):
    """One connection to an upstream.

    Attributes:
        deadline: the loop's time at which the present phase has taken too long, or the idle connection is too old.
        lasts: seconds without a request in which the upstream, as it says, does not close the connection.
        end: the loop's time at which the request under way has taken too long in total.
        busy: a request is under way on it.
    """

    __slots__ = (
        "_between",
        "_chunked",
        "_complete",
        "_fed",
        "_head_only",
        "_headers",
        "_heard",
        "_interim",
        "_keep",
        "_lane",
        "_loop",
        "_opening",
        "_parser",
        "_paused",
        "_pieces",
        "_repeats",
        "_response",
        "_reused",
        "_untaken",
        "_waiter",
        "busy",
        "deadline",
        "end",
        "lasts",
        "transport",
    )
    transport: asyncio.Transport

    def __init__(self, lane: Home, loop: asyncio.AbstractEventLoop) -> None:
        self._lane = lane
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._response: Response | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._fed = 0
        self._between = 0.0
        self._chunked = False
        self.lasts = math.inf
        self.end = math.inf
        self._complete = False
        self._head_only = False
        self._heard = False
        self._opening = b""
        self._repeats = 0
        self._interim = False
        self._keep = False
        self._paused = False
        self._reused = False
        self._untaken = False
        self.busy = True
        self.deadline = math.inf

    def ask(
        self, request: bytes, body: bytes, times: Times, end: float, *, head_only: bool
    ) -> asyncio.Future[Response]:
        """Send a request; the future brings the response once its head is there.

        Args:
            request: head and body, or its beginning.
            body: what else of it there is.
            times: for the phases.
            end: the loop's time at which everything must be over.
            head_only: the answer to HEAD has no body, whatever its head says.
        """
        self._between = times.between
        self.end = end
        self.deadline = self._loop.time() + times.first_byte
        self._heard = False
        self._opening = b""
        self._complete = False
        self._head_only = head_only
        self._response = None
        waiter = self._waiter = self._loop.create_future()
        self._lane.outbox.put(self.transport, request)
        if body:
            self._lane.outbox.put(self.transport, body)
        return waiter

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def pause(self) -> None:
        """Stop to read."""
        if not self._paused:
            self._paused = True
            self.deadline = math.inf
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self.deadline = self._loop.time() + self._between
            self.transport.resume_reading()

    def expire(self, now: float) -> None:
        """Close: the deadline is over."""
        if not self.busy:
            self.abort()
        elif now >= self.end:
            self._fail(Slow("the upstream did not finish its answer in the total time it has"))
        elif self._response is None:
            self._fail(Slow("the upstream did not begin to answer in time"))
        else:
            self._fail(Slow(f"the upstream stopped sending for more than {self._between:g} seconds"))

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; uvloop's and asyncio's both."""
        self.transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lane.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse, and hand on what body there is."""
        if not self.busy:
            self.abort()
            return
        if not self._opening and data.startswith(OPENINGS[0]):
            self._opening = OPENINGS[0]
        elif len(self._opening) < len(OPENINGS[0]) and not self._opens(data):
            self._fail(Garbled("the upstream's answer does not begin as HTTP/1.1 does"))
            return
        self._heard = True
        self._fed += len(data)
        fault: Garbled | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            fault = cause if isinstance(cause, Garbled) else Garbled(f"the upstream's answer breaks HTTP: {error}")
            self._keep = False
        if self._fed > HEAD_MOST:
            fault = Garbled(f"the head of the upstream's answer is larger than {HEAD_MOST} bytes")
        response = self._response
        if response is not None:
            self.deadline = self._loop.time() + self._between
            if self._pieces:
                pieces = self._pieces
                self._pieces = []
                response.take(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if self._complete:
                self._finish(response)
                return
        if fault is not None:
            self._fail(fault)

    def eof_received(self) -> None:
        """Note whether the upstream ended the connection without having had the whole request; it closes either way."""
        if self._waiter is not None and self._reused and not self._heard:
            sock = self.transport.get_extra_info("socket")
            self._untaken = sock is not None and untaken(sock.fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits how the answer ended."""
        self._lane.lost(self)
        response = self._response
        if response is not None:
            if exc is None and not response.delimited:
                response.finish()
            else:
                response.finish(Broke("the upstream's connection ended before its answer did", inside=_reason(exc)))
        elif self._waiter is not None and not self._waiter.done():
            if self._untaken and exc is None:
                self._waiter.set_exception(Stale())
            else:
                message = "the upstream closed the connection before it answered"
                self._waiter.set_exception(Broke(message, inside=f"{message}: {_reason(exc)}"))

    # The parser's calls.

    def on_message_begin(self) -> None:
        """Make room for a head."""
        if self._complete:
            raise Garbled("the upstream sent more than one answer")
        self._headers = {}
        self._repeats = 0
        self._interim = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; trailers are dropped."""
        if self._response is not None:
            return
        name = name.lower()
        value = value.rstrip()
        headers = self._headers
        if name not in headers:
            headers[name] = value
            return
        self._repeats += 1
        if self._repeats <= REPEATS_MOST:
            headers[name] += b", " + value

    def on_headers_complete(self) -> None:
        """Hand the head to whoever asked."""
        parser = self._parser
        status = parser.get_status_code()
        if self._repeats > REPEATS_MOST:
            raise Garbled("the upstream's answer repeats its headers without end")
        if status not in STATUSES:
            raise Garbled(f"the upstream's answer has the status {status}, which is none")
        if status < FIRST_FINAL:
            if status == SWITCHING_PROTOCOLS:
                raise Garbled("the upstream changed to a protocol that was not asked for")
            self._interim = True
            return
        headers = self._headers
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or self._opening == OPENINGS[1]):
            raise Garbled("the upstream's answer has a transfer coding other than chunked, or one in HTTP/1.0")
        delimited = coding is not None or b"content-length" in headers or status in WITHOUT_BODY or self._head_only
        self._keep = parser.should_keep_alive()
        self._chunked = coding is not None
        if (said := headers.get(b"keep-alive")) is not None:
            self.lasts = _lasts(said)
        response = self._response = Response(self, status, headers, delimited=delimited)
        if self._head_only:
            # The parser waits for a body that HEAD does not have, so it is of no use for another answer.
            self._keep = False
            self._complete = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._fed = 0
        if not self._complete:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the end; it is told once the whole read is parsed."""
        if not self._interim:
            self._complete = True

    # Within.

    def _opens(self, data: bytes) -> bool:
        begun = self._opening + data[: len(OPENINGS[0]) - len(self._opening)]
        self._opening = begun
        return begun in OPENINGS or any(opening.startswith(begun) for opening in OPENINGS)

    def _finish(self, response: Response) -> None:
        self._fed = 0
        self.end = math.inf
        self._response = None
        self._waiter = None
        self._reused = True
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._lane.release(self, keep=self._keep, rest=self._chunked)
        response.finish()

    def _fail(self, fault: Garbled | Slow) -> None:
        if self._response is not None:
            self._response.finish(fault)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(fault)
        self.abort()


def _lasts(said: bytes) -> float:
    """Read for how long a connection is kept, less the time in which a request may be on its way to a closed one.

    Source: RFC 2068, section 19.7.1.1 (`Keep-Alive: timeout=5, max=100`).
    """
    for part in said.split(b","):
        name, _, value = part.partition(b"=")
        if name.strip().lower() == b"timeout" and value.strip().isdigit():
            seconds = int(value.strip()[:LONGEST_NUMBER])
            return seconds - min(1.0, seconds / 2)
    return math.inf


def _reason(exc: Exception | None) -> str:
    return "end of file" if exc is None else f"{type(exc).__name__}: {exc}"
