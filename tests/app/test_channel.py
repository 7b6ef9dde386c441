from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from trunkline.app.channel import Channel, ChannelFault, pair
from trunkline.app.options import Options

WITHIN = 10.0


class Said(msgspec.Struct, frozen=True, tag=True):
    text: str
    options: Options | None = None


class Ear:
    """Writes down news, and answers questions with their text, with silence or with a failure."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.all_heard = asyncio.Event()

    def hear(self, news: Said) -> None:
        if news.text == "end":
            self.all_heard.set()
        else:
            self.heard.append(news.text)

    async def answer(self, question: Said) -> object:
        if question.text == "silence":
            await asyncio.Event().wait()
        if question.text == "fail":
            raise RuntimeError("no idea")
        return question


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Channel[Said], Ear, Channel[Said]]]:
    """One end to speak with, and the ear at the other."""
    ends = pair()
    one, other = [await Channel[Said].over(end, Said) for end in ends]
    ear = Ear()
    listening = [asyncio.create_task(one.listen(Ear())), asyncio.create_task(other.listen(ear))]
    try:
        yield one, ear, other
    finally:
        await one.close()
        await other.close()
        await asyncio.wait(listening)


async def test_news_are_heard_in_their_order() -> None:
    async with connected() as (one, ear, _):
        for number in range(100):
            one.tell(Said(str(number)))
        one.tell(Said("end"))
        await asyncio.wait_for(ear.all_heard.wait(), WITHIN)
    assert ear.heard == [str(number) for number in range(100)]


async def test_each_question_gets_its_own_answer() -> None:
    async with connected() as (one, _, other):
        texts = [str(number) * (number * 1_000 + 1) for number in range(20)]
        asked = [one.ask(Said(text), Said, WITHIN) for text in texts]
        back = [other.ask(Said(text), Said, WITHIN) for text in texts]
        answers = await asyncio.gather(*asked, *back)
    assert [answer.text for answer in answers] == texts * 2


async def test_paths_come_as_paths() -> None:
    options = Options(data=Path("/data"), estate=Path("e.yaml"), workers=3, grace=0.5)
    async with connected() as (one, _, _other):
        assert (await one.ask(Said("x", options), Said, WITHIN)).options == options


async def test_a_question_is_not_waited_for_without_end() -> None:
    async with connected() as (one, _, _other):
        with pytest.raises(ChannelFault, match="no answer within"):
            await one.ask(Said("silence"), Said, 0.05)
        assert (await one.ask(Said("still here"), Said, WITHIN)).text == "still here"


async def test_a_failure_at_the_other_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as (one, _, _other):
        with pytest.raises(ChannelFault, match="no idea"):
            await one.ask(Said("fail"), Said, WITHIN)
    assert "could not be answered" in caplog.text


async def test_the_end_of_the_other_process_ends_every_question() -> None:
    async with connected() as (one, _, other):
        asked = asyncio.create_task(one.ask(Said("silence"), Said, WITHIN))
        await one.ask(Said("x"), Said, WITHIN)
        await other.close()
        with pytest.raises(ChannelFault, match="gone"):
            await asked
        await asyncio.wait_for(one.ended.wait(), WITHIN)
        with pytest.raises(ChannelFault, match="gone"):
            await one.ask(Said("x"), Said, WITHIN)
        one.tell(Said("nobody hears it"))
