"""Changes by other processes reach who waits for them: at once on Postgres, by looking on SQLite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.postgres.sharing import Shared

from trunkline.store.changes import Changes
from trunkline.store.key_table import KEYS
from trunkline.store.open import Store, open_store
from trunkline.tenancy.mint import mint

FOR_EVER = 60.0


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
    began = time.monotonic()
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await waiting
    assert time.monotonic() - began < 5


async def test_news_that_come_while_nobody_waits_are_not_lost(changes: Changes, postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await asyncio.wait_for(changes.wait(KEYS, FOR_EVER), 5)


async def test_after_its_connection_was_lost_it_hears_again_and_all_count_as_changed(
    changes: Changes, postgres: Shared, postgres_url: str
) -> None:
    waiting = asyncio.create_task(changes.wait(KEYS, FOR_EVER))
    postgres.cut_off(postgres_url)
    await asyncio.wait_for(waiting, 10)
    with open_store(postgres_url) as store:
        store.add(mint("hr", pepper=b"p" * 32, now=1)[0])
    await asyncio.wait_for(changes.wait(KEYS, FOR_EVER), 5)


async def test_where_no_news_are_told_it_is_time_that_passes(store: Store, kind: str) -> None:
    if kind == "postgres":
        return
    changes = store.changes()
    changes.begin()
    await asyncio.wait_for(changes.wait(KEYS, 0.01), 5)
    changes.end()
