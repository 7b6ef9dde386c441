"""News of what other processes changed in the store: heard at once from Postgres, soon found by looking at SQLite."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from trunkline.errors import Unavailable

LOOK_EVERY = 0.25
"""Seconds between two looks at a database that tells nothing by itself."""

LOOK_ANYWAY = 10.0
"""Seconds between two looks while a listener hears: it is there in case a word was lost."""


class Hearing(Protocol):
    """Hears news in a thread of its own."""

    def run(self, heard: Callable[[str | None], None], stopping: threading.Event) -> None:
        """Call `heard` with each topic of which there are news, a blank and its message behind it where it has one.

        It goes on until told to stop. An empty topic says that it hears from now on, and may have missed news of any;
        None, that it hears no more.
        """
        ...


class Looking:
    """Hears by looking: one thread, so that no follower has to be woken where nothing changed.

    Args:
        version: returns a number that is another one after any change. Cheap.
    """

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version

    def run(self, heard: Callable[[str | None], None], stopping: threading.Event) -> None:
        """Call `heard` for any topic after each change, and with None while the database is away."""
        seen: int | None = None
        while True:
            try:
                if (now := self._version()) != seen:
                    heard("")
                seen = now
            except Unavailable:
                heard(None)
                seen = None
            if stopping.wait(LOOK_EVERY):
                return


class Changes:
    """Lets followers in the event loop wait until something of their topic may have changed.

    Args:
        hearing: hears news in its own way.
    """

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._topics: dict[str, asyncio.Event] = {}
        self._takers: dict[str, Callable[[str], None]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.hears = False

    def begin(self) -> None:
        """Begin to hear. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._hearing.run, args=(self._heard, self._stopping), name="trunkline-changes", daemon=True
        )
        self._thread.start()

    def hear(self, topic: str, take: Callable[[str], None]) -> None:
        """Have each message of a topic taken, in the event loop. What is told while nobody listens is lost."""
        self._takers[topic] = take

    async def wait(self, topic: str, seconds: float) -> None:
        """Return when there are news of a topic, or so many seconds have passed; later where all news are heard."""
        event = self._topics.setdefault(topic, asyncio.Event())
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), max(seconds, LOOK_ANYWAY) if self.hears else seconds)
        event.clear()

    def end(self) -> None:
        """Stop hearing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1)

    def _heard(self, topic: str | None) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # The loop has ended meanwhile.
                loop.call_soon_threadsafe(self._ring, topic)

    def _ring(self, topic: str | None) -> None:
        self.hears = topic is not None
        name, _, message = (topic or "").partition(" ")
        if message:
            if (take := self._takers.get(name)) is not None:
                take(message)
            return
        topics: Iterable[str] = self._topics if not topic else (topic,)
        for name in topics:
            self._topics.setdefault(name, asyncio.Event()).set()
