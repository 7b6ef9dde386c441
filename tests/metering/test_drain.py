from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.clock import SystemClock
from trunkline.ids import JournalId, mint_journal_id
from trunkline.metering.drain import Drainer
from trunkline.metering.frames import frame
from trunkline.metering.journal import Journal
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry, Status
from trunkline.metering.recover import recover
from trunkline.store.open import Store

WAIT = 20.0


class Moody:
    """A real store that is away while `away` is set, and says when it was asked meanwhile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = threading.Event()
        self.asked = threading.Event()

    def book(self, entries: Sequence[Entry], drained: Mapping[JournalId, int] | None = None) -> None:
        if self.away.is_set():
            self.asked.set()
            raise errors.Unavailable("the store is away")
        self._store.book(entries, drained)

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._store, name)
        return method


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal", mint_journal_id())


@pytest.fixture
def drainer(journal: Journal, store: Store) -> Iterator[Drainer]:
    drainer = Drainer(journal, store, SystemClock(), gather=0.01)
    yield drainer
    drainer.stop()


def _append(journal: Journal, count: int, *, settled: bool = True) -> None:
    for _ in range(count):
        begun = intent(journal.next_sequence())
        journal.append(begun)
        if settled:
            journal.append(settlement(journal.next_sequence(), begun.request))


def _attempts(store: Store) -> int:
    rows = store.sums([], Span())
    return rows[0].attempts if rows else 0


def test_what_is_appended_reaches_the_store_by_itself(drainer: Drainer, journal: Journal, store: Store) -> None:
    booked = threading.Event()
    book = store.book

    def noted(entries: Sequence[Entry], drained: Mapping[JournalId, int] | None = None) -> None:
        book(entries, drained)
        if _attempts(store) == 50:
            booked.set()

    store.book = noted  # type: ignore[method-assign]
    drainer.start()
    _append(journal, 50)
    assert booked.wait(WAIT)
    assert {row.status for row in store.tail(100)} == {Status.OK}


def test_flush_books_all_that_was_appended_before_it(drainer: Drainer, journal: Journal, store: Store) -> None:
    drainer.start()
    for done in range(1, 4):
        _append(journal, 7)
        assert drainer.flush(WAIT)
        assert _attempts(store) == 7 * done
    assert (drainer.lag.records, drainer.lag.bytes, drainer.lag.seconds) == (0, 0, 0.0)


def test_flush_works_without_the_thread(drainer: Drainer, journal: Journal, store: Store) -> None:
    _append(journal, 3)
    assert drainer.flush()
    assert _attempts(store) == 3


def test_while_the_store_is_away_nothing_is_lost_and_the_lag_shows(journal: Journal, store: Store) -> None:
    moody = Moody(store)
    drainer = Drainer(journal, moody, SystemClock(), gather=0.01)  # type: ignore[arg-type]
    drainer.start()
    moody.away.set()
    _append(journal, 5)
    assert moody.asked.wait(WAIT)
    assert not drainer.flush(0.05)
    assert (drainer.healthy, drainer.fault) == (False, "the store is away")
    lag = drainer.lag
    assert (lag.records, lag.bytes > 500, lag.seconds > 0) == (10, True, True)
    _append(journal, 5)
    moody.away.clear()
    assert drainer.flush(WAIT)
    assert (drainer.healthy, drainer.fault, _attempts(store)) == (True, "", 10)
    assert drainer.stop(WAIT)


def test_stopping_while_the_store_is_away_leaves_the_journal_for_the_next_start(
    journal: Journal, store: Store, tmp_path: Path
) -> None:
    moody = Moody(store)
    drainer = Drainer(journal, moody, SystemClock(), gather=0.01)  # type: ignore[arg-type]
    drainer.start()
    moody.away.set()
    _append(journal, 5)
    assert not drainer.stop(0.3)
    again = Drainer(Journal.open(tmp_path / "journal", mint_journal_id()), store, SystemClock())
    assert again.recover(tmp_path / "journal").records == 10
    assert _attempts(store) == 5
    again.stop()


def test_a_clean_stop_leaves_no_journal_behind(
    drainer: Drainer, journal: Journal, store: Store, tmp_path: Path
) -> None:
    drainer.start()
    _append(journal, 5)
    assert drainer.stop(WAIT)
    assert list((tmp_path / "journal").iterdir()) == []
    assert store.drained() == {}
    assert _attempts(store) == 5


def test_a_stop_with_open_attempts_keeps_their_journal(drainer: Drainer, journal: Journal, tmp_path: Path) -> None:
    drainer.start()
    _append(journal, 1, settled=False)
    assert drainer.stop(WAIT)
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_full_files_are_deleted_once_they_are_booked_and_settled(store: Store, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", mint_journal_id(), rotate_at=4 * len(frame(intent(1))))
    drainer = Drainer(journal, store, SystemClock())
    open_one = intent(journal.next_sequence(), "req_open")
    journal.append(open_one)
    _append(journal, 20)
    assert drainer.flush()
    assert len(journal.parts()) == 2
    journal.append(settlement(journal.next_sequence(), "req_open"))
    assert drainer.flush()
    assert len(list((tmp_path / "journal").iterdir())) == len(journal.parts()) == 1
    assert (_attempts(store), store.attempts("req_open")[0].status) == (21, Status.OK)
    drainer.stop()


def test_a_settlement_that_is_owed_is_written_by_the_drainer_when_the_disk_takes_it(
    drainer: Drainer, journal: Journal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    begun = intent(journal.next_sequence())
    journal.append(begun)
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        journal.owe(settlement(journal.next_sequence(), begun.request))
        assert not drainer.flush()
        # A disk that takes no journal does not keep what is written already from the store.
        assert store.attempts(begun.request)[0].status is Status.OPEN
        assert (drainer.healthy, drainer.lag.records) == (False, 1)
    assert drainer.flush()
    assert store.attempts(begun.request)[0].status is Status.OK
    assert drainer.healthy


def test_the_drainer_leaves_its_own_journal_alone_when_it_recovers(
    drainer: Drainer, journal: Journal, store: Store, tmp_path: Path
) -> None:
    _append(journal, 2, settled=False)
    assert drainer.recover(tmp_path / "journal").journals == 0
    assert drainer.flush()
    assert store.open_attempts(journal.id) == 2


def test_a_damaged_file_is_kept_for_the_next_start_and_its_leases_stay_as_they_are(
    journal: Journal, store: Store, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[object] = []
    monkeypatch.setattr(store, "close_leases", freed.append)
    _append(journal, 2)
    (part,) = journal.parts()
    with part.path.open("r+b") as file:
        file.seek(80)
        file.write(b"\xff")
    journal._rotate()
    assert drainer.flush()
    assert drainer.flush()
    assert (part.path.exists(), freed) == (True, [])
    journal.close()
    found = recover(part.path.parent, store, 10_000_000)
    assert part.path in found.damaged
