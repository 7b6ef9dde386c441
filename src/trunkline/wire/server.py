"""The server's end of HTTP/1.1: listens, and hands whole requests to a handler."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from email.utils import formatdate
from functools import partial
from typing import Self

from trunkline.errors import Unstartable
from trunkline.wire.connection import Connection
from trunkline.wire.hall import Guest, Hall, Handler, RefusalBody
from trunkline.wire.limits import Limits
from trunkline.wire.outbox import Outbox
from trunkline.wire.peer import Certificate, Peer
from trunkline.wire.reply import Reply
from trunkline.wire.request import Refused, Request
from trunkline.wire.tls import Certificates

__all__ = [
    "Certificate",
    "Certificates",
    "Handler",
    "Limits",
    "Outbox",
    "Peer",
    "Refused",
    "Reply",
    "Request",
    "Server",
    "bind",
]

BACKLOG = 2048
LINGER = 0.3
"""Seconds that idle connections stay open when the server closes: a caller in the middle of its work asks sooner."""
FLUSH = 1.0
"""Seconds that answers already written get to leave when the server closes."""


class Server:
    """Listens on one address. Make one with `start`, end it with `close`."""

    def __init__(self, hall: Hall, listener: asyncio.Server, tls: Certificates | None = None) -> None:
        self._hall = hall
        self._listener = listener
        self._tls = tls
        self._period = max(0.02, min(1.0, hall.limits.shortest_time / 4))
        self._watch()

    @classmethod
    async def start(
        cls,
        handler: Handler,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        *,
        sock: socket.socket | None = None,
        tls: Certificates | None = None,
        outbox: Outbox | None = None,
    ) -> Self:
        """Listen on `host` and `port` (0: a free one), or on a socket that is bound already; with `tls`, over TLS.

        `handler` runs as one task per request, and is cancelled when the client leaves before the answer's end.

        Raises:
            Unstartable: the address cannot be had; the message says why and what to do.
        """
        loop = asyncio.get_running_loop()
        hall = Hall(handler, limits or Limits(), loop, outbox)
        hall.asks_certificates = tls is not None and tls.asks_clients
        listen = partial(
            loop.create_server,
            lambda: Connection(hall),
            backlog=BACKLOG,
            ssl=tls.context if tls is not None else None,
            ssl_handshake_timeout=hall.limits.header_time if tls is not None else None,
        )
        try:
            listener = await (listen(host, port) if sock is None else listen(sock=sock))
        except (OSError, OverflowError) as fault:
            raise _unstartable(fault, host, port) from fault
        return cls(hall, listener, tls)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._hall.connections)

    def word_refusals(self, refusal_body: RefusalBody) -> None:
        """Have the bodies of refusals that the wire itself gives written by this function from now on."""
        self._hall.refusal_body = refusal_body

    async def close(self, grace: float) -> None:
        """Stop to accept, let running requests finish for up to `grace` seconds, then cancel them.

        An idle connection stays open for a moment, for a request that may be on its way; the answer says that it
        closes. Returns when every request's task has ended. Called again with 0, it cuts the waiting short.
        """
        hall = self._hall
        hall.closing = True
        self._listener.close()
        if grace:
            await self._run_dry(grace)
        for connection in self._idle():
            connection.hang_up()
        late = self._tasks()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        if grace:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hall.empty.wait(), FLUSH)
        for connection in tuple(hall.connections):
            connection.transport.abort()
        await hall.empty.wait()
        self._watching.cancel()

    async def _run_dry(self, grace: float) -> None:
        """Wait for running requests; hang up on each connection that is idle for `LINGER`."""
        hall = self._hall
        end = hall.loop.time() + grace
        idle: set[Guest] = set()
        left = grace
        while (self._tasks() or idle != self._idle()) and left > 0:
            idle = self._idle()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hall.empty.wait(), min(left, LINGER))
            for connection in idle & self._idle():
                connection.hang_up()
            left = end - hall.loop.time()

    def _idle(self) -> set[Guest]:
        return {connection for connection in self._hall.connections if connection.task is None}

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [c.task for c in self._hall.connections if c.task is not None]

    def _watch(self) -> None:
        # One look at all connections now and then costs less than a timer for each request.
        hall = self._hall
        hall.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = hall.loop.time()
        for connection in [c for c in hall.connections if c.expires < now]:
            connection.expire()
        if self._tls is not None:
            self._tls.look()
        self._watching = hall.loop.call_later(self._period, self._watch)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens, to be shared by several processes: on the first address that `host` names.

    Raises:
        Unstartable: the address cannot be had; the message says why and what to do.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as fault:
        raise _unstartable(fault, host, port) from fault
    listener.settimeout(0)
    return listener


def _unstartable(fault: Exception, host: str, port: int) -> Unstartable:
    choose = "choose one with --port N or TRUNKLINE_PORT"
    number = fault.errno if isinstance(fault, OSError) else None
    if number == errno.EADDRINUSE:
        return Unstartable(f"port {port} is in use by another program; {choose}")
    if number == errno.EACCES:
        return Unstartable(f"port {port} is open to the administrator only; {choose} (1024 or above)")
    if number == errno.EADDRNOTAVAIL:
        return Unstartable(f"{host} is no address of this machine; choose one that is, such as 127.0.0.1")
    return Unstartable(f"cannot listen on {host}, port {port}: {fault}")
