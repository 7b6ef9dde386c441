"""The answer of an upstream: its head at once, its body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from trunkline.errors import Broke, Garbled

HELD_MOST = 256 * 1024
"""Bytes of a body taken before anybody asks for it; beyond them, reading stops until somebody does."""
READ_MOST = 64 * 1024 * 1024


class Source(Protocol):
    """The connection that an answer comes over."""

    def pause(self) -> None:
        """Stop to read."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Response:
    """An answer whose head has come.

    Attributes:
        headers: names in lower case; fields that came several times are joined by ", ".
        delimited: whether the body tells its own end. If not, only the closing connection ended it, and a cut
            cannot be told from an end.
    """

    __slots__ = (
        "_complete",
        "_fault",
        "_full",
        "_link",
        "_most",
        "_pieces",
        "_reading",
        "_sink",
        "_size",
        "_waiter",
        "delimited",
        "headers",
        "status",
    )

    def __init__(self, link: Source, status: int, headers: dict[bytes, bytes], *, delimited: bool) -> None:
        self.status = status
        self.headers = headers
        self.delimited = delimited
        self._link: Source | None = link
        self._pieces: list[bytes] = []
        self._size = 0
        self._most = HELD_MOST
        self._reading = False
        self._full = False
        self._sink: Callable[[bytes], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None
        self._complete = False

    async def read(self, limit: int = READ_MOST) -> bytes:
        """Return the whole body.

        Raises:
            Broke: the connection ended before the body did.
            Slow: it took too long.
            Garbled: it breaks HTTP, or is larger than `limit` bytes.
        """
        self._reopen()
        self._reading = True
        self._most = limit
        if self._size > limit:
            self._give_up(_too_large(limit))
        if not self._complete:
            await self._finished()
        elif self._fault is not None:
            raise self._fault
        pieces = self._pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def relay(self, sink: Callable[[bytes], None]) -> None:
        """Hand the body to `sink` as it comes: once per read, synchronously, with all bytes of that read.

        What came before is handed in first. Returns at the body's clean end. What `sink` raises ends the relay and
        closes the connection.

        Raises:
            Broke: the connection ended before the body did.
            Slow: it took too long.
            Garbled: it breaks HTTP.
        """
        self._reopen()
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._hand(sink, data)
        if not self._complete:
            self._sink = sink
            await self._finished()
        elif self._fault is not None:
            raise self._fault

    def pause(self) -> None:
        """Stop to read, so that the upstream has to wait; only the total time runs on."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Read again."""
        if self._link is not None:
            self._link.resume()

    def close(self) -> None:
        """Give the answer up: its connection closes, unless the answer is complete."""
        if not self._complete:
            self._give_up(Broke("the answer was given up"))

    def take(self, data: bytes) -> None:
        """Take what one read brought. Called by the connection."""
        sink = self._sink
        if sink is not None:
            try:
                sink(data)
            except Exception as fault:  # noqa: BLE001 - as in _hand; a call less for each chunk
                self._give_up(fault)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._most:
            if self._reading:
                self._give_up(_too_large(self._most))
            elif not self._full and self._link is not None:
                self._full = True
                self._link.pause()

    def finish(self, fault: BaseException | None = None) -> None:
        """Mark the end, clean or not. Called by the connection, which is another answer's from then on."""
        if self._complete:
            return
        self._complete = True
        self._fault = fault
        self._link = None
        self._sink = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if fault is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(fault)

    def _hand(self, sink: Callable[[bytes], None], data: bytes) -> None:
        try:
            sink(data)
        except Exception as fault:  # noqa: BLE001 - the border between socket and relay: raised where the relay waits
            self._give_up(fault)

    def _give_up(self, fault: BaseException) -> None:
        link = self._link
        if self._complete and self._fault is None:
            self._fault = fault
        self.finish(fault)
        if link is not None:
            link.abort()

    def _reopen(self) -> None:
        if self._full:
            self._full = False
            self.resume()

    async def _finished(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise


def _too_large(limit: int) -> Garbled:
    return Garbled(f"the answer is larger than {limit} bytes")
