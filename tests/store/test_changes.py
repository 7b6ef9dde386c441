"""Changes by other processes reach who waits for them: at once on Postgres, soon on SQLite."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.postgres.sharing import Shared

from trunkline.errors import Unavailable
from trunkline.store.changes import Changes, Looking
from trunkline.store.key_table import KEYS
from trunkline.store.open import open_store
from trunkline.tenancy.mint import mint

FOR_EVER = 60.0
SOON = FOR_EVER / 2


@pytest.fixture
async def changes(postgres_url: str) -> AsyncIterator[Changes]:
    with open_store(postgres_url) as other:
        changes = other.changes()
        changes.begin()
        await changes.wait(KEYS, FOR_EVER)  # It hears from now on.
        yield changes
        changes.end()


async def test_news_are_heard_at_once(changes: Changes, postgres_url: str) -> None:
    waiting = asyncio.create_task(changes.wait(KEYS, FOR_EVER))
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await asyncio.wait_for(waiting, SOON)


async def test_news_that_come_while_nobody_waits_are_not_lost(changes: Changes, postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await asyncio.wait_for(changes.wait(KEYS, FOR_EVER), SOON)


async def test_after_its_connection_was_lost_it_hears_again_and_all_count_as_changed(
    changes: Changes, postgres: Shared, postgres_url: str
) -> None:
    waiting = asyncio.create_task(changes.wait(KEYS, FOR_EVER))
    postgres.cut_off(postgres_url)
    await asyncio.wait_for(waiting, SOON)
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await asyncio.wait_for(changes.wait(KEYS, FOR_EVER), SOON)


async def test_a_database_that_tells_nothing_is_looked_at(tmp_path: Path) -> None:
    with open_store(tmp_path / "trunkline.db") as other, open_store(tmp_path / "trunkline.db") as store:
        changes = other.changes()
        changes.begin()
        await changes.wait(KEYS, FOR_EVER)  # It looks from now on.
        waiting = asyncio.create_task(changes.wait(KEYS, FOR_EVER))
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
        await asyncio.wait_for(waiting, SOON)
        changes.end()


async def test_a_database_that_cannot_be_looked_at_is_no_news_until_it_can() -> None:
    answers = [1, 1, None, None, 1]
    heard: list[str | None] = []
    stopping = threading.Event()

    def version() -> int:
        if (found := answers.pop(0)) is None:
            raise Unavailable("the store is away")
        if not answers:
            stopping.set()
        return found

    await asyncio.to_thread(Looking(version).run, heard.append, stopping)
    assert heard == ["", None, None, ""]
