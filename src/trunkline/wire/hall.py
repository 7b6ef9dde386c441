"""What the connections of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from trunkline.wire.limits import Limits
from trunkline.wire.reply import Reply
from trunkline.wire.request import Request

if TYPE_CHECKING:
    from trunkline.wire.connection import Connection

Handler = Callable[[Request, Reply], Coroutine[Any, Any, None]]


class Hall:
    """The handler, the limits and the loop of one server, and its open connections.

    Attributes:
        date: a ready `Date` line, renewed now and then.
        empty: set while no connection is open.
        closing: no answer may promise to keep its connection.
    """

    __slots__ = ("closing", "connections", "date", "empty", "handler", "limits", "loop", "stage_times")

    def __init__(self, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.stage_times = (limits.idle_time, limits.header_time, limits.body_time)
        self.connections: set[Connection] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.date = b""
        self.closing = False
