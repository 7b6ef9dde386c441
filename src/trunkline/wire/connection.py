"""The server's end of one connection: bytes in, requests one after the other, answers in order."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct
from collections import deque
from typing import cast

from trunkline.wire.hall import Hall
from trunkline.wire.peer import Peer, certificate_of
from trunkline.wire.reader import IDLE, Reader
from trunkline.wire.reply import STATUS_LINES, Reply, Waiters
from trunkline.wire.request import Refused, Request, body_of

log = logging.getLogger("trunkline.wire")

LINGER = 2.0
"""Seconds for which what a refused client still sends is read and dropped, so that it gets to read the refusal."""
TURNED_AWAY_MOST = 64
"""Connections beyond the bound that still get to read why; those beyond these just close."""
UNAVAILABLE = 503
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
        "_address",
        "_backlog",
        "_backlog_size",
        "_deaf",
        "_fault",
        "_paused",
        "_queue",
        "_reader",
        "_timed",
        "_unsent",
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
    _reader: Reader

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.congested = False
        self.gone = False
        self.expires = math.inf
        self.reply: Reply | None = None
        self.task: asyncio.Task[None] | None = None
        self._address = ""
        self._timed = -1
        self._unsent = 0
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
            self._address = transport.get_extra_info("peername")[0]
        peer = Peer(self._address, certificate_of(transport) if self.hall.asks_certificates else None)
        self._reader = Reader(self.hall.limits, self.hall.bodies, peer, self._took)
        excess = self.hall.enter(self, self._address)
        if excess <= 0:
            self._await_more()
        elif excess > TURNED_AWAY_MOST:
            self.transport.abort()
        else:
            self._refuse(Refused(UNAVAILABLE, "overloaded", "too many connections are open; try again in a moment"))

    def data_received(self, data: bytes) -> None:
        """Parse, or hold back while an answer is under way."""
        if self.reply is None and not self.congested and not self._deaf:
            self._feed(data)
        elif not self._deaf:
            self._backlog.append(data)
            self._backlog_size += len(data)
            bodies = self.hall.bodies
            bodies.held += len(data)
            full = self._backlog_size > self.hall.limits.backlog or bodies.held > bodies.most
            if full and not self._paused:
                self._paused = True
                self.transport.pause_reading()

    def eof_received(self) -> None:
        """Treat the end of what the client sends as its leaving: a closed connection looks the same."""
        if self.reply is not None and not self.reply.ended:
            self._leave()
            self.transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the connection; the request under way is cancelled."""
        self.hall.leave(self, self._address)
        self.hall.bodies.held -= self._backlog_size
        self._backlog.clear()
        self._backlog_size = 0
        self._leave()
        self._reader.drop()

    def pause_writing(self) -> None:
        """Mark the client as too slow, and have the producer of the answer pause."""
        self.congested = True
        self._watch_unsent()
        if self.reply is not None:
            self.reply.paused()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self.congested = False
        self._timed = -1
        if not self.transport.is_closing():
            self.expires = math.inf
            self._unsent = 0
        if self._waiters is not None:
            self._waiters.release()
        if self.reply is not None:
            self.reply.resumed()
        else:
            self._proceed()

    # For the reply and the server.

    def hang_up(self) -> None:
        """Close once everything written is sent."""
        self._deaf = True
        self.hall.outbox.flush()
        self._watch_unsent()
        self.transport.close()

    def break_off(self, *, reset: bool) -> None:
        """Close in the middle of an answer; with `reset` so that even an answer without a length is seen as cut."""
        if reset:
            self.hall.outbox.flush()
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.hang_up()

    def expire(self) -> None:
        """Close on a client that was silent, or did not read, for too long."""
        if self._reader.stage != IDLE and self.reply is None and not self._deaf:
            self._refuse(Refused(408, "request_timeout", "the request did not arrive in time"))
        elif self._unsent - self.transport.get_write_buffer_size() >= self.hall.limits.write_buffer:
            self._watch_unsent()  # It reads, if slowly.
        else:
            self._leave()
            self.transport.abort()

    async def caught_up(self) -> None:
        """Wait until the client has read enough, or has left."""
        if self._waiters is None:
            self._waiters = Waiters()
        await self._waiters.wait()

    # Within.

    def _watch_unsent(self) -> None:
        """Give the client a while to take some of what is written."""
        self._unsent = self.transport.get_write_buffer_size()
        self.expires = self.hall.loop.time() + self.hall.limits.stall_time

    def _feed(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except Refused as refused:
            if not self._deaf:
                self._refuse(refused)
            return
        if self.reply is None:
            self._await_more()

    def _took(self, request: Request) -> None:
        """Begin to answer a request, or queue it."""
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

    def _await_more(self) -> None:
        reader = self._reader
        stage = reader.stage
        if stage != self._timed:
            self._timed = stage
            self.expires = self.hall.loop.time() + self.hall.stage_times[stage]
        if reader.expects:
            reader.expects = False
            self.hall.outbox.flush()
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, request: Request) -> None:
        self.expires = math.inf
        self._timed = -1
        reply = self.reply = Reply(self, request)
        self.task = self.hall.loop.create_task(self._answer(request, reply))

    async def _answer(self, request: Request, reply: Reply) -> None:
        self.hall.outbox.busy += 1  # Not before: a task that is cancelled before it begins never comes to its end.
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
            self.hall.outbox.busy -= 1
            if not self.gone:
                self._reader.release(len(request.body))
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
            self.hall.bodies.held -= self._backlog_size
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
        body = self.hall.refusal_body(self._reader.begun(), refused)
        head = b"%b%b%b%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (
            STATUS_LINES[refused.status],
            self.hall.date,
            JSON,
            b"retry-after: 1\r\n" if refused.status == UNAVAILABLE else b"",
            len(body),
        )
        self._fault = None
        self._reader.drop()
        self.expires = self.hall.loop.time() + LINGER
        self.hall.outbox.flush()
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
