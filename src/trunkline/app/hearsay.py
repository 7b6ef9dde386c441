"""What exchanges on one store tell each other of deployments: told in batches, believed within reason, kept nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from trunkline.errors import Unavailable
from trunkline.store.changes import Changes
from trunkline.upstream.health import Event, Mark

HEALTH: Final = "health"
"""The topic under which marks are told."""
EVERY: Final = 0.5
"""Seconds between two words of a process, at least: a storm at a deployment is no storm at the store."""
MOST: Final = 20
"""Marks in one word; Postgres carries some 8,000 bytes. The others wait for the next."""
MOST_WAITING: Final = 10_000

log = logging.getLogger("trunkline.app")


class Told(msgspec.Struct, frozen=True):
    """A mark, and where its deployment stands for who tells it: under another address its name says nothing."""

    mark: Mark
    place: str


class Word(msgspec.Struct, frozen=True):
    """What one exchange tells at once; `teller` is its own name, so that its workers do not hear it twice."""

    teller: str
    told: tuple[Told, ...]


class Teller(Protocol):
    """Tells other processes on the same store."""

    def tell_others(self, topic: str, message: str) -> None:
        """Tell a message to all that listen at the moment."""
        ...


class Hearsay:
    """One process's ear and mouth.

    Args:
        teller: the store.
        own: the name of the exchange that the process belongs to.
        place: where a deployment stands in the estate in force; None of one that is not in it.
        take: takes what another exchange has found.
    """

    def __init__(
        self, teller: Teller, own: str, place: Callable[[str], str | None], take: Callable[[Mark], None]
    ) -> None:
        self._teller = teller
        self._own = own
        self._place = place
        self._take = take
        self._waiting: dict[tuple[str, str], Mark] = {}
        self._some = asyncio.Event()
        self._decoder = msgspec.json.Decoder(Word)

    def tell(self, mark: Mark) -> None:
        """Have a mark told soon. Of what changes to and fro, only the last counts."""
        about = "breaker" if mark.event in {Event.OPENED, Event.CLOSED} else mark.event.value
        if len(self._waiting) < MOST_WAITING:
            self._waiting.pop((mark.deployment, about), None)
            self._waiting[mark.deployment, about] = mark
            self._some.set()

    async def follow(self, changes: Changes) -> None:
        """Tell what there is to tell, for ever; what others tell is taken as it comes."""
        changes.hear(HEALTH, self.hear)
        while True:
            await self._some.wait()
            if (message := self._next()) is not None:
                try:
                    await asyncio.to_thread(self._teller.tell_others, HEALTH, message)
                except Unavailable as fault:
                    log.info("other exchanges are not told of a deployment's health: %s", fault.inside)
            await asyncio.sleep(EVERY)

    def hear(self, message: str) -> None:
        """Take a word of another exchange; one that makes no sense is passed over."""
        try:
            word = self._decoder.decode(message)
        except (msgspec.DecodeError, UnicodeEncodeError):
            log.warning("a word on the store's channel makes no sense and is passed over")
            return
        if word.teller == self._own:
            return
        for told in word.told:
            if told.place and told.place == self._place(told.mark.deployment):
                self._take(told.mark)

    def _next(self) -> str | None:
        """The next word; None where nothing is left that still stands in the estate."""
        told: list[Told] = []
        while self._waiting and len(told) < MOST:
            key = next(iter(self._waiting))
            mark = self._waiting.pop(key)
            if (place := self._place(mark.deployment)) is not None:
                told.append(Told(mark, place))
        if not self._waiting:
            self._some.clear()
        return msgspec.json.encode(Word(self._own, tuple(told))).decode() if told else None
