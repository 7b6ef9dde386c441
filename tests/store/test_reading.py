from __future__ import annotations

from pathlib import Path

import pytest
from tests.metering.made import intent, settlement

from trunkline.ids import mint_journal_id
from trunkline.metering.journal import Journal
from trunkline.metering.records import Status
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store
from trunkline.store.reading import catch_up


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path)
    journal = Journal.open(folder.journal_folder, mint_journal_id())
    journal.append(intent(1, "req_a"))
    journal.append(settlement(2, "req_a"))
    journal.append(intent(3, "req_b"))
    return folder


def test_commands_see_what_an_exchange_that_is_gone_left_in_its_journal(folder: DataFolder, store: Store) -> None:
    found = catch_up(folder, store, 5)
    assert found is not None
    assert (found.records, found.lost) == (3, 1)
    assert [row.status for row in store.tail(9)] == [Status.OK, Status.LOST]
    assert folder.holder() is None


def test_the_journals_of_a_running_exchange_are_left_alone(folder: DataFolder, store: Store) -> None:
    with DataFolder(folder.path).hold(patience=0):
        assert catch_up(folder, store, 5) is None
    assert store.tail(9) == ()
    assert len(list(folder.journal_folder.iterdir())) == 1
