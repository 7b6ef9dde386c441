"""How much of a client the server takes, and for how long."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """The bounds of one connection; sizes in bytes, times in seconds.

    Attributes:
        request_line: the longest method, target and version together.
        header_bytes: the largest head, request line included.
        header_count: the most header fields.
        body: the largest request body.
        header_time: from the first byte of a head to its end.
        body_time: from the end of the head to the end of the body.
        idle_time: between an answer and the next request; also until the first one.
        stall_time: how long a client may leave the answer unread while the server has more to write.
        write_buffer: unsent bytes of an answer above which its producer is asked to pause.
        backlog: bytes of later requests taken while one is being answered; beyond it, reading stops.
        pipeline: requests taken from one read while one is being answered; beyond it, the connection closes.
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

    @property
    def shortest_time(self) -> float:
        """The shortest of the times: a watch that looks several times within it is exact enough."""
        return min(self.header_time, self.body_time, self.idle_time, self.stall_time)
