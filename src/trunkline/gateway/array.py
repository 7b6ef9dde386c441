"""A stream for a caller that reads no server-sent events: the same, as one JSON array that is written on and on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trunkline.wire.sse import Framer, data_of


class Taker(Protocol):
    """Takes an answer: a caller's connection, as a rule."""

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        ...

    def send(self, status: int, headers: bytes, body: bytes, /) -> None:
        """Take a whole answer."""
        ...

    def start(self, status: int, headers: bytes, /) -> None:
        """Take the head of one that comes in pieces."""
        ...

    def write(self, data: bytes, /) -> None:
        """Take a piece."""
        ...

    def end(self) -> None:
        """Take the end."""
        ...

    def watch(self, pause: Callable[[], None], resume: Callable[[], None], /) -> None:
        """Say when to hold up who writes."""
        ...


class ArrayReply:
    """Takes a stream's events and writes what they hold as items of an array."""

    __slots__ = ("_between", "_reply")

    def __init__(self, reply: Taker) -> None:
        self._reply = reply
        self._between = b"["

    @property
    def started(self) -> bool:
        """Whether the head has been written."""
        return self._reply.started

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have a slow reader hold up who writes."""
        self._reply.watch(pause, resume)

    def start(self, status: int, headers: bytes) -> None:
        """Write the head."""
        self._reply.start(status, headers)

    def write(self, data: bytes) -> None:
        """Write the items that whole events hold."""
        items = b""
        for event in Framer().feed(data):
            if item := data_of(event):
                items += self._between + item
                self._between = b",\r\n"
        if items:
            self._reply.write(items)

    def end(self) -> None:
        """End the array, and the answer."""
        self._reply.write(b"[]" if self._between == b"[" else b"]")
        self._reply.end()
