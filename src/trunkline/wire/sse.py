"""Server-sent events: a stream cut into whole events, byte for byte, and the data of one event.

Source: HTML Standard, section "Server-sent events" (lines end with LF, CRLF or CR; a blank line ends an event).
"""

from __future__ import annotations

import re

from trunkline.errors import Garbled

PENDING_MOST = 8 * 1024 * 1024
# CR LF may be split over two reads, so a CR that could still get its LF ends an event only once the next byte is known.
# CR CR ends one at once: an LF behind it begins the next event, where a blank line means nothing.
END_OF_EVENT = re.compile(rb"\r?\n\r?\n|\r\r|\r?\n\r(?=[^\n])")
REACH = 3
"""How many bytes before the newest ones may belong to an end of event that is not complete yet."""


class Framer:
    """Cuts a stream into events, whatever the reads it comes in.

    All events and `rest`, joined, are the bytes that were fed.
    """

    __slots__ = ("_most", "_pending")

    def __init__(self, most: int = PENDING_MOST) -> None:
        self._pending = bytearray()
        self._most = most

    @property
    def rest(self) -> bytes:
        """The bytes of an event that has not ended yet."""
        return bytes(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that `data` completes, each with its blank line.

        Raises:
            Garbled: an event grows beyond the bound (8 MB unless told).
        """
        if self._pending:
            return self._feed_on(data)
        if b"\r" in data:
            return self._cut_any(data, 0)
        first = data.find(b"\n\n")
        if first == len(data) - 2 and first >= 0:
            return [data]
        if first < 0:
            self._keep(data)
            return []
        return self._cut(data)

    def _feed_on(self, data: bytes) -> list[bytes]:
        pending = self._pending
        scanned = max(0, len(pending) - REACH)
        pending += data
        if not END_OF_EVENT.search(pending, scanned):
            self._check()
            return []
        whole = bytes(pending)
        pending.clear()
        return self._cut_any(whole, scanned)

    def _cut(self, data: bytes) -> list[bytes]:
        parts = data.split(b"\n\n")
        self._keep(parts.pop())
        return [part + b"\n\n" for part in parts]

    def _cut_any(self, data: bytes, scanned: int) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        for end in END_OF_EVENT.finditer(data, scanned):
            events.append(data[start : end.end()])
            start = end.end()
        self._keep(data[start:])
        return events

    def _keep(self, data: bytes) -> None:
        self._pending += data
        self._check()

    def _check(self) -> None:
        if len(self._pending) > self._most:
            raise Garbled(f"an event of the answer is larger than {self._most} bytes")


def data_of(event: bytes) -> bytes:
    """Return the values of an event's `data` lines, joined by LF; empty when it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    if b"\r" in event:
        event = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    values = []
    for line in event.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values)
