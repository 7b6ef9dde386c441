"""The fake upstream of the overload curve: so many answers at once, each after the same time; the others queue.

It queues without a bound, as an engine does, and forgets who hangs up.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

import uvloop
from bench.question import ANSWER

SLOTS = 10
SERVICE = 0.1
CAPACITY = SLOTS / SERVICE
"""Answers per second."""
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER.encode()),
    ANSWER.encode(),
)


class Service:
    """The slots, and those that wait for one."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[Caller] = deque()
        self.busy = 0

    def ask(self, caller: Caller) -> None:
        """Serve a caller, now or in its turn."""
        self.waiting.append(caller)
        self._go_on()

    def _go_on(self) -> None:
        while self.waiting and self.busy < SLOTS:
            caller = self.waiting.popleft()
            if not caller.gone:
                self.busy += 1
                self.loop.call_later(SERVICE, self._answer, caller)

    def _answer(self, caller: Caller) -> None:
        self.busy -= 1
        if not caller.gone:
            caller.transport.write(WHOLE)
        self._go_on()


class Caller(asyncio.Protocol):
    """One connection, one request after the other."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]  # a TCP server's transport is one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """Make way for the next."""
        self.gone = True

    def data_received(self, data: bytes) -> None:
        """Queue a request once it is whole."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._service.ask(self)


async def serve(port: int) -> None:
    """Serve until the process ends."""
    service = Service()
    server = await service.loop.create_server(lambda: Caller(service), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
