"""What exchanges tell each other of deployments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import msgspec
import pytest

from trunkline.app import hearsay
from trunkline.app.hearsay import HEALTH, MOST, Hearsay, Told, Word
from trunkline.errors import Unavailable
from trunkline.store.changes import Changes
from trunkline.upstream.health import Event, Mark

PLACES = {"a": "here", "b": "there"}
OPENED, CLOSED = Mark("a", Event.OPENED, 2.0), Mark("a", Event.CLOSED)


class Wire:
    """A store's channel that keeps what is told."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self.away = False
        self.told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell_others(self, topic: str, message: str) -> None:
        assert topic == HEALTH
        try:
            if self.away:
                self.away = False
                raise Unavailable("away")
            self.words.append(msgspec.json.decode(message, type=Word))
        finally:
            self._loop.call_soon_threadsafe(self.told.set)

    @property
    def marks(self) -> list[Mark]:
        return [told.mark for word in self.words for told in word.told]


class Deaf:
    """Hears nothing."""

    def run(self, heard: Callable[[str | None], None], stopping: threading.Event) -> None:
        stopping.wait()


async def until(wire: Wire, count: int) -> None:
    async with asyncio.timeout(20):
        while len(wire.marks) < count:
            await wire.told.wait()
            wire.told.clear()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearsay, "EVERY", 0)


def made(wire: Wire, taken: list[Mark] | None = None) -> Hearsay:
    return Hearsay(wire, "own", PLACES.get, (taken if taken is not None else []).append)


async def test_a_mark_is_told_with_the_place_of_its_deployment_and_one_without_a_place_is_not() -> None:
    wire = Wire()
    one = made(wire)
    one.tell(Mark("unknown", Event.OPENED))
    one.tell(OPENED)
    following = asyncio.create_task(one.follow(Changes(Deaf())))
    await until(wire, 1)
    following.cancel()
    assert wire.words == [Word("own", (Told(OPENED, "here"),))]


async def test_of_what_goes_to_and_fro_only_the_last_is_told() -> None:
    wire = Wire()
    one = made(wire)
    for mark in (OPENED, CLOSED, OPENED, CLOSED, Mark("a", Event.PAUSED, 3.0)):
        one.tell(mark)
    following = asyncio.create_task(one.follow(Changes(Deaf())))
    await until(wire, 2)
    following.cancel()
    assert wire.marks == [CLOSED, Mark("a", Event.PAUSED, 3.0)]


async def test_a_storm_goes_in_several_words_none_of_which_is_too_long() -> None:
    wire = Wire()
    one = Hearsay(wire, "own", lambda name: name, lambda _: None)
    for number in range(2 * MOST + 1):
        one.tell(Mark(f"{'d' * 90}{number}", Event.OPENED, 1.0))
    following = asyncio.create_task(one.follow(Changes(Deaf())))
    await until(wire, 2 * MOST + 1)
    following.cancel()
    assert [len(word.told) for word in wire.words] == [MOST, MOST, 1]
    assert all(len(msgspec.json.encode(word)) < 8_000 for word in wire.words)


async def test_a_store_that_is_away_ends_nothing() -> None:
    wire = Wire()
    wire.away = True
    one = made(wire)
    following = asyncio.create_task(one.follow(Changes(Deaf())))
    one.tell(OPENED)
    async with asyncio.timeout(20):
        await wire.told.wait()
    wire.told.clear()
    one.tell(CLOSED)
    await until(wire, 1)
    following.cancel()
    assert wire.marks == [CLOSED]


async def test_only_what_another_exchange_says_of_the_same_place_is_taken() -> None:
    taken: list[Mark] = []
    one = Hearsay(Wire(), "own", PLACES.get, taken.append)

    def heard(teller: str, *told: Told) -> None:
        one.hear(msgspec.json.encode(Word(teller, told)).decode())

    heard("own", Told(OPENED, "here"))
    heard("other", Told(OPENED, "elsewhere"))
    heard("other", Told(Mark("unknown", Event.OPENED), ""))
    one.hear("no word at all")
    assert taken == []
    heard("other", Told(OPENED, "here"), Told(Mark("b", Event.PAUSED, 1.0), "there"))
    assert taken == [OPENED, Mark("b", Event.PAUSED, 1.0)]
