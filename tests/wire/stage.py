"""A connection without a socket: every read is exactly what a test hands in."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from typing import Any

from trunkline.wire.connection import Connection
from trunkline.wire.hall import Hall
from trunkline.wire.server import Handler, Limits

DATE = re.compile(rb"date: [^\r]*\r\n")


class Socket:
    family = socket.AF_UNIX


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False
        self.unsent = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return Socket() if name == "socket" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += bytes(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Stage:
    """One server's hall; `play` is one connection's whole life."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.hall = Hall(handler, limits, asyncio.get_running_loop())

    async def play(self, *reads: bytes) -> tuple[bytes, bool]:
        """Return what was written, without dates, and whether the connection was closed."""
        transport = Transport()
        connection = Connection(self.hall)
        connection.connection_made(transport)
        for read in reads:
            connection.data_received(read)
            while connection.task is not None:
                await connection.task
                await asyncio.sleep(0)
        connection.connection_lost(None)
        assert self.hall.bodies.held == 0
        assert not self.hall.connections
        return DATE.sub(b"", transport.written), transport.ended
