"""What the connections of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from trunkline.wire.limits import Limits
from trunkline.wire.outbox import Outbox
from trunkline.wire.reader import Bodies
from trunkline.wire.reply import Reply
from trunkline.wire.request import Refused, Request, body_of

RefusalBody = Callable[[Request | None, Refused], bytes]
"""Writes the body of a refusal in the words of who asked, as far as the request is known."""

Handler = Callable[[Request, Reply], Coroutine[Any, Any, None]]


class Guest(Protocol):
    """A connection, as its server sees it.

    Attributes:
        expires: the loop's time at which its client has been silent for too long.
        task: what answers its request at the moment.
    """

    expires: float
    task: asyncio.Task[None] | None
    transport: asyncio.Transport

    def hang_up(self) -> None:
        """Close once everything written is sent."""
        ...

    def expire(self) -> None:
        """Close on a client that was silent for too long."""
        ...


class Hall:
    """The handler, the limits and the loop of one server, and its open connections.

    Attributes:
        date: a ready `Date` line, renewed now and then.
        empty: set while no connection is open.
        closing: no answer may promise to keep its connection.
        bodies: how much all clients together have in memory.
        refusal_body: writes what a refused client reads; in the shape of OpenAI unless replaced.
        asks_certificates: clients may show certificates, which are verified.
        outbox: where answers leave.
    """

    __slots__ = (
        "_by_address",
        "asks_certificates",
        "bodies",
        "closing",
        "connections",
        "date",
        "empty",
        "handler",
        "limits",
        "loop",
        "outbox",
        "refusal_body",
        "stage_times",
    )

    def __init__(
        self, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop, outbox: Outbox | None = None
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.outbox = outbox if outbox is not None else Outbox()
        self.stage_times = (limits.idle_time, limits.header_time, limits.body_time)
        self.connections: set[Guest] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.date = b""
        self.closing = False
        self.bodies = Bodies(limits.bodies)
        self.asks_certificates = False
        self.refusal_body: RefusalBody = _in_openais_shape
        self._by_address: dict[str, int] = {}

    def enter(self, connection: Guest, peer: str) -> int:
        """Note a new connection; return by how many it is beyond what may be open, from its address or in all."""
        self.connections.add(connection)
        self.empty.clear()
        excess = len(self.connections) - self.limits.connections
        if not peer:
            return excess
        count = self._by_address[peer] = self._by_address.get(peer, 0) + 1
        return max(excess, count - self.limits.connections_per_address)

    def leave(self, connection: Guest, peer: str) -> None:
        """Forget a connection that has closed."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        if not self.connections:
            self.empty.set()
        if peer:
            count = self._by_address[peer] - 1
            if count:
                self._by_address[peer] = count
            else:
                del self._by_address[peer]


def _in_openais_shape(_: Request | None, refused: Refused) -> bytes:
    return body_of(refused.status, refused.code, refused.message)
