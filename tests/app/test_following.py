from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest

from trunkline.app import following
from trunkline.app.following import follow


async def test_work_that_fails_is_said_and_begins_again_until_the_stack_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "AGAIN", 0)
    begun, going, ended = 0, asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise KeyError("nobody thought of it")
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with caplog.at_level(logging.ERROR, "trunkline.app"):
        async with AsyncExitStack() as stack:
            follow(stack, "the work", work)
            await asyncio.wait_for(going.wait(), 10)
        await asyncio.wait_for(ended.wait(), 10)
    assert begun == 3
    assert [record.getMessage() for record in caplog.records] == ["the work failed, and begins again"] * 2
    assert all(record.exc_info for record in caplog.records)


async def test_work_that_has_an_end_is_not_begun_again() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1

    await asyncio.wait_for(following.keep_on("the work", work), 10)
    assert begun == 1
