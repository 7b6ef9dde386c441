from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.metering.made import intent, settlement
from tests.store.test_dialogue_table import DIALOGUE, ITEM
from tests.store.test_turn_table import FIRST as TURN

from trunkline import errors
from trunkline.conversations.dialogues import Bounds
from trunkline.ids import JournalId, mint_journal_id
from trunkline.metering.frames import Record
from trunkline.metering.journal import Journal
from trunkline.metering.ports import Span
from trunkline.metering.records import Entry, Status
from trunkline.store import backup
from trunkline.store.backup import back_up, read_manifest, restore
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store, open_store
from trunkline.store.reading import catch_up
from trunkline.tenancy.mint import mint

NOW = "2026-11-22T12:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A folder with a key, what is kept for callers, and calls: one booked, one only in its journal, one not ended."""
    folder = DataFolder(tmp_path / "data")
    folder.pepper()
    (folder.path / "applied-estate").mkdir()
    (folder.path / "applied-estate" / "estate.yaml").write_text("estate: small\n")
    journal = Journal.open(folder.journal_folder, mint_journal_id())
    with open_store(folder.store_path) as store:
        store.add(mint("hr", pepper=folder.pepper(), now=1)[0])
        store.keep_turn(TURN)
        store.add_dialogue(DIALOGUE, [ITEM])
        journal.append(intent(1, "req_a"))
        journal.append(settlement(2, "req_a"))
        booked = [Entry(journal.id, intent(1, "req_a")), Entry(journal.id, settlement(2, "req_a"))]
        store.book(booked, {journal.id: journal.parts()[0].size})
        journal.append(intent(3, "req_b"))
        journal.append(settlement(4, "req_b"))
        journal.append(intent(5, "req_c"))
    return folder


def found(data: Path) -> dict[str, tuple[Status, int]]:
    folder = DataFolder(data)
    with open_store(folder.store_path) as store:
        catch_up(folder, store, 9)
        assert store.verify().differences == ()
        return {row.request: (row.status, row.cost) for row in store.tail(99)}


EXPECTED = {"req_a": (Status.OK, 10), "req_b": (Status.OK, 10), "req_c": (Status.LOST, 1_000)}


def test_a_copy_that_is_put_back_has_everything_once(folder: DataFolder, tmp_path: Path) -> None:
    back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)
    restored = DataFolder(tmp_path / "restored")
    restore(tmp_path / "copy", restored, "aside")
    assert found(restored.path) == EXPECTED
    assert restored.pepper() == folder.pepper()
    with open_store(restored.store_path) as store:
        assert len(store.all()) == 1
        assert store.turns_up_to(TURN.id, TURN.made_at, 9, 999) == (TURN,)
        assert store.read_dialogue(DIALOGUE.id, DIALOGUE.made_at, Bounds(9, 999)) == (DIALOGUE, (ITEM,))
    assert (restored.path / "applied-estate" / "estate.yaml").read_text() == "estate: small\n"
    for path in (restored.path, *restored.path.glob("*/"), *restored.path.glob("*.db"), restored.path / "pepper"):
        assert not path.stat().st_mode & 0o077, path
    assert found(folder.path) == EXPECTED


def test_what_is_booked_and_appended_while_the_copy_is_made_is_in_it_once(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = folder.journal_folder.iterdir()
    plain = backup._copy_database

    def meanwhile(source: Path, to: Path, reach: Callable[[float], None]) -> None:
        """All of the old journal is booked and deleted, and another begins, before the database is copied."""
        with open_store(folder.store_path) as store:
            catch_up(folder, store, 7)
            other = Journal.open(folder.journal_folder, mint_journal_id())
            later: list[Record] = [intent(1, "req_d"), settlement(2, "req_d"), intent(3, "req_e")]
            for record in later:
                other.append(record)
            store.book([Entry(other.id, record) for record in later], {other.id: other.parts()[0].size})
        assert not path.exists()
        plain(source, to, reach)

    monkeypatch.setattr(backup, "_copy_database", meanwhile)
    back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)
    restore(tmp_path / "copy", DataFolder(tmp_path / "restored"), "aside")
    assert found(tmp_path / "restored") == EXPECTED | {"req_d": (Status.OK, 10), "req_e": (Status.LOST, 1_000)}


def test_a_database_that_others_write_to_between_two_steps_is_copied_as_it_stood_and_says_how_far_it_is(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "STEP", 1)
    reached: list[float] = []
    with open_store(folder.store_path) as store:
        before = store.sums([], Span())

        def meanwhile(share: float) -> None:
            reached.append(share)
            store.book([Entry(JournalId("busy"), intent(99, f"req_busy_{len(reached)}"))])

        backup._copy_database(folder.store_path, tmp_path / "copy.db", meanwhile)
        assert store.sums([], Span())[0].attempts == before[0].attempts + len(reached)
    assert len(reached) > 10
    assert reached == sorted(reached)
    assert reached[-1] == 1
    with open_store(tmp_path / "copy.db") as copy:
        assert copy.sums([], Span()) == before
        assert copy.verify().differences == ()


def test_a_journal_copied_before_more_of_it_was_booked_is_no_obstacle(folder: DataFolder, tmp_path: Path) -> None:
    back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)
    (copied,) = (tmp_path / "copy" / "journal").iterdir()
    whole = copied.read_bytes()
    restored = DataFolder(tmp_path / "restored")
    restore(tmp_path / "copy", restored, "aside")
    with open_store(restored.store_path) as store:
        catch_up(restored, store, 9)
        journal = copied.name.removesuffix(".journal")
        store.book([], {JournalId(journal): len(whole) + 100})
        (restored.journal_folder / copied.name).write_bytes(whole)
        catch_up(restored, store, 9)
    assert found(restored.path) == EXPECTED


def test_a_folder_that_holds_something_is_only_taken_by_force_and_then_put_aside(
    folder: DataFolder, tmp_path: Path
) -> None:
    back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)
    other = DataFolder(tmp_path / "other")
    pepper = other.pepper()
    with pytest.raises(errors.DataFolderUnusable, match="--force"):
        restore(tmp_path / "copy", other, "aside")
    assert other.pepper() == pepper
    restore(tmp_path / "copy", other, "aside", force=True)
    assert (other.path / "aside" / "pepper").read_bytes() == pepper
    assert other.pepper() == folder.pepper()


def test_a_folder_on_which_an_exchange_runs_is_refused(folder: DataFolder, tmp_path: Path) -> None:
    back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)
    running = DataFolder(tmp_path / "running")
    with running.hold(patience=0), pytest.raises(errors.DataFolderBusy):
        restore(tmp_path / "copy", DataFolder(running.path), "aside", force=True)


def test_a_copy_goes_only_into_an_empty_folder(folder: DataFolder, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "something").touch()
    with pytest.raises(errors.DataFolderUnusable, match="new or empty"):
        back_up(folder, str(folder.store_path), tmp_path / "copy", NOW)


@pytest.mark.parametrize("spoil", ["cut", "missing", "no manifest", "newer"])
def test_a_copy_that_is_not_whole_or_too_new_changes_nothing(folder: DataFolder, tmp_path: Path, spoil: str) -> None:
    copy = tmp_path / "copy"
    back_up(folder, str(folder.store_path), copy, NOW)
    match spoil:
        case "cut":
            (copy / "trunkline.db").write_bytes((copy / "trunkline.db").read_bytes()[:-1])
        case "missing":
            (copy / "pepper").unlink()
        case "no manifest":
            (copy / "manifest.json").unlink()
        case _:
            manifest = json.loads((copy / "manifest.json").read_text())
            (copy / "manifest.json").write_text(json.dumps(manifest | {"tables": "9999"}))
    restored = DataFolder(tmp_path / "restored")
    with pytest.raises(errors.DataFolderUnusable):
        restore(copy, restored, "aside")
    assert {path.name for path in restored.path.iterdir()} <= {"journal", "exchange.lock"}


def test_a_store_elsewhere_is_named_and_not_copied(store: Store, folder: DataFolder, tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        return
    manifest = back_up(folder, "env:THE_STORE", tmp_path / "copy", NOW)
    assert manifest.store == "env:THE_STORE"
    assert "trunkline.db" not in manifest.files
    assert any(name.startswith("journal/") for name in manifest.files)
    assert store.sums([], Span()) == ()
    assert read_manifest(tmp_path / "copy") == manifest
