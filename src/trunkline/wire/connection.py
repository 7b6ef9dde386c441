"""The server's end of one connection: bytes in, requests one after the other, answers in order."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct
from collections import deque
from typing import cast

import httptools

from trunkline.wire.hall import Hall
from trunkline.wire.reply import STATUS_LINES, Reply, Waiters
from trunkline.wire.request import (
    ONLY_ONCE,
    Refused,
    Request,
    body_of,
    check_head,
    head_too_large,
    too_large,
    without_upgrade,
)

log = logging.getLogger("trunkline.wire")

LINGER = 2.0
"""Seconds for which what a refused client still sends is read and dropped, so that it gets to read the refusal."""
IDLE, HEAD, BODY = 0, 1, 2
JSON = b"content-type: application/json\r\n"
RESET = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client. At most one request is being answered at a time, by one task; later ones wait, bounded.

    Attributes:
        congested: the client reads too slowly; nothing new is begun before it has caught up.
        gone: nothing can be written any more.
        expires: the loop's time at which the client has been silent for too long in its present stage.
    """

    __slots__ = (
        "_backlog",
        "_backlog_size",
        "_deaf",
        "_expects",
        "_fault",
        "_fed",
        "_headers",
        "_incoming",
        "_parser",
        "_paused",
        "_peer",
        "_pieces",
        "_queue",
        "_repeats",
        "_size",
        "_stage",
        "_timed",
        "_upgrade",
        "_url",
        "_waiters",
        "congested",
        "expires",
        "gone",
        "hall",
        "reply",
        "task",
        "transport",
    )
    transport: asyncio.Transport

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.congested = False
        self.gone = False
        self.expires = math.inf
        self.reply: Reply | None = None
        self.task: asyncio.Task[None] | None = None
        self._peer = ""
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._repeats = 0
        self._url = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._fed = 0
        self._stage = IDLE
        self._timed = -1
        self._incoming: Request | None = None
        self._expects = False
        self._upgrade = False
        self._queue: deque[Request] = deque()
        self._backlog: list[bytes] = []
        self._backlog_size = 0
        self._paused = False
        self._deaf = False
        self._fault: Refused | None = None
        self._waiters: Waiters | None = None

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; uvloop's and asyncio's both."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self.hall.limits.write_buffer)
        sock = transport.get_extra_info("socket")
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer = transport.get_extra_info("peername")[0]
        self.hall.connections.add(self)
        self.hall.empty.clear()
        self._await_more()

    def data_received(self, data: bytes) -> None:
        """Parse, or hold back while an answer is under way."""
        if self.reply is None and not self.congested and not self._deaf:
            self._feed(data)
        elif not self._deaf:
            self._backlog.append(data)
            self._backlog_size += len(data)
            if self._backlog_size > self.hall.limits.backlog and not self._paused:
                self._paused = True
                self.transport.pause_reading()

    def eof_received(self) -> None:
        """Treat the end of what the client sends as its leaving: a closed connection looks the same."""
        if self.reply is not None and not self.reply.ended:
            self._leave()
            self.transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the connection; the request under way is cancelled."""
        self.hall.connections.discard(self)
        if not self.hall.connections:
            self.hall.empty.set()
        self._leave()

    def pause_writing(self) -> None:
        """Mark the client as too slow, and have the producer of the answer pause."""
        self.congested = True
        self.expires = self.hall.loop.time() + self.hall.limits.stall_time
        if self.reply is not None:
            self.reply.paused()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self.congested = False
        self._timed = -1
        if not self.transport.is_closing():
            self.expires = math.inf
        if self._waiters is not None:
            self._waiters.release()
        if self.reply is not None:
            self.reply.resumed()
        else:
            self._proceed()

    # The parser's calls.

    def on_message_begin(self) -> None:
        """Make room for a head."""
        self._stage = HEAD
        self._headers = {}
        self._url = b""

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; trailers are dropped."""
        headers = self._headers
        name = name.lower()
        if self._stage == BODY:
            return
        if name not in headers:
            headers[name] = value.rstrip()
            return
        if name in ONLY_ONCE:
            raise Refused(400, "bad_request", f"the header {name.decode('latin-1')} must come only once")
        headers[name] += b", " + value.rstrip()
        self._repeats += 1

    def on_headers_complete(self) -> None:
        """Hold the head against the rules."""
        limits = self.hall.limits
        headers = self._headers
        parser = self._parser
        if len(headers) + self._repeats > limits.header_count:
            raise Refused(431, "headers_too_large", f"the request has more than {limits.header_count} headers")
        if self._fed > limits.header_bytes:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers.items())
            if size > limits.header_bytes:
                raise head_too_large(limits)
        keep_alive = parser.should_keep_alive()
        # Kept without having said so: that is HTTP/1.1, and the parser need not be asked, which costs more.
        said = b"connection" in headers or b"proxy-connection" in headers
        version = "1.1" if keep_alive and not said else parser.get_http_version()
        method = parser.get_method()
        url = check_head(method, self._url, headers, version, limits)
        self._repeats = 0
        self._stage = BODY
        if b"upgrade" in headers and parser.should_upgrade():
            self._upgrade = True
            return
        request = self._incoming = Request(self._peer, method.decode(), url, headers, version)
        request.keep_alive = keep_alive
        if b"expect" in headers and version == "1.1":
            self._expects = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._fed = 0
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self.hall.limits.body:
            raise too_large(self.hall.limits)

    def on_message_complete(self) -> None:
        """Begin to answer, or queue."""
        request = self._incoming
        if self._upgrade or request is None:
            return
        if self._pieces:
            request.body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces = []
            self._size = 0
        self._incoming = None
        self._stage = IDLE
        self._fed = 0
        self._expects = False
        if not request.keep_alive:
            self._deaf = True
        if self.reply is None:
            self._begin(request)
            return
        self._queue.append(request)
        if len(self._queue) >= self.hall.limits.pipeline and not self._deaf:
            self._deaf = True
            request.keep_alive = False
            raise Refused(400, "bad_request", "too many requests at once")

    # For the reply and the server.

    def hang_up(self) -> None:
        """Close once everything written is sent."""
        self._deaf = True
        self.expires = self.hall.loop.time() + self.hall.limits.stall_time
        self.transport.close()

    def break_off(self, *, reset: bool) -> None:
        """Close in the middle of an answer; with `reset` so that even an answer without a length is seen as cut."""
        if reset:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.hang_up()

    def expire(self) -> None:
        """Close on a client that was silent, or did not read, for too long."""
        if self._stage != IDLE and self.reply is None and not self._deaf:
            self._refuse(Refused(408, "request_timeout", "the request did not arrive in time"))
        else:
            self._leave()
            self.transport.abort()

    async def caught_up(self) -> None:
        """Wait until the client has read enough, or has left."""
        if self._waiters is None:
            self._waiters = Waiters()
        await self._waiters.wait()

    # Within.

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as fault:
            if not self._deaf:
                cause = fault.__context__
                if not isinstance(cause, Refused):
                    cause = Refused(400, "bad_request", f"this is not an HTTP/1.1 request: {fault}")
                self._refuse(cause)
            return
        if self.reply is None:
            self._await_more()

    def _ignore_upgrade(self, rest: bytes) -> None:
        # The parser takes an upgrade as agreed, and the body as the other protocol's. A server may ignore the wish
        # (RFC 9110 section 7.8), so the head is parsed again without it.
        head = without_upgrade(self._parser.get_method(), self._url, self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self._upgrade = False
        self._fed = 0
        self._feed(head + rest)

    def _await_more(self) -> None:
        stage = self._stage
        if stage != self._timed:
            self._timed = stage
            self.expires = self.hall.loop.time() + self.hall.stage_times[stage]
        if self._fed > self.hall.limits.header_bytes:
            self._refuse(head_too_large(self.hall.limits))
        elif self._expects:
            self._expects = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, request: Request) -> None:
        self.expires = math.inf
        self._timed = -1
        reply = self.reply = Reply(self, request)
        self.task = self.hall.loop.create_task(self._answer(request, reply))

    async def _answer(self, request: Request, reply: Reply) -> None:
        try:
            await self.hall.handler(request, reply)
            if not reply.ended:
                log.error("%s %s ended without an answer", request.method, request.path)
        except Exception:  # the border: whatever the handler does, the client gets an answer
            log.exception("%s %s failed", request.method, request.path)
        finally:
            if not reply.started:
                self._apologise(reply)
            reply.abort()
            self.reply = None
            self.task = None
            if not self.gone:
                self._proceed()

    def _apologise(self, reply: Reply) -> None:
        if self.hall.closing:
            reply.send(503, JSON, body_of(503, "unavailable", "the exchange is shutting down; try again"))
        else:
            reply.send(500, JSON, body_of(500, "internal_error", "the exchange failed to answer; its log says why"))

    def _proceed(self) -> None:
        if self.congested or self.transport.is_closing():
            return
        if self._queue:
            self._begin(self._queue.popleft())
        elif self._fault is not None:
            self._refuse(self._fault)
        elif self._deaf:
            self.hang_up()
        elif self._backlog:
            data = b"".join(self._backlog)
            self._backlog.clear()
            self._backlog_size = 0
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
            self._feed(data)
        else:
            self._await_more()

    def _refuse(self, refused: Refused) -> None:
        self._deaf = True
        if self.reply is not None or self._queue:
            self._fault = refused
            return
        body = body_of(refused.status, refused.code, refused.message)
        head = b"%b%b%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (
            STATUS_LINES[refused.status],
            self.hall.date,
            JSON,
            len(body),
        )
        self._fault = None
        self._pieces = []
        self.expires = self.hall.loop.time() + LINGER
        self.transport.write(head + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _leave(self) -> None:
        self.gone = True
        if self._waiters is not None:
            self._waiters.release()
        self._queue.clear()
        if self.task is not None and self.reply is not None and not self.reply.ended:
            self.task.cancel()
