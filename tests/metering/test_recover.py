from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.metering.made import intent, settlement

from trunkline.ids import JournalId, mint_journal_id
from trunkline.metering.frames import SUFFIX, frame, header, read
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry, Status
from trunkline.metering.recover import recover
from trunkline.store.open import Store, open_store

NOW = 10_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


def _write(folder: Path, *records: bytes) -> Path:
    journal = mint_journal_id()
    path = folder / f"{journal}{SUFFIX}"
    path.write_bytes(header(journal) + b"".join(records))
    return path


def test_what_workers_left_is_booked_and_the_rest_is_lost_at_its_hold(store: Store, folder: Path) -> None:
    _write(folder, frame(intent(1, "req_a")), frame(settlement(2, "req_a")), frame(intent(3, "req_b", hold=70)))
    _write(folder, frame(intent(1, "req_c")))
    found = recover(folder, store, NOW)
    assert (found.journals, found.records, found.lost, found.torn, found.damaged, found.strays) == (2, 4, 2, 0, (), 0)
    assert store.attempts("req_a")[0].status is Status.OK
    assert (store.attempts("req_b")[0].status, store.attempts("req_b")[0].cost) == (Status.LOST, 70)
    assert store.attempts("req_c")[0].status is Status.LOST
    assert list(folder.iterdir()) == []
    assert store.drained() == {}


def test_an_empty_or_missing_folder_has_nothing_to_recover(store: Store, folder: Path) -> None:
    assert recover(folder, store, NOW).journals == 0
    assert recover(folder / "none", store, NOW).journals == 0


def test_a_settlement_in_another_file_than_its_intent_is_joined_whichever_is_read_first(
    store: Store, folder: Path
) -> None:
    for number, (first, second) in enumerate([("aaa", "bbb"), ("ddd", "ccc")]):
        request = f"req_{number}"
        (folder / f"{first}{SUFFIX}").write_bytes(header(JournalId(first)) + frame(intent(1, request)))
        (folder / f"{second}{SUFFIX}").write_bytes(header(JournalId(second)) + frame(settlement(2, request)))
    assert recover(folder, store, NOW).lost == 0
    assert {row.status for row in store.tail(9)} == {Status.OK}


def test_a_torn_tail_is_cut_and_reported(store: Store, folder: Path) -> None:
    _write(folder, frame(intent(1, "req_a")), frame(intent(2, "req_b"))[:-1])
    found = recover(folder, store, NOW)
    assert (found.records, found.torn, found.lost) == (1, 1, 1)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 40])
def test_a_journal_that_was_hardly_begun_is_nothing(store: Store, folder: Path, size: int) -> None:
    path = _write(folder)
    path.write_bytes(path.read_bytes()[:size])
    found = recover(folder, store, NOW)
    assert (found.journals, found.records, found.torn) == (1, 0, int(size > 0))


def test_damage_is_reported_with_its_place_and_the_file_is_kept(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = bytearray(frame(intent(1, "req_a")))
    spoilt[30] ^= 1
    path = _write(folder, bytes(spoilt), frame(settlement(2, "req_a")), frame(intent(3, "req_b")))
    found = recover(folder, store, NOW)
    assert (found.records, found.lost, found.damaged, found.strays) == (2, 1, (path,), 1)
    assert "at offset 48" in caplog.text
    assert [kept.name for kept in folder.iterdir()] == [path.name + ".damaged"]
    assert recover(folder, store, NOW).journals == 0


def test_damage_that_a_recovery_read_past_before_it_was_killed_is_not_forgotten(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = bytearray(frame(intent(1, "req_a")))
    spoilt[30] ^= 1
    path = _write(folder, bytes(spoilt), frame(intent(3, "req_b")))

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    freed: list[object] = []
    monkeypatch.setattr(store, "close_lost", killed)
    with pytest.raises(KeyboardInterrupt):
        recover(folder, store, NOW)
    monkeypatch.undo()
    monkeypatch.setattr(store, "close_leases", freed.append)
    found = recover(folder, store, NOW)
    assert (found.lost, found.damaged, freed) == (1, (path,), [])
    assert [kept.name for kept in folder.iterdir()] == [path.name + ".damaged"]


def test_a_recovery_that_was_killed_anywhere_is_finished_by_the_next(store: Store, folder: Path) -> None:
    path = _write(folder, frame(intent(1, "req_a")), frame(settlement(2, "req_a")), frame(intent(3, "req_b")))
    content = path.read_bytes()
    journal = JournalId(path.name.removesuffix(SUFFIX))
    first = read(path, most=1)
    store.book([Entry(journal, record) for record in first.records], {journal: first.next_offset})
    assert recover(folder, store, NOW).records == 2
    before = store.tail(9)
    path.write_bytes(content)
    assert recover(folder, store, NOW + 1).lost == 0
    assert store.tail(9) == before
    assert list(folder.iterdir()) == []


WORKER = """
import sys, threading
from pathlib import Path
from tests.metering.made import intent, settlement
from trunkline.clock import SystemClock
from trunkline.ids import RequestIds, mint_journal_id
from trunkline.metering.drain import Drainer
from trunkline.metering.journal import Journal
from trunkline.store.open import open_store

folder = Path(sys.argv[1])
store = open_store(folder / "trunkline.db")
journal = Journal.open(folder / "journal", mint_journal_id(), rotate_at=40_000)
drainer = Drainer(journal, store, SystemClock(), gather=0.005)
print("lost", drainer.recover(folder / "journal").lost, flush=True)
drainer.start()
ids = RequestIds()
begun = []
while True:
    begun.append(intent(journal.next_sequence(), ids.mint()))
    journal.append(begun[-1])
    print("i", begun[-1].request, flush=True)
    if len(begun) > 5:
        ended = begun.pop(0)
        journal.append(settlement(journal.next_sequence(), ended.request))
        print("s", ended.request, flush=True)
"""


def _run_and_kill(folder: Path, records: int) -> tuple[set[str], set[str], int]:
    """Let a worker write until it has said so many records, kill it; return what it said was written."""
    said: dict[str, set[str]] = {"i": set(), "s": set()}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as worker:
        assert worker.stdout is not None
        lost = int(worker.stdout.readline().split()[1])
        for count, line in enumerate(worker.stdout):
            if count == records:
                worker.send_signal(signal.SIGKILL)
            if line.endswith("\n"):
                kind, request = line.split()
                said[kind].add(request)
    return said["i"], said["s"], lost


def _rounds(folder: Path, kills: list[int]) -> None:
    intents: set[str] = set()
    settlements: set[str] = set()
    lost = 0
    for records in kills:
        begun, ended, found = _run_and_kill(folder, records)
        intents |= begun
        settlements |= ended
        lost += found
    with open_store(folder / "trunkline.db") as store:
        lost += recover(folder / "journal", store, NOW).lost
        rows = store.tail(1_000_000)
        assert len({row.request for row in rows}) == len(rows)
        by_request = {str(row.request): row for row in rows}
        assert intents <= by_request.keys()
        # What was written and not said any more: one record a round at most.
        assert len(by_request.keys() - intents) <= len(kills)
        assert {by_request[request].status for request in settlements} == {Status.OK}
        left = [row for row in rows if row.status is not Status.OK]
        assert {row.status for row in left} == {Status.LOST}
        assert all(row.cost == row.hold and row.usage.estimated for row in left)
        assert len(left) == lost <= 6 * len(kills)
        assert store.strays() == 0
        assert store.sums([], Span())[0].cost == 10 * (len(rows) - len(left)) + 1_000 * len(left)
    assert list((folder / "journal").iterdir()) == []


def test_every_record_written_before_a_kill_is_booked_once(tmp_path: Path) -> None:
    _rounds(tmp_path, [1, 40, 700])


@pytest.mark.slow
def test_every_record_written_before_many_kills_is_booked_once(tmp_path: Path) -> None:
    chance = random.Random(20_251_122)  # noqa: S311 - any numbers will do, the same each time
    _rounds(tmp_path, [chance.randint(1, 5_000) for _ in range(25)])


def test_the_folders_of_workers_that_are_gone_are_read_too_and_vanish(store: Store, folder: Path) -> None:
    for number in range(2):
        worker = folder / f"worker-{number}"
        worker.mkdir()
        _write(worker, frame(intent(1, f"req_{number}")), frame(settlement(2, f"req_{number}")))
    (folder / "worker-3").mkdir()
    assert recover(folder, store, NOW).journals == 2
    assert list(folder.iterdir()) == []
    assert len(store.tail(9)) == 2


def test_one_workers_journal_is_recovered_beside_others_that_go_on(store: Store, folder: Path) -> None:
    gone, living = folder / "worker-gone", folder / "worker-living"
    for worker in (gone, living):
        worker.mkdir()
    _write(gone, frame(intent(1, "req_a", hold=70)))
    other = _write(living, frame(intent(1, "req_b")))
    journal = JournalId(other.name.removesuffix(SUFFIX))
    store.book([Entry(journal, intent(1, "req_b"))], {journal: other.stat().st_size})
    assert recover(gone, store, NOW, alone=False).lost == 1
    assert store.attempts("req_a")[0].status is Status.LOST
    assert store.attempts("req_b")[0].status is not Status.LOST
    assert list(store.drained()) == [journal]
    assert list(folder.iterdir()) == [living]
