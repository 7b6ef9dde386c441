from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.ids import mint_journal_id
from trunkline.metering.frames import Record, frame, read
from trunkline.metering.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal", mint_journal_id())


def _records(journal: Journal) -> list[Record]:
    return [record for part in journal.parts() for record in read(part.path, end=part.size).records]


def test_an_appended_record_is_in_the_file_at_once(journal: Journal) -> None:
    first = intent(journal.next_sequence())
    second = settlement(journal.next_sequence())
    journal.append(first)
    journal.append(second)
    assert (first.sequence, second.sequence) == (1, 2)
    (path,) = (part.path for part in journal.parts())
    assert list(read(path).records) == [first, second]
    assert journal.gained.is_set()


def test_what_is_gathered_is_written_before_the_next_record_and_at_a_flush(journal: Journal) -> None:
    journal.rouse = lambda: True
    journal.gather(settlement(1))
    journal.gather(settlement(2))
    assert _records(journal) == []
    journal.append(intent(3))
    assert [record.sequence for record in _records(journal)] == [1, 2, 3]
    journal.gather(settlement(4))
    journal.flush()
    journal.flush()
    assert [record.sequence for record in _records(journal)] == [1, 2, 3, 4]
    assert journal.appended == 4


def test_what_is_gathered_where_no_flush_is_to_come_is_written_at_once(journal: Journal) -> None:
    journal.gather(settlement(1))
    assert len(_records(journal)) == 1


def test_what_is_gathered_when_the_journal_closes_is_in_it(journal: Journal) -> None:
    journal.rouse = lambda: True
    journal.gather(settlement(1))
    journal.close()
    assert len(_records(journal)) == 1


def test_what_was_gathered_and_finds_the_disk_full_is_owed(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal.rouse = lambda: True
    journal.gather(settlement(1))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.JournalFailed):
        journal.append(intent(2))
    journal.flush()
    assert (journal.owed, journal.appended) == (1, 0)
    monkeypatch.undo()
    journal.pay()
    assert [record.sequence for record in _records(journal)] == [1]


def test_the_file_is_its_owners_alone(journal: Journal) -> None:
    (part,) = journal.parts()
    assert part.path.stat().st_mode & 0o777 == 0o600


def test_a_partial_write_is_taken_back_and_refused(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(intent(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    with pytest.raises(errors.JournalFailed) as refused:
        journal.append(intent(2))
    monkeypatch.undo()
    assert str(journal.id) not in str(refused.value)
    journal.append(intent(3))
    reading = read(journal.parts()[0].path)
    assert [record.sequence for record in reading.records] == [1, 3]
    assert (reading.torn, reading.damage) == (False, ())


def test_a_partial_write_that_cannot_be_taken_back_ends_the_file_and_begins_another(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(intent(1))
    write = os.write

    def fails(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(errors.JournalFailed):
        journal.append(intent(2))
    monkeypatch.undo()
    journal.append(intent(3))
    assert len(journal.parts()) == 2
    assert [record.sequence for record in _records(journal)] == [1, 3]
    assert read(journal.parts()[0].path).torn


def test_a_full_disk_refuses_the_record_and_leaves_the_file_readable(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.JournalFailed) as refused:
        journal.append(intent(1))
    assert "No space left" in refused.value.inside
    monkeypatch.undo()
    journal.append(intent(2))
    assert [record.sequence for record in _records(journal)] == [2]


LIMITED = """
import resource, sys
from pathlib import Path
from trunkline import errors
from trunkline.ids import mint_journal_id
from trunkline.metering.journal import Journal
from trunkline.metering.records import Settlement, Status
from trunkline.messages import Usage
journal = Journal.open(Path(sys.argv[1]), mint_journal_id())
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
def record():
    return Settlement(journal.next_sequence(), "req_1", 1, 1, Status.OK, 200, Usage(), 1, "m", 1, 1, "x" * 300)
written = 0
try:
    while True:
        journal.append(record())
        written += 1
except errors.JournalFailed:
    journal.owe(record())
try:
    journal.pay()
except errors.JournalFailed:
    print(written, journal.owed)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.pay()
print(journal.appended, journal.owed)
"""


def test_a_file_that_may_not_grow_keeps_whole_records_and_takes_what_is_owed_later(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    written, owed, appended, left = map(int, done.stdout.split())
    assert written > 5
    assert (owed, appended, left) == (1, written + 1, 0)
    (path,) = tmp_path.glob("*.journal")
    reading = read(path)
    assert (len(reading.records), reading.torn, reading.damage) == (written + 1, False, ())


def test_a_record_that_cannot_be_encoded_is_refused(journal: Journal) -> None:
    with pytest.raises(errors.JournalFailed):
        journal.append(intent(1, hold=1 << 70))
    assert journal.appended == 0


def test_a_file_that_is_full_is_followed_by_another_with_an_id_of_its_own(tmp_path: Path) -> None:
    size = len(frame(intent(1)))
    journal = Journal.open(tmp_path, mint_journal_id(), rotate_at=3 * size)
    for _ in range(10):
        journal.append(intent(journal.next_sequence()))
    parts = journal.parts()
    assert len({part.journal for part in parts}) == len(parts) > 2
    assert [part.sealed for part in parts] == [True] * (len(parts) - 1) + [False]
    assert [record.sequence for record in _records(journal)] == list(range(1, 11))


def test_without_room_for_another_file_the_old_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, mint_journal_id(), rotate_at=10)

    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    journal.append(intent(1))
    assert len(journal.parts()) == 1


def test_a_closed_journal_takes_nothing_more(journal: Journal) -> None:
    journal.append(intent(1))
    journal.close()
    with pytest.raises(errors.JournalFailed):
        journal.append(settlement(2))
    (part,) = journal.parts()
    assert part.sealed
    assert len(_records(journal)) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.JournalFailed):
        Journal.open(tmp_path / "file" / "journal", mint_journal_id())
