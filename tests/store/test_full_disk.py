"""A disk without room, played by SQLite's own limit on the pages of a database: the error is the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.clock import SystemClock
from trunkline.ids import mint_journal_id
from trunkline.metering.drain import Drainer
from trunkline.metering.journal import Journal
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry
from trunkline.store.open import Store, open_store

MANY = 400


class Disk:
    """The room that a store has: none while it is full."""

    def __init__(self, store: Store) -> None:
        self._engine = store._sessions.engine
        self.full = False
        event.listen(self._engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages if self.full else 1 << 30}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "trunkline.db") as store:
        yield store


def test_a_full_disk_keeps_nothing_of_a_batch_and_says_so(store: Store) -> None:
    disk = Disk(store)
    disk.full = True
    journal = mint_journal_id()
    entries = [Entry(journal, intent(number)) for number in range(MANY)]
    with pytest.raises(errors.Unavailable, match="try again") as refused:
        store.book(entries, {journal: 5})
    assert "full" in refused.value.inside
    assert (store.sums([], Span()), store.drained(), store.verify().lines) == ((), {}, 0)
    disk.full = False
    store.book(entries, {journal: 5})
    assert store.sums([], Span())[0].attempts == MANY
    assert store.verify().differences == ()


def test_what_waited_in_the_journal_while_the_disk_was_full_is_booked_once(store: Store, tmp_path: Path) -> None:
    disk = Disk(store)
    journal = Journal.open(tmp_path / "journal", mint_journal_id())
    drainer = Drainer(journal, store, SystemClock(), gather=0.01)
    drainer.start()
    disk.full = True
    for _ in range(MANY):
        begun = intent(journal.next_sequence())
        journal.append(begun)
        journal.append(settlement(journal.next_sequence(), begun.request))
    assert not drainer.flush(1.0)
    assert not drainer.healthy
    disk.full = False
    assert drainer.flush(20.0)
    assert drainer.healthy
    assert drainer.stop(20.0)
    assert store.sums([], Span())[0].attempts == MANY
    assert store.verify().differences == ()
