"""How much of its clients the server takes, and for how long."""

from __future__ import annotations

from typing import Self

import msgspec

SPARE_FILES = 128
"""Open files kept for all that is no connection: journal, store, log, engines."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds of a server and of each of its connections; sizes in bytes, times in seconds.

    Attributes:
        request_line: the longest target of a request.
        header_bytes: the largest head, request line included.
        header_count: the most header fields.
        body: the largest request body.
        header_time: from the first byte of a head to its end.
        body_time: from the end of the head to the end of the body.
        idle_time: between an answer and the next request; also until the first one.
        stall_time: how long a client may leave the answer unread while the server has more to write; one that takes
            `write_buffer` or more of it in that time goes on.
        write_buffer: unsent bytes of an answer above which its producer is asked to pause.
        backlog: bytes of later requests taken while one is being answered; beyond it, reading stops.
        pipeline: requests taken from one read while one is being answered; beyond it, the connection closes.
        connections: open at once, all together.
        connections_per_address: open at once from one address.
        bodies: request bodies held at once, those being read and those of running requests together.
    """

    request_line: int = 8 * 1024
    header_bytes: int = 64 * 1024
    header_count: int = 100
    body: int = 20 * 1024 * 1024
    header_time: float = 15.0
    body_time: float = 60.0
    idle_time: float = 75.0
    stall_time: float = 120.0
    write_buffer: int = 64 * 1024
    backlog: int = 256 * 1024
    pipeline: int = 64
    connections: int = 16_384
    connections_per_address: int = 8_192
    bodies: int = 512 * 1024 * 1024

    @property
    def shortest_time(self) -> float:
        """The shortest of the times: a watch that looks several times within it is exact enough."""
        return min(self.header_time, self.body_time, self.idle_time, self.stall_time)

    def within(self, open_files: int) -> Self:
        """Return limits that a process with so many open files can keep: a call needs two, at both its ends."""
        most = max(1, (open_files - SPARE_FILES) // 2)
        if most >= self.connections:
            return self
        return msgspec.structs.replace(
            self, connections=most, connections_per_address=min(most, self.connections_per_address)
        )
