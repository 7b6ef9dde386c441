"""What is to leave: of several requests under way, all at the end of the loop's turn, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Outbox:
    """Gathers what the requests of one turn of the loop have to write, requests upstream and answers alike.

    To wake a peer that sleeps costs about as much as the rest of a request. Written back to back, most of a turn's
    bytes meet a peer that is awake. A request that is alone has nobody to wait for: its bytes leave at once.

    Attributes:
        busy: how many requests are being answered.
        waiting: `flush` has something to do.
        before: called first at each flush that has something to do; it must not raise.
    """

    __slots__ = ("_held", "before", "busy", "waiting")

    def __init__(self) -> None:
        self.busy = 0
        self.waiting = False
        self.before: Callable[[], None] | None = None
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write at the end of this turn, or at once where nothing else is under way.

        What is put here for one transport leaves in order. Who writes to it directly, or closes it, flushes first.
        """
        if self.busy > 1:
            self._held.append((transport, data))
            self.rouse()
        else:
            if self.waiting:
                self.flush()
            transport.write(data)

    def rouse(self) -> bool:
        """Have `before` called at the end of this turn; False, and nothing happens, where nothing else is under way."""
        if not self.waiting:
            if self.busy <= 1:
                return False
            self.waiting = True
            asyncio.get_running_loop().call_soon(self.flush)
        return True

    def flush(self) -> None:
        """Write what waits."""
        if not self.waiting:
            return
        self.waiting = False
        held = self._held
        self._held = []
        if self.before is not None:
            self.before()
        for transport, data in held:
            if not transport.is_closing():
                transport.write(data)
