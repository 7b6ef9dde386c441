"""The client's end of HTTP/1.1: pooled connections to upstreams, each request with its times."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque

from trunkline.errors import Broke, Slow, Unreachable, UpstreamFault
from trunkline.wire.link import Link, Stale
from trunkline.wire.origins import Origin, Times
from trunkline.wire.outbox import Outbox
from trunkline.wire.proxies import Proxies, Proxy
from trunkline.wire.response import Response
from trunkline.wire.trust import trust
from trunkline.wire.tunnel import Tunnel

__all__ = ["Origin", "Pool", "Proxies", "Proxy", "Response", "Times", "trust"]

LOOK_EVERY = 0.25
"""Seconds between two looks at all deadlines: time-outs come up to this much late, and cost no timer per request."""


RESTS = 0.05
"""Seconds after which a connection is used again that brought an answer in chunks: some servers, llama.cpp's among
them, close it behind a stream without having said so, and a request that meets that is lost."""


class Lane:
    """The connections to one origin.

    Attributes:
        idle: those that wait for a request; the last one used is the first one taken.
        resting: those that will be idle soon, with the loop's time of that; the next one first.
        busy: how many carry a request.
        opening: how many are being made.
    """

    __slots__ = ("_loop", "_pool", "busy", "idle", "opening", "origin", "outbox", "proxy", "resting")

    def __init__(self, pool: Pool, origin: Origin, proxy: Proxy | None) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self.origin = origin
        self.proxy = proxy
        self.outbox = pool.outbox
        self.idle: list[Link] = []
        self.resting: deque[tuple[float, Link]] = deque()
        self.busy = 0
        self.opening = 0

    @property
    def kept(self) -> int:
        """How many connections are kept for requests to come."""
        return len(self.idle) + len(self.resting)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def take(self, now: float) -> Link | None:
        """Return an idle connection that is still open, for one request."""
        while self.resting and self.resting[0][0] <= now:
            self.idle.append(self.resting.popleft()[1])
        while self.idle:
            link = self.idle.pop()
            link.busy = True
            self.busy += 1
            if link.deadline <= now:
                link.abort()
            elif not link.transport.is_closing():
                return link
        return None

    def opened(self, link: Link) -> None:
        """Note a new connection; one that nobody comes to use goes the way of idle ones."""
        self.busy += 1
        link.deadline = self._loop.time() + self._pool.idle
        self._pool.watch(link)

    def release(self, link: Link, *, keep: bool, rest: bool) -> None:
        """Take a connection back whose request is over; it closes unless it can be kept, and may have to rest."""
        pool = self._pool
        if keep and self.kept < pool.per_origin_idle and not pool.closed and not link.transport.is_closing():
            self.busy -= 1
            link.busy = False
            now = self._loop.time()
            link.deadline = now + min(pool.idle, link.lasts)
            if rest:
                self.resting.append((now + RESTS, link))
            else:
                self.idle.append(link)
        else:
            link.transport.close()

    def lost(self, link: Link) -> None:
        """Forget a connection that has closed."""
        if not self._pool.forget(link):
            return
        if link.busy:
            self.busy -= 1
        elif link in self.idle:
            self.idle.remove(link)
        else:
            self.resting = deque(one for one in self.resting if one[1] is not link)

    def through_proxy(self, request: bytes) -> bytes:
        """Write a request's target in absolute form, as a proxy needs it (RFC 9112 section 3.2.2)."""
        method, _, rest = request.partition(b" ")
        target, _, rest = rest.partition(b"\r\n")
        proof = self.proxy.authorization if self.proxy else b""
        line = b"proxy-authorization: %b\r\n" % proof if proof else b""
        return b"%b http://%b%b\r\n%b%b" % (method, self.origin.authority.encode(), target, line, rest)


class Pool:
    """Sends requests over connections that are kept open between them.

    Attributes:
        idle: seconds after which a connection without a request is closed, sooner where the upstream says that it does.
        per_origin_idle: the most connections kept per origin.
        closed: no request can be sent any more.
        outbox: where requests leave.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
        idle: float = 55.0,
        per_origin_idle: int = 256,
        outbox: Outbox | None = None,
    ) -> None:
        self._tls = tls
        self._proxies = proxies or Proxies()
        self.idle = idle
        self.per_origin_idle = per_origin_idle
        self.closed = False
        self.outbox = outbox if outbox is not None else Outbox()
        self._lanes: dict[Origin, Lane] = {}
        self._links: set[Link] = set()
        self._empty = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None

    async def send(
        self, origin: Origin, request: bytes, times: Times, *, body: bytes = b"", method_is_head: bool = False
    ) -> Response:
        """Send a request (head and body), and return its response once the head is there.

        A large body is better given by itself, as `body`: then it is not copied once more.

        A connection from the pool that the upstream had closed before the whole request reached it is replaced by a
        fresh one, once. Where it may have read the request, it may bill for it, and the fault is told instead.
        Cancelling this, or `read` or `relay` of the response, closes the connection at once.

        Raises:
            Unreachable: no connection; nothing was sent.
            Slow: to connect (`sent` is False then), to begin to answer, or in total.
            Broke: the connection ended before the head did.
            Garbled: the answer breaks HTTP.
        """
        lane = self._lanes.get(origin) or self._open_lane(origin)
        now = lane.now()
        end = now + times.total
        if lane.proxy is not None and not origin.tls:
            request = lane.through_proxy(request)
        link = lane.take(now)
        stale = False
        while True:
            if link is None:
                link = await self._connect(lane, times, stale=stale)
            try:
                return await link.ask(request, body, times, end, head_only=method_is_head)
            except Stale:
                stale = True
                link = None
            except (UpstreamFault, asyncio.CancelledError):
                link.abort()
                raise

    def status(self) -> dict[Origin, tuple[int, int]]:
        """Return the number of busy and of idle connections per origin."""
        return {origin: (lane.busy + lane.opening, lane.kept) for origin, lane in self._lanes.items()}

    async def close(self) -> None:
        """Close all connections; requests under way end with Broke."""
        self.closed = True
        for link in tuple(self._links):
            link.abort()
        if self._links:
            await self._empty.wait()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def watch(self, link: Link) -> None:
        """Keep an eye on a connection's deadline. Called by the connections."""
        self._links.add(link)
        self._empty.clear()
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def forget(self, link: Link) -> bool:
        """Stop to watch a connection; return whether it was watched. Called by the connections."""
        if link not in self._links:
            return False
        self._links.remove(link)
        if not self._links:
            self._empty.set()
        return True

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for link in [link for link in self._links if link.deadline <= now or link.end <= now]:
            link.expire(now)
        for lane in [lane for lane in self._lanes.values() if not (lane.busy or lane.opening or lane.kept)]:
            del self._lanes[lane.origin]
        self._looking = loop.call_later(LOOK_EVERY, self._look) if self._links else None

    def _open_lane(self, origin: Origin) -> Lane:
        proxy = self._proxies.find(origin.host, origin.port, tls=origin.tls)
        lane = self._lanes[origin] = Lane(self, origin, proxy)
        return lane

    async def _connect(self, lane: Lane, times: Times, *, stale: bool) -> Link:
        if self.closed:
            raise Unreachable("the exchange is shutting down")
        where = lane.origin.authority
        lane.opening += 1
        try:
            async with asyncio.timeout(min(times.connect, times.total)):
                return await self._open(lane)
        except (OSError, UnicodeError, Unreachable) as fault:  # Names that DNS cannot have are no Unicode to it.
            if stale:
                # The request went out on the old connection, so "nothing was sent" would not be true.
                message = "the upstream closed the connection, and no other could be made"
                raise Broke(message, inside=f"{message}: {where}: {fault}") from fault
            raise _named(fault, where) from fault
        finally:
            lane.opening -= 1

    async def _open(self, lane: Lane) -> Link:
        loop = asyncio.get_running_loop()
        origin = lane.origin
        proxy = lane.proxy
        if origin.tls and self._tls is None:
            self._tls = trust()
        context = self._tls if origin.tls else None
        if proxy is None or context is None:
            host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
            link = Link(lane, loop)
            try:
                await loop.create_connection(lambda: link, host, port, ssl=context)
            except BaseException:
                lane.lost(link)  # A loop that is cancelled here may close a connection that stands without telling it.
                raise
            return link
        tunnel_transport, tunnel = await loop.create_connection(
            lambda: Tunnel(origin.authority, proxy.authorization), proxy.host, proxy.port
        )
        try:
            await tunnel.opened
            link = Link(lane, loop)
            transport = await loop.start_tls(tunnel_transport, link, context, server_hostname=origin.host)
        except (OSError, Unreachable, asyncio.CancelledError):
            tunnel_transport.abort()
            raise
        if transport is None:
            raise Unreachable("the proxy on the way to the upstream closed the tunnel", inside=f"{origin.authority}")
        link.connection_made(transport)
        return link


def _named(fault: Exception, where: str) -> Exception:
    """Say what kept a connection from being made; the address and the system's words are for the inside."""
    if isinstance(fault, Unreachable):
        return fault
    if isinstance(fault, TimeoutError):
        message = "the upstream could not be connected to in time"
        return Slow(message, sent=False, inside=f"{message}: {where}")
    if isinstance(fault, ssl.SSLCertVerificationError):
        message = "the upstream's certificate is not trusted"
        hint = "name the file of its certificate authority in SSL_CERT_FILE, or correct the host name"
        return Unreachable(message, inside=f"{message}: {where}: {fault.verify_message}; {hint}")
    if isinstance(fault, ssl.SSLError):
        message = "TLS with the upstream failed"
    elif isinstance(fault, socket.gaierror | UnicodeError):
        message = "the upstream's host name has no address"
    elif isinstance(fault, ConnectionRefusedError):
        message = "the upstream refused the connection"
    else:
        message = "no connection to the upstream could be made"
    return Unreachable(message, inside=f"{message}: {where}: {fault}")
